"""``zookeeper``: where the group is coordinated, and how to get in."""

from collections.abc import Callable
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, model_validator

from rabbitkeeper.agent.config.fields import FilePath, Section, Text, problem
from rabbitkeeper.agent.config.file import resolve_secret
from rabbitkeeper.agent.config.tls import TlsConfig
from rabbitkeeper.coordinator.backend.access import BackendAccess, check_identity
from rabbitkeeper.coordinator.model.errors import ConfigurationError
from rabbitkeeper.coordinator.model.permissions import EVERYBODY
from rabbitkeeper.coordinator.zookeeper.access import check_reader
from rabbitkeeper.coordinator.zookeeper.hosts import check_hosts


def _checked(check: Callable[[str], str]) -> AfterValidator:
    def validate(value: str) -> str:
        try:
            return check(value)
        except ConfigurationError as error:
            raise problem("", f"is not valid: {str(error).split(': ', 1)[-1]}") from None

    return AfterValidator(validate)


class ZooKeeperAuthConfig(Section):
    """``zookeeper.auth``: the identity that all agents of a group and its operators share."""

    username: Text
    password: SecretStr
    password_file: FilePath | None = None  # its first line
    password_env: Text | None = None  # the name of an environment variable

    @model_validator(mode="before")
    @classmethod
    def _password_from_one_place(cls, data: object, info: ValidationInfo) -> object:
        return resolve_secret(data, info.context or {})

    @model_validator(mode="after")
    def _can_be_told_apart(self) -> Self:
        try:
            check_identity(*self.identity)
        except ConfigurationError as error:
            raise problem("username", f"is not valid: {str(error).split(': ', 1)[-1]}") from None
        return self

    @property
    def identity(self) -> tuple[str, str]:
        return self.username, self.password.get_secret_value()


class ZooKeeperConfig(Section):
    """``zookeeper``."""

    hosts: Annotated[Text, _checked(check_hosts)]  # host:port, comma separated
    session_timeout: Annotated[float, Field(ge=3, le=120, allow_inf_nan=False)] = 6.0
    connect_timeout: Annotated[float, Field(ge=0.5, le=600, allow_inf_nan=False)] = 10.0  # at the start
    auth: ZooKeeperAuthConfig | None = None
    readers: list[Annotated[str, _checked(check_reader)]] = Field(default_factory=lambda: [EVERYBODY])
    tls: TlsConfig | None = None  # for ZooKeeper's secure client port

    @model_validator(mode="after")
    def _readers_belong_to_an_identity(self) -> Self:
        if self.auth is None and self.readers != [EVERYBODY]:
            raise problem(
                "readers", "are given without zookeeper.auth, so that anybody could write; add zookeeper.auth"
            )
        return self

    @property
    def servers(self) -> tuple[str, ...]:
        """The address of each server."""
        return tuple(self.hosts.partition("/")[0].split(","))

    @property
    def asked_timeout(self) -> float:
        """What ZooKeeper is asked for: a twelfth less than ``session_timeout``.

        ZooKeeper looks for dead sessions once a tick and ends them late rather than early, so that a node
        that is gone would otherwise be noticed after ``session_timeout`` as often as within it.
        """
        return self.session_timeout * 11 / 12

    @property
    def access(self) -> BackendAccess:
        """Who the agent is to ZooKeeper.

        Raises:
            ConfigurationError: a file of ``tls`` has gone since it was checked.
        """
        return BackendAccess(
            identity=None if self.auth is None else self.auth.identity,
            readers=tuple(self.readers),
            tls=None if self.tls is None else self.tls.context("zookeeper.tls"),
        )

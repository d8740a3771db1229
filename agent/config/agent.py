"""The agent's configuration: one YAML file, validated as a whole before anything is touched.

Here are the sections, their units and defaults, and the contradictions between them that are refused;
``file.py`` reads the file and turns what is wrong into sentences. Nothing here opens a connection.

All times are in seconds.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, Field, model_validator

from rabbitkeeper.agent.config.broker import BrokerConfig
from rabbitkeeper.agent.config.election import ElectionConfig, FailbackConfig, ReplicasConfig
from rabbitkeeper.agent.config.fields import Section, Text, named, problem
from rabbitkeeper.agent.config.file import read_settings, validated
from rabbitkeeper.agent.config.health import HealthConfig
from rabbitkeeper.agent.config.hooks import HooksConfig
from rabbitkeeper.agent.config.http import HttpConfig
from rabbitkeeper.agent.config.zookeeper import ZooKeeperConfig
from rabbitkeeper.coordinator.model.addresses import is_loopback
from rabbitkeeper.coordinator.model.records import Tags
from rabbitkeeper.coordinator.zookeeper.hosts import hosts_of

OPERATION_TIMEOUT = 2.0  # the longest that one ZooKeeper operation keeps the agent's loop waiting
WATCHDOG_MARGIN = 0.5  # what a loop may need besides, on a busy host


class TagsConfig(Section):
    """``tags``: what the election and clients should know of this member."""

    priority: Annotated[int, Field(ge=0, le=1_000_000)] = 100
    site: Text | None = None
    no_failover: bool = False

    @property
    def record(self) -> Tags:
        return Tags(priority=self.priority, site=self.site, no_failover=self.no_failover)


class WatchdogConfig(Section):
    """``watchdog``: ends the agent when its loop has stopped.

    ``timeout`` defaults to 5 s, or to five sixths of a session timeout that is shorter than 6 s.
    """

    timeout: Annotated[float, Field(gt=0, le=120, allow_inf_nan=False)] | None = None


class LogConfig(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class AgentConfig(Section):
    """One agent: the whole file."""

    group: Annotated[str, named("group")]
    name: Annotated[str, named("member")]
    zookeeper: ZooKeeperConfig
    broker: BrokerConfig
    health: HealthConfig = HealthConfig()
    hooks: HooksConfig = HooksConfig()
    http: HttpConfig = HttpConfig()
    tags: TagsConfig = TagsConfig()
    election: ElectionConfig = ElectionConfig()
    failback: FailbackConfig = FailbackConfig()
    replicas: ReplicasConfig = ReplicasConfig()
    preferred_site: Text | None = None
    watchdog: WatchdogConfig = WatchdogConfig()
    log: LogConfig = LogConfig()

    @property
    def watchdog_timeout(self) -> float:
        """Seconds after which a stopped loop ends the process."""
        if self.watchdog.timeout is not None:
            return self.watchdog.timeout
        return min(5.0, self.zookeeper.session_timeout * 5 / 6)

    @property
    def secret_files(self) -> tuple[Path, ...]:
        """Every file that a password, a token or a certificate is read from."""
        broker, auth = self.broker, self.zookeeper.auth
        sections: list[BaseModel | None] = [self.http, broker.amqp, broker.amqp.tls, auth, self.zookeeper.tls]
        files = [value for one in sections if one is not None for _, value in one if isinstance(value, Path)]
        if broker.management is not None and broker.management.ca_file is not None:
            files.append(broker.management.ca_file)
        return tuple(files)

    def with_secrets_of(self, other: "AgentConfig") -> "AgentConfig":
        """This configuration with the passwords, tokens and certificates of ``other``, and its address of
        ZooKeeper; all else stays."""
        amqp = _taking(
            self.broker.amqp, other.broker.amqp, "password", "password_file", "password_env", "tls"
        )
        broker = self.broker.model_copy(update={"amqp": amqp})
        if broker.management is not None and other.broker.management is not None:
            management = _taking(broker.management, other.broker.management, "ca_file")
            broker = broker.model_copy(update={"management": management})
        zookeeper = _taking(self.zookeeper, other.zookeeper, "tls", "hosts")
        if self.zookeeper.auth is not None and other.zookeeper.auth is not None:
            zookeeper = zookeeper.model_copy(update={"auth": other.zookeeper.auth})
        http = self.http
        if http.listen is not None and (http.certificate is None) == (other.http.certificate is None):
            http = _taking(http, other.http, *_HTTP_SECRETS)
        return self.model_copy(update={"broker": broker, "zookeeper": zookeeper, "http": http})

    def differs_from(self, other: "AgentConfig") -> tuple[str, ...]:
        """The keys in which another configuration differs, by their paths."""
        return tuple(_differences(self, other))

    @property
    def exposures(self) -> tuple[str, ...]:
        """What anybody who reaches a port could do or read, a sentence each with what would help."""
        found = []
        if self.zookeeper.auth is None:
            found.append(
                "zookeeper.auth is not set: whoever reaches ZooKeeper can name any address as a broker, and "
                "clients send their passwords there; set it, and let clients have allowed_brokers"
            )
        elif self.zookeeper.tls is None and not all(map(is_loopback, hosts_of(self.zookeeper.hosts))):
            found.append(
                "the password of zookeeper.auth goes over the network in the clear; set zookeeper.tls"
            )
        if self.http.token is not None and self.http.certificate is None and not is_loopback(self.http.host):
            found.append(
                f"http.token goes over the network in the clear: http.listen is {self.http.listen}; "
                "set http.certificate, or listen on 127.0.0.1"
            )
        if self.broker.amqp.tls is None and not is_loopback(self.broker.amqp.host):
            found.append(
                f"the password of broker.amqp goes to {self.broker.amqp.host} in the clear; "
                "set broker.amqp.tls"
            )
        return tuple(found)

    @model_validator(mode="after")
    def _timings_agree(self) -> Self:
        timeout, session = self.watchdog_timeout, self.zookeeper.asked_timeout
        least = OPERATION_TIMEOUT + WATCHDOG_MARGIN
        if timeout >= session:
            raise problem(
                "watchdog.timeout",
                f"is {timeout:g} s, not shorter than the {session:g} s that a ZooKeeper session lasts "
                f"(eleven twelfths of zookeeper.session_timeout, {self.zookeeper.session_timeout:g} s): "
                f"a stopped agent would outlive its lease; set it to at most {session * 10 / 11:.3g}",
            )
        if timeout < least:
            raise problem(
                "watchdog.timeout",
                f"is {timeout:g} s, shorter than the {least:g} s that a healthy loop may need "
                f"({OPERATION_TIMEOUT:g} s for one ZooKeeper operation and {WATCHDOG_MARGIN:g} s "
                f"besides); set it to {least:g} or more",
            )
        return self


_HTTP_SECRETS = ("token", "token_file", "token_env", "certificate", "key", "client_ca", "verify")

ModelT = TypeVar("ModelT", bound=BaseModel)


def _taking(mine: ModelT, other: BaseModel, *names: str) -> ModelT:
    return mine.model_copy(update={name: getattr(other, name) for name in names})


def _differences(mine: BaseModel, other: BaseModel, prefix: str = "") -> Iterator[str]:
    for name in type(mine).model_fields:
        here, there = getattr(mine, name), getattr(other, name)
        if isinstance(here, BaseModel) and isinstance(there, BaseModel):
            yield from _differences(here, there, f"{prefix}{name}.")
        elif here != there:
            yield prefix + name


def load(path: Path | str) -> AgentConfig:
    """Read and validate an agent's configuration file.

    Args:
        path: the YAML file; relative paths in it are relative to its folder.

    Raises:
        ConfigurationError: one line for each problem: the key's path, its value (never a secret's) and
            what would do.
    """
    path = Path(path)
    return validated(AgentConfig, read_settings(path), source=path)

"""What a connection of kombu's goes by: its broker URL, and Celery's ``broker_transport_options``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rabbitkeeper.client.arguments import check_texts, check_timeouts
from rabbitkeeper.client.kombu.broker_url import BrokerUrl
from rabbitkeeper.client.model.errors import InvalidArgument
from rabbitkeeper.client.routing.allowed_brokers import AllowedBrokers
from rabbitkeeper.client.routing.placement import Spread
from rabbitkeeper.client.watching import Watched, group_in_zookeeper, group_of_agents
from rabbitkeeper.coordinator.first_line import first_line
from rabbitkeeper.coordinator.tls import client_context

ANSWER_TIMEOUT = 10.0  # seconds for the broker to answer a request, or to confirm a message

# Secrets are given as files: kombu shows its options to whoever may ask a worker for its state.
_ZOOKEEPER = ("zookeeper_auth_file", "zookeeper_ca", "session_timeout")
_AGENTS = ("token_file", "ca")
OPTIONS = (*_ZOOKEEPER, *_AGENTS, "allowed_brokers", "answer_timeout", "name")
"""Those that are ours; all others are py-amqp's."""
_SECRETS = {"token": "token_file", "zookeeper_auth": "zookeeper_auth_file"}


@dataclass(frozen=True, slots=True)
class Lookup:
    """Where to look for brokers. Connections with equal ones share what looks there.

    Attributes:
        secure: connect to the brokers with TLS.
        zookeeper_auth_file: its first line is ``user:password`` of ZooKeeper's ``digest`` scheme.
        zookeeper_ca, ca: PEM files with the authorities of ZooKeeper's and the agents' certificates.
        token_file: its first line is shown to the agents.
        session_timeout: of ZooKeeper's session, seconds.
    """

    group: str
    zookeeper: str | None
    agents: tuple[str, ...] | None
    spread: Spread
    site: str | None
    secure: bool
    zookeeper_auth_file: str | None = None
    zookeeper_ca: str | None = None
    session_timeout: float = 6.0
    token_file: str | None = None
    ca: str | None = None
    allowed_brokers: tuple[str, ...] | None = None
    name: str = "rabbitkeeper"

    def watched(self) -> Watched:
        """The group to watch. The files are read here.

        Raises:
            InvalidArgument: one cannot be read, or has nothing that would do.
            ConfigurationError: so of a certificate's.
        """
        if self.agents is not None:
            token = None if self.token_file is None else _secret("token_file", self.token_file)
            return group_of_agents(self.agents, self.group, token, self.ca, zookeeper=None)
        auth = None
        if self.zookeeper_auth_file is not None:
            user, colon, password = _secret("zookeeper_auth_file", self.zookeeper_auth_file).partition(":")
            if not colon:
                raise InvalidArgument(
                    f"zookeeper_auth_file {self.zookeeper_auth_file!r} has no line user:password"
                )
            auth = (user, password)
        tls = None if self.zookeeper_ca is None else client_context(self.zookeeper_ca, where="zookeeper")
        return group_in_zookeeper(self.zookeeper, self.group, auth, tls, self.session_timeout)


@dataclass(frozen=True, slots=True)
class KombuSettings:
    """All that is known of one connection before it is made.

    Attributes:
        answer_timeout: seconds.
        amqp: what else is for py-amqp.
    """

    lookup: Lookup
    answer_timeout: float
    amqp: Mapping[str, Any] = field(default_factory=dict)


def settings_of(url: BrokerUrl, options: Mapping[str, Any], *, secure: bool) -> KombuSettings:
    """What a URL and the transport's options say together.

    Raises:
        InvalidArgument: an option is not valid, or has no meaning here.
    """
    for secret, file in _SECRETS.items():
        if secret in options:
            raise InvalidArgument(
                f"the transport option {secret} is not known: kombu shows its options; use {file}"
            )
    ours = {key: options[key] for key in OPTIONS if options.get(key) is not None}
    foreign = _ZOOKEEPER if url.agents is not None else _AGENTS
    for key in foreign:
        if key in ours:
            where = "agents" if url.agents is not None else "ZooKeeper"
            raise InvalidArgument(f"the transport option {key} is of no use where {where} is asked")
    answer_timeout = ours.pop("answer_timeout", ANSWER_TIMEOUT)
    check_timeouts(answer_timeout=answer_timeout, session_timeout=ours.get("session_timeout", 6.0))
    for key in ("zookeeper_auth_file", "zookeeper_ca", "token_file", "ca"):
        if key in ours:
            ours[key] = _path(key, ours[key])
    check_texts(virtual_host=url.virtual_host or "/", name=ours.get("name", "rabbitkeeper"))
    if "allowed_brokers" in ours:
        AllowedBrokers(ours["allowed_brokers"])  # refused at once
        ours["allowed_brokers"] = tuple(ours["allowed_brokers"])
    lookup = Lookup(url.group, url.zookeeper, url.agents, url.spread, url.site, secure, **ours)
    rest = {key: value for key, value in options.items() if key not in OPTIONS}
    return KombuSettings(lookup, float(answer_timeout), rest)


def _path(key: str, value: object) -> str:
    if not isinstance(value, str | Path) or not str(value):
        raise InvalidArgument(f"the transport option {key} is not valid: use the path of a file")
    return str(value)


def _secret(key: str, file: str) -> str:
    try:
        return first_line(Path(file))
    except ValueError as error:
        raise InvalidArgument(f"{key} {file!r} cannot be read: {error}") from None

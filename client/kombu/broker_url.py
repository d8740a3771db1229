"""A broker URL of RabbitKeeper's, taken apart. Pure.

``rabbitkeeper://user:password@zk1:2181,zk2:2181/orders?vhost=…`` asks ZooKeeper for the group ``orders``;
``rabbitkeeper+https://user:password@mq1:8008,mq2:8008/orders`` asks the agents. What has a meaning in URLs is
percent-encoded in user name, password and values. No error shows any of it: a password may stand anywhere.
"""

from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qsl, quote, unquote

from rabbitkeeper.client.discovery.agent_address import check_agents
from rabbitkeeper.client.model.checks import check_short
from rabbitkeeper.client.model.errors import InvalidArgument
from rabbitkeeper.client.routing.placement import Spread
from rabbitkeeper.coordinator.model.errors import RabbitKeeperError
from rabbitkeeper.coordinator.model.paths import check_name

SCHEME = "rabbitkeeper"
AGENTS = {"http", "https", f"{SCHEME}+http", f"{SCHEME}+https"}  # kombu takes off what is before the plus
_SPREADS: tuple[Spread, ...] = ("leader", "members", "site")
_KEYS = ("vhost", "spread", "site")
_USE = "use rabbitkeeper://user:password@zk1:2181,zk2:2181/group, or rabbitkeeper+https://… with the agents"


@dataclass(frozen=True, slots=True)
class BrokerUrl:
    """What it says.

    Attributes:
        scheme: ``rabbitkeeper``, ``rabbitkeeper+http`` or ``rabbitkeeper+https``.
        servers: ZooKeeper's or the agents', as they stand there.
        base: a path below which ZooKeeper has the groups (its chroot), or the agents their API; with a slash.
        username, password, virtual_host: None: it has none.
    """

    scheme: str
    servers: str
    group: str
    base: str = ""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    virtual_host: str | None = None
    spread: Spread = "leader"
    site: str | None = None

    @classmethod
    def parse(cls, url: str) -> Self:
        """What ``url`` says.

        Raises:
            InvalidArgument: it is no such URL; says which part, and shows nothing of it.
        """
        scheme, separator, rest = url.partition("://")
        if not separator or (scheme != SCHEME and scheme not in AGENTS):
            raise InvalidArgument(f"the broker URL is not valid: {_USE}")
        rest, has_query, query = rest.partition("?")
        if "#" in rest or "#" in query:
            raise InvalidArgument("the broker URL has a '#' in it: write %23 where it belongs to a value")
        place, _, path = rest.partition("/")
        user, has_user, servers = place.rpartition("@")
        username, has_password, password = user.partition(":")
        if not servers:
            raise InvalidArgument(f"the broker URL names no server: {_USE}")
        base, _, group = path.rstrip("/").rpartition("/")
        values = _values(query) if has_query else {}
        known = cls(
            scheme=scheme if scheme.startswith(SCHEME) else f"{SCHEME}+{scheme}",
            servers=servers,
            group=_named("group", group),
            base=f"/{base}" if base else "",
            username=_text("user name", username) if has_user else None,
            password=_text("password", password) if has_password else None,
            virtual_host=values.get("vhost"),
            spread=_spread(values.get("spread", "leader")),
            site=values.get("site"),
        )
        if (known.spread == "site") != (known.site is not None):
            raise InvalidArgument("the broker URL has one of site=… and spread=site without the other")
        if known.virtual_host is not None:
            check_short("the broker URL's vhost", known.virtual_host, empty=False)
        known.agents  # noqa: B018 - refused at once
        return known

    @property
    def agents(self) -> tuple[str, ...] | None:
        """The agents' APIs; None where ZooKeeper is asked.

        Raises:
            InvalidArgument: one is no address.
        """
        if self.scheme == SCHEME:
            return None
        scheme = self.scheme.removeprefix(f"{SCHEME}+")
        agents = tuple(f"{scheme}://{server}{self.base}" for server in self.servers.split(","))
        check_agents(agents)
        return agents

    @property
    def zookeeper(self) -> str | None:
        """ZooKeeper's servers; None where the agents are asked."""
        return self.servers + self.base if self.scheme == SCHEME else None

    def text(self, password: str | None = None) -> str:
        """The URL again, with ``password`` as it is to stand there, if it has a user name; None: without."""
        user = ""
        if self.username is not None:
            user = quote(self.username, safe="") + ("" if password is None else f":{password}") + "@"
        return f"{self.scheme}://{user}{self.servers}{self.base}/{self.group}{self._query}"

    def without_user(self) -> str:
        """The URL again, without user name and password."""
        return f"{self.scheme}://{self.servers}{self.base}/{self.group}{self._query}"

    @property
    def _query(self) -> str:
        values = {
            "vhost": self.virtual_host,
            "spread": self.spread if self.spread != "leader" else None,
            "site": self.site,
        }
        text = "&".join(
            f"{key}={quote(value, safe='')}" for key, value in values.items() if value is not None
        )
        return f"?{text}" if text else ""


def _values(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        raise InvalidArgument("the broker URL has something behind '?' that is no key=value") from None
    values = dict(pairs)
    unknown = sorted(set(values) - set(_KEYS))
    if unknown or len(values) != len(pairs):
        raise InvalidArgument(
            f"the broker URL has a key that is not known, or one twice: use {', '.join(_KEYS)}; everything "
            "else goes to broker_transport_options"
        )
    return values


def _spread(value: str) -> Spread:
    for spread in _SPREADS:
        if value == spread:
            return spread
    raise InvalidArgument(f"the broker URL's spread is not valid: use one of {', '.join(_SPREADS)}")


def _named(what: str, text: str) -> str:
    """A name that is fit for a group."""
    name = _text(what, text)
    try:
        check_name(what, name)
    except RabbitKeeperError:
        raise InvalidArgument(
            f"the broker URL has no good {what} behind its servers (percent-encode '/' and '@' in a "
            f"password): {_USE}"
        ) from None
    return name


def _text(what: str, text: str) -> str:
    """Percent-decoded."""
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise InvalidArgument(f"the broker URL's {what} is not UTF-8 when it is percent-decoded") from None

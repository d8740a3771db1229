"""Where an agent's HTTP API is, out of what a user writes. No name is resolved.

What is refused is not shown where it could hold a secret: an address with a user name in it has a password as
well, as a rule.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from rabbitkeeper.client.model.checks import shown
from rabbitkeeper.client.model.errors import InvalidArgument

PORTS = {"http": 80, "https": 443}
LEAST_PORT, LARGEST_PORT = 1, 65535
LONGEST = 1000  # characters
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@%/")
_USE = "use http:// or https://, a host, and a port unless it is 80 or 443, as in 'https://mq1:8008'"


@dataclass(frozen=True, slots=True)
class AgentAddress:
    """One agent's API.

    Attributes:
        host: a name or an address; of IPv6 without brackets.
        path: before the API's own paths, where a proxy has it below one; without a slash at its end.
    """

    secure: bool
    host: str
    port: int
    path: str = ""

    @property
    def authority(self) -> str:
        """Host and port as HTTP names them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{'https' if self.secure else 'http'}://{self.authority}{self.path}"


def check_agents(agents: object) -> tuple[AgentAddress, ...]:
    """The addresses of agents, each once.

    Raises:
        InvalidArgument: there is none, or one is no address.
    """
    if isinstance(agents, str | bytes) or not isinstance(agents, Iterable):
        raise InvalidArgument(f"agents of type {type(agents).__name__} is not valid: use a list; {_USE}")
    found = tuple(dict.fromkeys(_address(agent) for agent in agents))
    if not found:
        raise InvalidArgument(f"agents is empty: name one or more; {_USE}")
    return found


def check_token(token: object) -> str | None:
    """What is shown to agents, fit for a header. It is in no error."""
    if token is None:
        return None
    if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
        raise InvalidArgument("token is not valid: use a string of printable ASCII characters, or None")
    if token != token.strip():
        raise InvalidArgument("token is not valid: it has a blank at its beginning or end")
    return token


def _address(agent: object) -> AgentAddress:
    if not isinstance(agent, str) or len(agent) > LONGEST:
        raise InvalidArgument(f"agents has {shown(agent)}: {_USE}")
    try:
        parts = urlsplit(agent)
        port = parts.port
    except ValueError:  # brackets or a port that are none
        parts, port = SplitResult("", "", "", "", ""), None
    if "@" in agent:
        raise InvalidArgument(f"agents has an address with a user name in it; give token instead, and {_USE}")
    if parts.query or parts.fragment or "?" in agent or "#" in agent:
        raise InvalidArgument(f"agents has an address with something behind its path: {_USE}")
    host = parts.hostname
    if (
        parts.scheme not in PORTS
        or not host
        or not host.isascii()
        or any(character not in _PLAIN for character in agent.replace("[", "").replace("]", ""))
        or (port is not None and not LEAST_PORT <= port <= LARGEST_PORT)
    ):
        raise InvalidArgument(f"agents has {shown(agent)}: {_USE}")
    return AgentAddress(
        secure=parts.scheme == "https",
        host=host,
        port=PORTS[parts.scheme] if port is None else port,
        path=parts.path.rstrip("/"),
    )

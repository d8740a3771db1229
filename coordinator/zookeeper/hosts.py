"""The address of a ZooKeeper ensemble: what it may look like. Pure."""

import re

from rabbitkeeper.coordinator.model.addresses import is_ipv6
from rabbitkeeper.coordinator.model.errors import ConfigurationError

_HOST = r"(?:\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._~-]+)?\]|[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?\.?)"
_SERVER = re.compile(_HOST + r"(?::(?P<port>[0-9]{1,5}))?")
_CHROOT = re.compile(r"(?:/[^/,\s]+)+")


def check_hosts(hosts: object) -> str:
    """Return ``hosts`` without blanks if it is ``host[:port][,host[:port]...][/chroot]``.

    Raises:
        ConfigurationError: it is not.
    """
    text = hosts.replace(" ", "") if isinstance(hosts, str) else ""
    servers, slash, rest = text.partition("/")
    good = all(_is_server(server) for server in servers.split(","))
    if good and (not slash or _CHROOT.fullmatch(slash + rest)):
        return text
    raise ConfigurationError(
        f"ZooKeeper hosts {hosts!r} are not valid: use host:port[,host:port...][/chroot], "
        "as in zk1:2181,zk2:2181,zk3:2181"
    )


def hosts_of(hosts: str) -> tuple[str, ...]:
    """The servers' names or addresses, without ports.

    Args:
        hosts: as :func:`check_hosts` returns it.
    """
    servers = hosts.partition("/")[0].split(",")
    return tuple(re.sub(r":[0-9]+\Z", "", server).strip("[]") for server in servers)


def certified_name(host: str) -> str:
    """What a certificate has to be for: ``host`` without a final dot, and without an IPv6 zone."""
    return host.strip("[]").partition("%")[0].rstrip(".")


def _is_server(text: str) -> bool:
    match = _SERVER.fullmatch(text)
    if match is None or not 0 < int(match["port"] or 2181) < 65536:
        return False
    return not text.startswith("[") or is_ipv6(text[1 : text.index("]")])

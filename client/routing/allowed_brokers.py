"""Where a client's password may go: host names and networks. Pure: no name is resolved.

ZooKeeper says where brokers are, and whoever may write there could name any address. A broker is allowed by
the host that its member announces: a name by the same name, or by ``*.domain`` if it is below that domain; an
address by itself or by its network. A name is never allowed by a network: others say what it
resolves to.
"""

import ipaddress
from collections.abc import Iterable

from rabbitkeeper.client.model.errors import InvalidArgument

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class AllowedBrokers:
    """What a user allows.

    Args:
        hosts: names, ``*.domain``, addresses and networks (``10.0.0.0/8``); None: everything.

    Raises:
        InvalidArgument: one of them is nothing of the kind.
    """

    def __init__(self, hosts: Iterable[str] | None) -> None:
        self._everything = hosts is None
        self._names: set[str] = set()
        self._domains: set[str] = set()
        self._networks: list[_Network] = []
        if isinstance(hosts, str | bytes):
            raise InvalidArgument(f"allowed_brokers {hosts!r} is not valid: use a list of hosts and networks")
        for host in hosts or ():
            self._add(host)

    def allows(self, address: str) -> bool:
        """Whether a broker at ``address``, host:port, may be connected to."""
        if self._everything:
            return True
        host = address.rpartition(":")[0].strip("[]")
        try:
            number = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            name = _name(host)
            return name in self._names or any(name.endswith(domain) for domain in self._domains)
        number = getattr(number, "ipv4_mapped", None) or number
        return any(number in network for network in self._networks)

    def _add(self, host: object) -> None:
        if not isinstance(host, str) or not host.strip() or host != host.strip():
            raise InvalidArgument(f"allowed_brokers has {host!r}: use host names, *.domain, or networks")
        try:
            self._networks.append(ipaddress.ip_network(host.strip("[]")))
        except ValueError:
            name = _name(host)
            if "/" in name or ":" in name or "*" in name.removeprefix("*.") or not name.isascii():
                raise InvalidArgument(
                    f"allowed_brokers has {host!r}, which is no name and no network (its host bits must be "
                    "0): use host names without a port, *.domain, addresses, or networks as in 10.0.0.0/8"
                ) from None
            if name.startswith("*."):
                self._domains.add(name[1:])
            else:
                self._names.add(name)


def _name(host: str) -> str:
    """As names are compared."""
    return host.rstrip(".").lower()


EVERYTHING = AllowedBrokers(None)

"""What can be said of an address by looking at it. Pure: no name is resolved."""

import ipaddress


def is_ipv6(text: str) -> bool:
    """Whether it is an IPv6 address, without brackets; a zone may follow."""
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this host's own, which no network sees."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.rstrip(".").lower() == "localhost"


def is_unspecified(host: str) -> bool:
    """Whether ``host`` means every address of a host, so that nobody can connect to it."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_unspecified
    except ValueError:
        return False

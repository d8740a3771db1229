"""Who one is to the backend, and who may read what one creates. Plain data."""

import ssl
from dataclasses import dataclass, field

from rabbitkeeper.coordinator.model.errors import AccessDenied, ConfigurationError


@dataclass(frozen=True, slots=True)
class BackendAccess:
    """Who one is to the backend.

    Agents and operators have one identity, which may do everything; clients may read. Without an identity all
    nodes are open to everybody, and the backend must be reachable by agents and clients only.

    Args:
        identity: user and password; None: nobody in particular. See :func:`check_identity`.
        readers: with an identity, who else may read what one creates, each as the backend names somebody;
            None: everybody.
        tls: for the connections; None: without TLS.
    """

    identity: tuple[str, str] | None = field(default=None, repr=False)
    readers: tuple[str, ...] | None = None
    tls: ssl.SSLContext | None = None


ANYBODY = BackendAccess()


def check_identity(user: str, password: str) -> tuple[str, str]:
    """The identity, if the backend can tell it apart.

    Raises:
        ConfigurationError: the user's name is empty or has a colon, or the password is empty.
    """
    if not user or ":" in user or not password:
        raise ConfigurationError(
            f"the ZooKeeper user {user!r} is not valid: use a name without a colon, and a password"
        )
    return user, password


def may_not_create(path: str) -> AccessDenied:
    """The error for a node that is not there and that one may not create: it is its parent that is closed."""
    parent = path.rpartition("/")[0] or "/"
    return AccessDenied(
        f"ZooKeeper does not let this identity create {path}: the ACL of {parent} keeps that to others; have "
        f"whoever owns {parent} create {path} so that the group's agents may do everything with it, or give "
        "the identity that may (zookeeper.auth of agents, --zookeeper-auth of commands)"
    )

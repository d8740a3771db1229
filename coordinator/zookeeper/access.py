"""How to get into ZooKeeper, and who may do what with the znodes that one creates.

Agents and operators have one identity, which may do everything; clients may read. Without an identity all
znodes are open to everybody, and ZooKeeper must be reachable by agents and clients only.
"""

import base64
import hashlib
import re
import ssl
from dataclasses import dataclass, field

from rabbitkeeper.coordinator.model.errors import ConfigurationError

ANYONE = "world:anyone"

_READER = re.compile(r"(world:anyone|digest:[^:\s]+:[A-Za-z0-9+/]{27}=|(?:x509|sasl|ip):\S+)")


@dataclass(frozen=True, slots=True)
class ZooKeeperAccess:
    """Who one is to ZooKeeper.

    Args:
        identity: user and password of ZooKeeper's ``digest`` scheme; None: nobody in particular.
        readers: with an identity, who else may read what one creates, as ``scheme:id``; see
            :func:`check_reader`.
        tls: for ZooKeeper's secure client port; None: without TLS.
    """

    identity: tuple[str, str] | None = field(default=None, repr=False)
    readers: tuple[str, ...] = (ANYONE,)
    tls: ssl.SSLContext | None = None


def digest_id(identity: tuple[str, str]) -> str:
    """The id under which ZooKeeper's ``digest`` scheme knows a user, ``user:hash``.

    Source: ZooKeeper's DigestAuthenticationProvider.generateDigest: base64 of SHA-1 of ``user:password``.
    """
    user, password = identity
    # The scheme leaves no choice of the hash; it keeps a password out of the ACL, not more.
    hashed = hashlib.sha1(f"{user}:{password}".encode(), usedforsecurity=False).digest()
    return f"{user}:{base64.b64encode(hashed).decode()}"


def check_identity(user: str, password: str) -> tuple[str, str]:
    """The identity, if ZooKeeper can tell it apart.

    Raises:
        ConfigurationError: the user's name is empty or has a colon, or the password is empty.
    """
    if not user or ":" in user or not password:
        raise ConfigurationError(
            f"the ZooKeeper user {user!r} is not valid: use a name without a colon, and a password"
        )
    return user, password


def check_reader(reader: str) -> str:
    """Return ``reader`` if it names somebody as ZooKeeper's ACLs do.

    Raises:
        ConfigurationError: it is none of ``world:anyone``, ``digest:USER:HASH``, ``x509:NAME``,
            ``sasl:NAME``, ``ip:ADDRESS``.
    """
    if _READER.fullmatch(reader):
        return reader
    raise ConfigurationError(
        # Not shown whole: it may be a password that was written where its hash belongs.
        f"the reader {reader.partition(':')[0]}:… is not valid: use world:anyone, digest:USER:HASH (HASH is "
        "what printf 'USER:PASSWORD' | openssl dgst -binary -sha1 | base64 prints), x509:SUBJECT, sasl:NAME "
        "or ip:ADDRESS"
    )

"""How ZooKeeper names those who may get in: its ``digest`` scheme, and who may read, as in an ACL."""

import base64
import hashlib
import re

from rabbitkeeper.coordinator.model.errors import ConfigurationError

_READER = re.compile(r"(world:anyone|digest:[^:\s]+:[A-Za-z0-9+/]{27}=|(?:x509|sasl|ip):\S+)")


def digest_id(identity: tuple[str, str]) -> str:
    """The id under which ZooKeeper's ``digest`` scheme knows a user, ``user:hash``.

    Source: ZooKeeper's DigestAuthenticationProvider.generateDigest: base64 of SHA-1 of ``user:password``.
    """
    user, password = identity
    # The scheme leaves no choice of the hash; it keeps a password out of the ACL, not more.
    hashed = hashlib.sha1(f"{user}:{password}".encode(), usedforsecurity=False).digest()
    return f"{user}:{base64.b64encode(hashed).decode()}"


def writer_name(identity: tuple[str, str]) -> str:
    """An identity as the backend's permissions name it."""
    return f"digest:{digest_id(identity)}"


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

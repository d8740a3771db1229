"""Ends a ZooKeeper session from outside, which nobody but its owner should be able to.

A session can be continued, and so closed, by whoever knows its password. ZooKeeper derives it from the
session's id alone: sixteen bytes of ``java.util.Random``, seeded with the id and a constant
(``ZooKeeperServer.generatePasswd``). So this is the real thing: the server ends the session, and its owner is
told when it comes back.
"""

from kazoo.client import KazooClient

_SECRET = 0xB3415C00  # ZooKeeperServer.superSecret
_MASK = (1 << 48) - 1


def password(session: int) -> bytes:
    """The session's password."""
    seed = ((session ^ _SECRET) ^ 0x5DEECE66D) & _MASK
    made = b""
    for _ in range(4):  # Random.nextBytes takes an int at a time, its lowest byte first
        seed = (seed * 0x5DEECE66D + 0xB) & _MASK
        made += ((seed >> 16) & 0xFFFFFFFF).to_bytes(4, "little")
    return made


def end_session(hosts: str, session: int) -> None:
    """Continue a session and close it at once."""
    thief = KazooClient(hosts, timeout=5.5, client_id=(session, password(session)))
    thief.start(10)
    assert thief.client_id[0] == session, "it was another session that was begun"
    thief.stop()
    thief.close()

"""What a session says of itself in the log: one line per change, for operators."""

import logging

from rabbitkeeper.coordinator.zookeeper.session_state import SessionState

_log = logging.getLogger(__name__.rpartition(".")[0] + ".session")


def report(name: str, hosts: str, timeout: float, before: SessionState, after: SessionState) -> None:
    """The connection has changed, or the session.

    Args:
        name: of its owner.
        hosts: where it is connected.
        timeout: seconds, as granted.
    """
    if after.connections != before.connections:
        _log.info(
            "%s: %sconnected to ZooKeeper at %s, session %s (generation %d), timeout %g s",
            name,
            "again " if before.connections else "",
            hosts,
            shown(after.session_id),
            after.generation,
            timeout,
        )
    if before.connected and not after.connected:
        _log.warning("%s: the connection to ZooKeeper at %s is lost", name, hosts)
    if before.session_id and not after.session_id:
        _log.warning("%s: the ZooKeeper session has expired", name)


def report_rollback(name: str, hosts: str, seen: int, zxid: int) -> None:
    """ZooKeeper has forgotten what was seen.

    Args:
        seen: the newest zxid that the session had seen.
        zxid: the newest that ZooKeeper knows.
    """
    _log.warning(
        "%s: ZooKeeper at %s has forgotten what it knew (its newest zxid is 0x%x, 0x%x had been seen): its "
        "data were deleted or restored from an older state, or it is another one; a new session begins",
        name,
        hosts,
        zxid,
        seen,
    )


def report_no_timeout() -> None:
    """kazoo has not told what was granted."""
    _log.error(
        "this version of kazoo does not tell the negotiated session timeout: no lease is certain, and nobody "
        "can lead with it; install kazoo 2.10 or 2.11"
    )


def shown(session_id: int) -> str:
    """As ZooKeeper's own log shows it."""
    return f"0x{session_id & (1 << 64) - 1:x}"

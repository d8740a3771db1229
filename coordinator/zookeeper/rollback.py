"""Whether ZooKeeper has forgotten what a session has seen: then its servers refuse that session for ever.

A client sends the zxid of the newest transaction that it has seen when it connects, and a server whose own
is older closes the connection without a word (``ZooKeeperServer.processConnectRequest``: "client must try
another server"). kazoo (2.10, 2.11) keeps that zxid and the session's id until a server answers that the
session has expired, so it tries for ever. A server that is booting, or in an ensemble without a majority,
looks the same, so a refusal alone proves nothing: a session of its own, which has seen nothing, asks for the
zxid. It syncs first, which goes through ZooKeeper's leader: one that lags behind proves nothing either.

It decides nothing about the session that is refused.
"""

import threading
from collections.abc import Callable

from kazoo.exceptions import KazooException

from rabbitkeeper.coordinator.backend.access import BackendAccess
from rabbitkeeper.coordinator.zookeeper.client import build

REFUSALS = 2  # handshakes without an answer until one asks: one happens when a server is stopped
PAUSE = 2.0  # seconds between two questions, each of which is a session and so a write to ZooKeeper
PATIENCE = 3.0  # seconds for one


class RollbackQuestion:
    """Asks beside the session, one question at a time. Given the time; one thread uses it.

    Args:
        name: of the session's owner, for the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._due = 0.0
        self._thread: threading.Thread | None = None

    def ask(
        self, hosts: str, access: BackendAccess, refusals: int, now: float, answered: Callable[[int], None]
    ) -> None:
        """Ask if it is time to; returns at once.

        Args:
            hosts: as ``hosts.check_hosts`` returns it.
            access: who asks.
            refusals: how many handshakes in a row have got no answer.
            now: seconds, monotonic.
            answered: is given the zxid of the newest transaction that ZooKeeper knows; on another thread, and
                not at all if ZooKeeper does not answer.
        """
        if refusals < REFUSALS or now < self._due or (self._thread is not None and self._thread.is_alive()):
            return
        self._due = now + PAUSE

        def run() -> None:
            zxid = newest_zxid(hosts, access)
            if zxid is not None:
                answered(zxid)

        self._thread = threading.Thread(target=run, name=f"{self._name}-rollback", daemon=True)
        self._thread.start()


def newest_zxid(hosts: str, access: BackendAccess, timeout: float = PATIENCE) -> int | None:
    """The newest transaction that ZooKeeper as a whole knows of; None if it does not answer.

    Args:
        timeout: seconds to connect, and again for the answer.
    """
    client, handler = build(hosts.partition("/")[0], timeout, access)
    try:
        client.start(timeout)
        client.sync_async("/").get(timeout=timeout)
        return int(client.last_zxid) or None
    except (KazooException, handler.timeout_exception, OSError):
        return None
    finally:
        client.stop()
        client.close()

"""The lock under which the RabbitMQ cluster is founded or joined: one ephemeral znode, no queue.

It is not a recipe: it does not promise that it is still held. Whoever holds it asks before each step that
must not happen twice, and the step itself ends in a compare-and-set of ``cluster``.
"""

import json
import time
from contextlib import suppress

from rabbitkeeper.coordinator.model.errors import CoordinationError, FormationBusy, ZnodeExists
from rabbitkeeper.coordinator.model.records import utcnow
from rabbitkeeper.coordinator.zookeeper.session import Session


class FormationLock:
    """One session's hold on the lock; made by :meth:`Store.formation_lock`.

    Args:
        session: a started session.
        path: of the lock's znode.
        session_id: of the session that is to hold it; never another one.
    """

    def __init__(self, session: Session, path: str, session_id: int) -> None:
        self._session = session
        self._path = path
        self._session_id = session_id

    def held(self) -> bool:
        """Ask ZooKeeper whether the lock is ours right now; False also when it cannot be asked."""
        try:
            znode = self._session.stat(self._path)
        except CoordinationError:
            return False
        return znode is not None and znode.owner == self._session_id == self._session.session_id

    def acquire(self, holder: str, timeout: float) -> None:
        """Create the znode, or wait until it is gone and try again.

        Args:
            holder: for those who wait.
            timeout: seconds.

        Raises:
            FormationBusy: another held it until the deadline.
            SessionLost, ZooKeeperUnreachable: as every operation.
        """
        data = json.dumps({"v": 1, "holder": holder, "since": utcnow()}, separators=(",", ":")).encode()
        deadline = time.monotonic() + timeout
        while True:
            seen = self._session.events
            try:
                self._session.create(self._path, data, ephemeral=True, in_session=self._session_id)
            except ZnodeExists:
                there = self._session.stat(self._path, watch=True)
            else:
                return
            if there is None:
                continue
            if there.owner == self._session_id:  # the answer to an earlier create was lost
                return
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise FormationBusy(self._busy(timeout))
            self._session.await_event(seen, remaining)

    def release(self) -> None:
        """Delete the znode if it is still ours; when ZooKeeper is away it goes with the session."""
        with suppress(CoordinationError):
            znode = self._session.stat(self._path)
            if znode is not None and znode.owner == self._session_id:
                self._session.delete(self._path, znode.version, in_session=self._session_id)

    def _busy(self, timeout: float) -> str:
        znode = self._session.read([self._path])[self._path]
        holder = "nobody any more" if znode is None else znode.data.decode(errors="replace")
        return f"another agent still held the lock {self._path} after {timeout:g} s: {holder}"

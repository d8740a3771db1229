"""The lock under which the RabbitMQ cluster is founded or joined: one ephemeral node, no queue.

It is not a recipe: it does not promise that it is still held. Whoever holds it asks before each step that
must not happen twice, and the step itself ends in a compare-and-set of ``cluster``.
"""

import json
from collections.abc import Callable
from contextlib import suppress

from rabbitkeeper.coordinator.backend.interface import Backend
from rabbitkeeper.coordinator.model.errors import CoordinationError, FormationBusy, NodeExists
from rabbitkeeper.coordinator.model.records import utcnow


class FormationLock:
    """One session's hold on the lock; made by :meth:`Store.formation_lock`.

    Args:
        backend: started.
        path: of the lock's node.
        session_id: of the session that is to hold it; never another one.
        clock: seconds, monotonic.
    """

    def __init__(self, backend: Backend, path: str, session_id: int, clock: Callable[[], float]) -> None:
        self._backend = backend
        self._path = path
        self._session_id = session_id
        self._clock = clock

    def held(self) -> bool:
        """Ask the backend whether the lock is ours right now; False also when it cannot be asked."""
        try:
            node = self._backend.stat(self._path)
        except CoordinationError:
            return False
        return node is not None and node.owner == self._session_id == self._backend.session_id

    def acquire(self, holder: str, timeout: float) -> None:
        """Create the node, or wait until it is gone and try again.

        Args:
            holder: for those who wait.
            timeout: seconds.

        Raises:
            FormationBusy: another held it until the deadline.
            SessionLost, ZooKeeperUnreachable: as every operation.
        """
        data = json.dumps({"v": 1, "holder": holder, "since": utcnow()}, separators=(",", ":")).encode()
        deadline = self._clock() + timeout
        while True:
            seen = self._backend.events
            try:
                self._backend.create(self._path, data, ephemeral=True, in_session=self._session_id)
            except NodeExists:
                there = self._backend.stat(self._path, watch=True)
            else:
                return
            if there is None:
                continue
            if there.owner == self._session_id:  # the answer to an earlier create was lost
                return
            remaining = deadline - self._clock()
            if remaining <= 0:
                raise FormationBusy(self._busy(timeout))
            self._backend.await_event(seen, remaining)

    def release(self) -> None:
        """Delete the node if it is still ours; when the backend is away it goes with the session."""
        with suppress(CoordinationError):
            node = self._backend.stat(self._path)
            if node is not None and node.owner == self._session_id:
                self._backend.delete(self._path, node.version, in_session=self._session_id)

    def _busy(self, timeout: float) -> str:
        node = self._backend.read([self._path])[self._path]
        holder = "nobody any more" if node is None else node.data.decode(errors="replace")
        return f"another agent still held the lock {self._path} after {timeout:g} s: {holder}"

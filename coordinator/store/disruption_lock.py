"""The lock of whoever takes a broker down: at most one kill, restart or drain in a group at a time.

One ephemeral node with the reason in it, that goes with its holder's session. Nobody waits for it: who does
not get it looks again later, when what it wanted to do may not be necessary any more. Whether a broker may be
taken down is decided in ``policy/disruption.py``.
"""

import json
from contextlib import suppress

from rabbitkeeper.coordinator.backend.interface import Backend
from rabbitkeeper.coordinator.model.errors import DisruptionBusy, NodeExists, NoNode
from rabbitkeeper.coordinator.model.records import utcnow
from rabbitkeeper.coordinator.store.own_member import current_session
from rabbitkeeper.coordinator.store.reader import read_node

_LONGEST_REASON = 500  # characters


class DisruptionLock:
    """One session's hold on the lock; made by :meth:`Store.disruption_lock`.

    Args:
        backend: started.
        path: of the lock's node.
    """

    def __init__(self, backend: Backend, path: str) -> None:
        self._backend = backend
        self._path = path

    def take(self, holder: str, reason: str) -> None:
        """Create the node; one that this session has already stays.

        Args:
            holder: the member whose broker is taken down.
            reason: why, a sentence for people.

        Raises:
            DisruptionBusy: another session has it; says who, and why.
            CoordinationError: as every operation.
        """
        session = current_session(self._backend)
        record = {"v": 1, "holder": holder, "reason": reason[:_LONGEST_REASON], "since": utcnow()}
        data = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()
        try:
            self._backend.create(self._path, data, ephemeral=True, in_session=session)
        except NodeExists:
            there = read_node(self._backend, self._path)
            if there is None or there.owner != session:
                raise DisruptionBusy(_said_by(None if there is None else there.data)) from None

    def release(self) -> None:
        """Delete the node if it is ours.

        Raises:
            CoordinationError: it may be there still; if the session ends, it goes with that.
        """
        node = self._backend.stat(self._path)
        if node is not None and node.owner == self._backend.session_id:
            with suppress(NoNode):
                self._backend.delete(self._path, node.version, in_session=node.owner)


def _said_by(data: bytes | None) -> str:
    try:
        record = json.loads(data or b"")
        return f"{record['holder']} is being taken down: {record['reason']}"
    except (ValueError, KeyError, TypeError):
        return "another broker is being taken down"

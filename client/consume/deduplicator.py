"""Which messages were acked already: a bounded memory of ids, to drop the second copy of a message.

A message is remembered when it is acked, not when it is delivered: one whose first copy was never finished
must be delivered again.
"""

import threading
from typing import Protocol


class Identified(Protocol):
    """A message with an id, if its publisher gave it one."""

    @property
    def message_id(self) -> str | None: ...


class Deduplicator:
    """The last ``size`` ids. From any thread."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._ids: dict[str, None] = {}  # in the order of acking
        self._lock = threading.RLock()  # a signal handler may come back in

    def acked(self, message: Identified) -> None:
        """Remember ``message``."""
        name = message.message_id
        if name is None:
            return
        with self._lock:
            self._ids.pop(name, None)
            self._ids[name] = None
            if len(self._ids) > self._size:
                del self._ids[next(iter(self._ids))]

    def has(self, message: Identified) -> bool:
        """Whether a message of its id was acked."""
        name = message.message_id
        return name is not None and name in self._ids

"""The window: how much may be handed over and have no outcome yet. It is what pushes back on publishers."""

import threading
import time
from collections.abc import Sequence


class Window:
    """Counts messages and bytes; a caller waits until there is room.

    Args:
        messages: at most this many.
        size: at most this many bytes of bodies; a single larger message passes when nothing else is open.
    """

    def __init__(self, messages: int, size: int) -> None:
        self._messages = messages
        self._size = size
        self._open_messages = 0
        self._open_size = 0
        self._changed = threading.Condition(threading.Lock())
        self._waiting = 0

    @property
    def open_messages(self) -> int:
        """Messages without an outcome."""
        return self._open_messages

    @property
    def open_size(self) -> int:
        """Bytes of their bodies."""
        return self._open_size

    def acquire(self, sizes: Sequence[int], deadline: float) -> int:
        """Wait until there is room for the first message, then take what there is room for.

        Args:
            sizes: of the bodies, in bytes.
            deadline: seconds, monotonic.

        Returns:
            How many messages, from the first on, are counted from now on; 0 when the deadline has passed.
        """
        with self._changed:
            while not self._has_room(sizes[0]):
                left = deadline - time.monotonic()
                if left <= 0:
                    return 0
                self._waiting += 1
                try:
                    self._changed.wait(left)
                finally:
                    self._waiting -= 1
            taken = 0
            for size in sizes:
                if not self._has_room(size):
                    break
                self._open_messages += 1
                self._open_size += size
                taken += 1
            return taken

    def release(self, messages: int, size: int) -> None:
        """So many messages, of so many bytes together, have their outcome."""
        with self._changed:
            self._open_messages -= messages
            self._open_size -= size
            if self._waiting:
                self._changed.notify_all()

    def _has_room(self, size: int) -> bool:
        if self._open_messages == 0:
            return True
        return self._open_messages < self._messages and self._open_size + size <= self._size

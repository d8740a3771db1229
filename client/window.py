"""The window: how much may be handed over and have no outcome yet. It is what pushes back on publishers."""

import threading
import time


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
        self._changed = threading.Condition()
        self._waiting = 0

    def acquire(self, size: int, deadline: float) -> bool:
        """Wait for room for one message of ``size`` bytes until ``deadline`` (seconds, monotonic)."""
        with self._changed:
            while not self._has_room(size):
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._waiting += 1
                try:
                    self._changed.wait(left)
                finally:
                    self._waiting -= 1
            self._open_messages += 1
            self._open_size += size
            return True

    def release(self, size: int) -> None:
        """The message has its outcome."""
        with self._changed:
            self._open_messages -= 1
            self._open_size -= size
            if self._waiting:
                self._changed.notify()

    def _has_room(self, size: int) -> bool:
        if self._open_messages == 0:
            return True
        return self._open_messages < self._messages and self._open_size + size <= self._size

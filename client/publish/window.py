"""The window: how much may be handed over and have no outcome yet. It is what pushes back on publishers.

A thread that waits is woken when a good part of the window is free, because waking one for each message costs
more than all else about the message. Whoever gives back is told that somebody still waits, and has to wake it
soon in any case.
"""

import threading
import time
from collections.abc import Sequence


class Window:
    """Counts messages and bytes; a caller waits until there is room.

    Args:
        messages: at most this many.
        size: at most this many bytes of bodies; a single larger message passes when nothing else is open.
            While one waits for that, nobody else takes room, so that its turn comes.
    """

    def __init__(self, messages: int, size: int) -> None:
        self._messages = messages
        self._size = size
        self._open_messages = 0
        self._open_size = 0
        self.lock = threading.RLock()  # a signal handler may come back in
        self._changed = threading.Condition(self.lock)
        self._waiting = 0
        self._large_waiting = 0  # of those, with a message that has to pass alone
        self._worth_waking = (messages - messages // 4, size - size // 4)

    @property
    def open_messages(self) -> int:
        """Messages without an outcome."""
        return self._open_messages

    @property
    def open_size(self) -> int:
        """Bytes of their bodies."""
        return self._open_size

    @property
    def is_worth_waking(self) -> bool:
        """Whether so much is free that one who waits has something to do for a while."""
        return self._open_messages <= self._worth_waking[0] and self._open_size <= self._worth_waking[1]

    def acquire(self, sizes: Sequence[int], deadline: float) -> int:
        """Wait until there is room for the first message, then take what there is room for.

        Args:
            sizes: of the bodies, in bytes.
            deadline: seconds, monotonic.

        Returns:
            How many messages, from the first on, are counted from now on; 0 when the deadline has passed.
        """
        taken = taken_size = 0
        try:
            with self.lock:
                is_large = sizes[0] > self._size
                if not self._may_pass(sizes[0]) and not self._wait(sizes[0], deadline, is_large=is_large):
                    return 0
                for size in sizes:
                    if not self._has_room(size) or (taken and self._large_waiting):
                        break
                    self._open_messages, self._open_size, taken, taken_size = (
                        self._open_messages + 1,
                        self._open_size + size,
                        taken + 1,
                        taken_size + size,
                    )
                return taken
        except BaseException:  # a signal's: the caller does not hear of what was taken
            if taken:
                self.release(taken, taken_size)
            raise

    def acquire_now(self, size: int) -> bool:
        """Take room for one message, if there is any at this moment."""
        is_taken = False
        try:
            with self.lock:
                if self._large_waiting or not self._has_room(size):
                    return False
                self._open_messages, self._open_size, is_taken = (
                    self._open_messages + 1,
                    self._open_size + size,
                    True,
                )
                return True
        except BaseException:  # as above
            if is_taken:
                self.release(1, size)
            raise

    def release(self, messages: int, size: int) -> bool:
        """So many messages, of so many bytes together, have their outcome.

        Returns:
            Whether somebody waits who was not woken: call :meth:`wake` soon.
        """
        with self.lock:
            self._open_messages -= messages
            self._open_size -= size
            if not self._waiting:
                return False
            if not self.is_worth_waking:
                return True
            self._changed.notify_all()
            return False

    def wake(self) -> None:
        """Whoever waits looks again."""
        with self.lock:
            self._changed.notify_all()

    def _wait(self, size: int, deadline: float, *, is_large: bool) -> bool:
        """Until there is room; whether there is. With the lock held."""
        is_counted = False
        try:
            # at once: a signal's exception in between would leave somebody counted who does not wait
            self._waiting, self._large_waiting, is_counted = (
                self._waiting + 1,
                self._large_waiting + is_large,
                True,
            )
            while not (self._has_room(size) if is_large else self._may_pass(size)):
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
            return True
        finally:
            self._waiting -= is_counted
            self._large_waiting -= is_large and is_counted
            if is_large and not self._large_waiting:
                self._changed.notify_all()  # those who have stood behind it

    def _may_pass(self, size: int) -> bool:
        return not self._large_waiting and self._has_room(size)

    def _has_room(self, size: int) -> bool:
        fits = self._open_messages < self._messages and self._open_size + size <= self._size
        return fits or self._open_messages == 0

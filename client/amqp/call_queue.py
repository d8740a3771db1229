"""Calls handed over to the I/O thread: a deque, and one wake-up a burst."""

import logging
from collections import deque
from collections.abc import Callable

log = logging.getLogger(__name__)


class CallQueue:
    """Calls to be made on the I/O thread, in the order of posting.

    Args:
        wake: has :meth:`do` called on the I/O thread, soon; may be called from any thread.
        before: called before each burst, on the I/O thread.
        after: called after it.
    """

    def __init__(
        self,
        wake: Callable[[Callable[[], None]], None],
        *,
        before: Callable[[], None],
        after: Callable[[], None],
    ) -> None:
        self._wake = wake
        self._before = before
        self._after = after
        self._calls: deque[Callable[[], None]] = deque()
        self._woken = False

    def post(self, call: Callable[[], None]) -> None:
        """Have ``call`` made soon. From any thread; dropped when the loop has ended."""
        self._calls.append(call)
        self.wake()

    def wake(self) -> None:
        """Have a burst done soon. From any thread, after what it is for was put in its place.

        No lock: who finds the flag set has put the call there before it is cleared, and so before the burst
        looks. Two threads may both find it clear, and the loop is woken twice.
        """
        if not self._woken:
            try:
                self._woken = True
                self._wake(self.do)
            except BaseException:  # a signal's: nobody else would wake the loop any more
                self._woken = False
                raise

    def do(self) -> None:
        """What was posted until now. On the I/O thread."""
        self._woken = False
        self._before()
        for _ in range(len(self._calls)):
            self._calls.popleft()()
        self._after()

    def finish(self) -> None:
        """What is left, when there is no loop any more. From any thread; one that fails keeps none from being
        made."""
        while self._calls:
            try:
                call = self._calls.popleft()
            except IndexError:  # another thread does the same
                return
            try:
                call()
            except BaseException:
                log.exception("a call failed that was left over at the end")

"""Work handed over to the I/O thread: a deque, and one wake-up a burst."""

import threading
from collections import deque
from collections.abc import Callable


class Work:
    """Calls to be made on the I/O thread, in the order of posting.

    Args:
        wake: has :meth:`do` called on the I/O thread, soon; may be called from any thread.
        after: called after each burst, on the I/O thread.
    """

    def __init__(self, wake: Callable[[Callable[[], None]], None], after: Callable[[], None]) -> None:
        self._wake = wake
        self._after = after
        self._calls: deque[Callable[[], None]] = deque()
        self._woken = False
        self._lock = threading.Lock()

    def post(self, call: Callable[[], None]) -> None:
        """Have ``call`` made soon. From any thread; dropped when the loop has ended."""
        self._calls.append(call)
        with self._lock:
            if self._woken:
                return
            self._woken = True
        self._wake(self.do)

    def do(self) -> None:
        """What was posted until now. On the I/O thread."""
        with self._lock:
            self._woken = False
        for _ in range(len(self._calls)):
            self._calls.popleft()()
        self._after()

    def finish(self) -> None:
        """What is left, when there is no loop any more."""
        while self._calls:
            self._calls.popleft()()

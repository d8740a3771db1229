"""The bytes between a client and a broker: two streams, each in order, each with a delay."""

from collections import deque
from collections.abc import Callable

from simulation.loop import ScheduledCall, VirtualLoop, VirtualTime

PER_CALL = 1e-6  # seconds that each call takes on the wire, so that a burst can be cut in its middle


class Stream:
    """One direction of a connection.

    Args:
        time: in which it is.
        latency: seconds that a call takes, asked for each.
        loop: of the client that is called; None for the broker's side.
    """

    def __init__(
        self, time: VirtualTime, latency: Callable[[], float], loop: VirtualLoop | None = None
    ) -> None:
        self._time = time
        self._latency = latency
        self._loop = loop
        self._last = 0.0
        self._under_way: deque[tuple[float, int, Callable[[], None]]] = deque()
        self._timer: ScheduledCall | None = None
        self.unread = 0  # bytes
        self.is_read = True
        self.is_over = False

    def send(self, call: Callable[[], None], size: int = 0, delay: float = 0.0) -> None:
        """Have ``call`` made at the other end, behind all that was sent before.

        Args:
            size: bytes that it takes up until it is read.
            delay: seconds, beside the latency.
        """
        if self.is_over:
            return
        earliest, at = self._last + PER_CALL, self._time.now + self._latency() + delay
        self._last = at if at > earliest else earliest
        self._under_way.append((self._last, size, call))
        self.unread += size
        if self._timer is None:
            self._arm()

    def pause(self) -> None:
        """The other end reads nothing."""
        self.is_read = False

    def resume(self) -> None:
        """It reads again."""
        self.is_read = True
        self._arm()

    def end(self) -> None:
        """Nothing of it arrives any more."""
        self.is_over = True
        self._under_way.clear()
        if self._timer is not None:
            self._timer.is_off = True
            self._timer = None

    def _arm(self) -> None:
        if self._timer is None and self._under_way and self.is_read and not self.is_over:
            self._timer = self._time.after(self._under_way[0][0] - self._time.now, self._arrived, self._loop)

    def _arrived(self) -> None:
        self._timer = None
        while self._under_way and self.is_read and not self.is_over:
            at, size, call = self._under_way[0]
            if at > self._time.now:
                break
            self._under_way.popleft()
            self.unread -= size
            call()
        self._arm()


class Wire:
    """Both directions."""

    def __init__(self, time: VirtualTime, loop: VirtualLoop, latency: Callable[[], float]) -> None:
        self.up = Stream(time, latency)
        self.down = Stream(time, latency, loop)

"""Virtual time, and the loop of a client in it: what would happen in minutes happens in milliseconds.

A :class:`VirtualTime` holds what is due, and calls it in the order of time; what is due at one moment is
called in the order of asking. Nothing sleeps and there are no threads: whoever advances the time makes the
calls, and what they raise comes out there. The brokers live on the time itself, each client on a
:class:`VirtualLoop` of its own, whose calls are dropped when it has ended.

Time that stands still while calls go on is a loop that spins. It is an error, and says which calls they are.
"""

import heapq
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial

from rabbitkeeper.client.amqp.transport import Hosted, Timer

BEGINNING = 1000.0  # seconds; a clock that starts anywhere but at 0, as monotonic ones do
SPIN_LIMIT = 20_000  # calls at one moment


class Spinning(AssertionError):
    """Calls go on and time does not."""


class NotReached(AssertionError):
    """What was waited for has not come."""


class ScheduledCall:
    """One call that is due."""

    __slots__ = ("at", "callback", "is_off", "loop")

    def __init__(self, at: float, callback: Callable[[], None], loop: "VirtualLoop | None") -> None:
        self.at = at
        self.callback = callback
        self.loop = loop
        self.is_off = False

    def __str__(self) -> str:
        return f"{_name(self.callback)} at {self.at:.6f}"


class VirtualTime:
    """Seconds, and the calls that are due."""

    def __init__(self) -> None:
        self.now = BEGINNING
        self.calls = 0  # made so far
        self._queue: list[tuple[float, int, ScheduledCall]] = []
        self._numbers = 0
        self._at_this_moment = 0
        self._names: Counter[str] = Counter()

    def after(
        self, delay: float, callback: Callable[[], None], loop: "VirtualLoop | None" = None
    ) -> ScheduledCall:
        """Call ``callback`` in ``delay`` seconds.

        Args:
            loop: on whose behalf; when it has ended, the call is dropped.
        """
        call = ScheduledCall(self.now + max(0.0, delay), callback, loop)
        self._numbers += 1
        heapq.heappush(self._queue, (call.at, self._numbers, call))
        return call

    @property
    def pending(self) -> list[ScheduledCall]:
        """What is due, the next first."""
        calls = [call for _, _, call in sorted(self._queue) if not call.is_off]
        return [call for call in calls if call.loop is None or not call.loop.is_stopped]

    def step(self, until: float = float("inf")) -> bool:
        """Make the next call that is due by ``until``; whether there was one."""
        queue = self._queue
        while queue and queue[0][0] <= until:
            at, _, call = heapq.heappop(queue)
            if call.is_off or (call.loop is not None and call.loop.is_stopped):
                continue
            if at > self.now:
                self.now = at
                self._at_this_moment = 0
            else:
                self._notice_spinning(call)
            call.is_off = True
            self.calls += 1
            call.callback()
            return True
        return False

    def advance(self, seconds: float) -> None:
        """Make all calls of the next ``seconds``."""
        end = self.now + seconds
        while self.step(end):
            pass
        self.now = end
        self._at_this_moment = 0

    def run_until(self, condition: Callable[[], object], limit: float = 60.0) -> float:
        """Advance until ``condition`` holds, looking after each call.

        Returns:
            Seconds that it took.

        Raises:
            NotReached: it does not hold within ``limit`` seconds.
        """
        began = self.now
        while not condition():
            if not self.step(began + limit):
                waiting = ", ".join(str(call) for call in self.pending[:10]) or "nothing"
                raise NotReached(f"not within {limit:g} s; pending after {self.now:.6f}: {waiting}")
        return self.now - began

    def _notice_spinning(self, call: ScheduledCall) -> None:
        self._at_this_moment += 1
        if self._at_this_moment > SPIN_LIMIT - 1000:
            self._names[_name(call.callback)] += 1
        if self._at_this_moment > SPIN_LIMIT:
            often = ", ".join(f"{name} ({count})" for name, count in self._names.most_common(5))
            raise Spinning(f"{SPIN_LIMIT} calls at {self.now:.6f}; the last thousand: {often}")


class VirtualLoop:
    """See :class:`transport.Loop`. The loop of one client; its thread is whoever advances the time."""

    def __init__(self, time: VirtualTime) -> None:
        self.time = time
        self.is_stopped = False
        self.on_stop: Callable[[], None] = lambda: None  # what the system does when a process lets go

    def thread(self, hosted: Hosted, name: str) -> threading.Thread:
        """Never started: a test runs it."""
        return threading.Thread(target=hosted.run, name=name, daemon=True)

    def now(self) -> float:
        return self.time.now

    def call_soon_threadsafe(self, callback: Callable[[], None]) -> None:
        self.time.after(0.0, callback, self)

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        return self.time.after(delay, callback, self)

    def cancel(self, timer: Timer) -> None:
        assert isinstance(timer, ScheduledCall), f"{timer!r} is no timer of this loop"
        timer.is_off = True

    def run(self) -> None:
        while not self.is_stopped:
            if not self.time.step():
                raise NotReached("nothing is pending, and the loop was not stopped")

    def release(self) -> None:
        self.on_stop()

    def stop(self) -> None:
        self.is_stopped = True

    @property
    def pending(self) -> list[ScheduledCall]:
        """What this client alone is waiting for."""
        return [call for call in self.time.pending if call.loop is self]


def _name(callback: Callable[[], None]) -> str:
    if isinstance(callback, partial):
        return _name(callback.func)
    return str(getattr(callback, "__qualname__", repr(callback)))

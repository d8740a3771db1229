"""The bridge: what other threads have to say to one event loop, with one wake-up for many calls.

An event loop that is woken for each message does little else: the wake-up is a system call, and the thread
that makes it and the one that is woken then take turns. So calls gather in a deque, and the loop is woken for
the first of them. A loop that is closed is told nothing, and nobody is the worse for it.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")


class Bridge:
    """To one event loop.

    Args:
        loop: that runs now.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._calls: deque[Callable[[], None]] = deque()
        self._woken = False

    def post(self, call: Callable[[], None]) -> None:
        """Have ``call`` made soon, on the loop. From any thread.

        No lock: who finds the flag set has put the call there before it is cleared, and so before all are
        made.
        """
        self._calls.append(call)
        if not self._woken:
            self._woken = True
            try:
                self.loop.call_soon_threadsafe(self._run)
            except RuntimeError:  # it is closed: nobody waits any more
                self._woken = False
                self._calls.clear()

    def _run(self) -> None:
        """What was posted until now."""
        self._woken = False
        calls = self._calls
        for _ in range(len(calls)):
            calls.popleft()()

    async def settled(self, future: "Future[T]", timeout: float) -> bool:
        """Wait for another thread's ``future``; whether it has ended within ``timeout`` seconds.

        It is not cancelled with the task that waits: whoever fulfils it knows nothing of that.
        """
        waiter = self.loop.create_future()
        future.add_done_callback(lambda _: self.post(lambda: wake(waiter)))
        timer = self.loop.call_later(timeout, wake, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
        return future.done()

    async def in_thread(self, call: Callable[[], T], *, undo: Callable[[T], object] | None = None) -> T:
        """What ``call`` returns or raises, made on a thread of its own.

        It cannot be stopped: when the task that waits is cancelled, or ends with a loop that is closed, it
        goes on, and what it has made is given to ``undo``, on that thread.
        """
        result: Future[T] = Future()
        is_wanted = True

        def run() -> None:
            try:
                made = call()
            except BaseException as error:  # noqa: BLE001 - it is for who waits
                result.set_exception(error)
                return
            with given:
                if is_wanted or undo is None:
                    result.set_result(made)
                    return
            undo(made)

        given = threading.Lock()
        waiter = self.loop.create_future()
        result.add_done_callback(lambda _: self.post(lambda: wake(waiter)))
        threading.Thread(target=run, name="rabbitkeeper-aio", daemon=True).start()
        try:
            await waiter
        except BaseException:  # GeneratorExit as well, of a task whose loop was closed
            with given:
                is_wanted = False
            if undo is not None and result.done() and result.exception() is None:
                threading.Thread(target=undo, args=(result.result(),), daemon=True).start()
            raise
        return result.result()


def wake(waiter: "asyncio.Future[None]") -> None:
    """Have who waits go on, unless it has been cancelled or woken already."""
    if not waiter.done():
        waiter.set_result(None)


class Turns:
    """Lets other tasks have a turn now and then, in a task that finds everything it awaits there already.

    Args:
        every: so many steps.
    """

    def __init__(self, every: int) -> None:
        self._every = every
        self._steps = 0

    def is_due(self) -> bool:
        """Count a step; whether to ``await asyncio.sleep(0)`` now."""
        self._steps += 1
        if self._steps < self._every:
            return False
        self._steps = 0
        return True


def say(function: Callable[[T], object], value: T) -> None:
    """Call a user's function; what it raises is logged, and is nobody else's."""
    with suppress(asyncio.CancelledError):
        try:
            function(value)
        except Exception:
            log.exception("a function of the application's has failed")

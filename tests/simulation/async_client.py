"""An asynchronous client on simulated brokers: its event loop is real, and time passes for the brokers in a
task.

What the client's threads would do is done on the same thread, a millisecond of virtual time in each turn of
the event loop.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from rabbitkeeper.client.aio.client import AsyncClient
from rabbitkeeper.client.aio.publishing import PublishHandle
from rabbitkeeper.client.engine.engine import Engine
from rabbitkeeper.client.guard import Guard
from rabbitkeeper.client.model.events import Event
from rabbitkeeper.client.model.status import Unconfirmed
from rabbitkeeper.client.rpc.replies import Replies
from rabbitkeeper.client.telemetry.observer import Telemetry
from simulation.client import Simulation

T = TypeVar("T")

STEP = 0.001  # seconds of virtual time in a turn of the event loop
PATIENCE = 60.0  # seconds; not waited for when things work


class _Thread:
    """The I/O thread, which is none here."""

    ident = -1

    def is_alive(self) -> bool:
        return True


class SimulatedBehind:
    """The client behind the front. Its engine lives in virtual time."""

    def __init__(self, simulation: Simulation, window: int) -> None:
        client = simulation.client
        self.simulation = simulation
        self.group = "orders"
        self.engine: Engine = client.engine
        self.engine.thread = _Thread()  # type: ignore[assignment]
        self.guard = Guard(self.engine)
        self.emit = client.emit
        client.window._messages = window
        observed = client.observed
        self.publishing = observed.publishing(
            self.engine, client.window, future_type=PublishHandle, now=client.loop.now
        )
        self.consuming = observed.consuming(self.engine, self.guard, emit=self.emit, name="simulated")
        self.replies = Replies(self.engine)
        self.loop = asyncio.get_running_loop()
        self.is_closed = False

    def on_event(self, function: Callable[[Event], object]) -> Callable[[], None]:
        raise NotImplementedError

    def close(self, timeout: float) -> tuple[Unconfirmed, ...]:
        """On a thread of the front's."""
        if not self.guard.begin_closing():
            return ()
        drained: Future[list[Unconfirmed]] = Future()

        def drain() -> None:
            result = self.engine.drain(self.simulation.time.now + timeout)
            result.add_done_callback(lambda done: drained.set_result(done.result()))

        self.loop.call_soon_threadsafe(drain)
        left = drained.result(PATIENCE)
        self.is_closed = True
        return tuple(left)


class AsyncScene:
    """Brokers, and a client that has begun. Made on the event loop, by :func:`play`."""

    def __init__(self, window: int, telemetry: Iterable[Telemetry] = ()) -> None:
        self.simulation = Simulation(telemetry=telemetry).started("orders")
        self.cluster = self.simulation.cluster
        self.journal = self.simulation.journal
        self.behind = SimulatedBehind(self.simulation, window)
        self.client = AsyncClient("zk", "orders", ("app", "secret"))
        self.client._make = lambda: self.behind  # type: ignore[assignment]
        self._passing: asyncio.Task[None] | None = None
        self.is_standing = False  # time does not pass

    @property
    def events(self) -> list[Event]:
        return self.simulation.client.events

    @property
    def open_messages(self) -> int:
        """In the window."""
        return self.behind.publishing.unconfirmed

    async def begin(self) -> None:
        self._passing = asyncio.create_task(self._pass_time())
        await self.client.start()

    async def end(self) -> None:
        await self.client.close(1.0)
        assert self._passing is not None
        self._passing.cancel()
        with suppress(asyncio.CancelledError):
            await self._passing
        assert self.open_messages == 0
        assert self.journal.misuses == []
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not others, others

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110 - what changes is no event of asyncio's
                await asyncio.sleep(0)

    async def turns(self, count: int) -> None:
        """So many turns of the event loop."""
        for _ in range(count):
            await asyncio.sleep(0)

    async def _pass_time(self) -> None:
        while True:
            if not self.is_standing:
                self.simulation.time.advance(STEP)
            await asyncio.sleep(0)


def play(
    script: Callable[[AsyncScene], Awaitable[object]],
    *,
    window: int = 1000,
    telemetry: Iterable[Telemetry] = (),
) -> AsyncScene:
    """Run ``script`` on an event loop of its own; nothing may be left of it, no task, thread or place."""

    async def run() -> AsyncScene:
        scene = AsyncScene(window, telemetry)
        await scene.begin()
        async with asyncio.timeout(PATIENCE):
            await script(scene)
        await scene.end()
        return scene

    scene = asyncio.run(run())
    no_threads_left()
    return scene


def no_threads_left() -> None:
    """Those that were made to wait for something are at their end."""
    for thread in threading.enumerate():
        if thread.name == "rabbitkeeper-aio":
            thread.join(PATIENCE)
            assert not thread.is_alive()


async def cancelled_after(turns: int, doing: Coroutine[Any, Any, T]) -> T | None:
    """What ``doing`` returns; None if it had not ended after so many turns of the loop and was cancelled."""
    task = asyncio.ensure_future(doing)
    for _ in range(turns):
        await asyncio.sleep(0)
        if task.done():
            return task.result()
    task.cancel()
    try:
        return await task
    except asyncio.CancelledError:
        return None

"""Tasks, and an I/O thread that is one: whoever waits is woken, however the two are timed."""

import asyncio
import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from random import Random

import pytest

from rabbitkeeper.client.aio.bridge import Bridge
from rabbitkeeper.client.aio.publishing import AsyncPublishing, PublishHandle
from rabbitkeeper.client.amqp.transport import FRAME_MAX
from rabbitkeeper.client.guard import Guard
from rabbitkeeper.client.publish.future import Futures, PublishFuture
from rabbitkeeper.client.publish.window import Window
from rabbitkeeper.client.publishing import Publishing

PATIENCE = 60.0  # seconds; not waited for when things work
COUNT = 200  # messages of each task


class ConfirmingEngine:
    """In place of the engine, whose timing is a broker's: confirms what it is given, in batches by chance."""

    frame_max = FRAME_MAX
    failure = None

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._given: queue.SimpleQueue[PublishFuture | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def report_to(self, futures: Futures) -> None:
        self._futures = futures
        futures.call_later = lambda _delay, call: call()

    def publish(self, entries: Iterable[PublishFuture]) -> None:
        for entry in entries:
            self._given.put(entry)

    def withdraw(self, _entry: PublishFuture) -> None: ...

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._given.put(None)
        self._thread.join(PATIENCE)

    def _run(self) -> None:
        while True:
            batch: list[PublishFuture | None] = [self._given.get()]
            more = self._random.choice([0, 0, 1, 3, 100])
            batch += [self._given.get() for _ in range(min(more, self._given.qsize()))]
            self._confirm([one for one in batch if one is not None])
            if None in batch:
                return

    def _confirm(self, given: Sequence[PublishFuture]) -> None:
        begun = self._futures.begin(given)
        if begun:
            self._futures.confirm(begun)


@pytest.fixture(params=range(3))
def engine(request: pytest.FixtureRequest) -> Iterator[ConfirmingEngine]:
    one = ConfirmingEngine(request.param)
    one.start()
    yield one
    one.stop()


@pytest.mark.parametrize(("window", "tasks"), [(1, 5), (7, 20), (1000, 20), (50, 1)])
def test_every_task_goes_on(engine: ConfirmingEngine, window: int, tasks: int) -> None:
    room = Window(window, 1 << 20)

    async def run() -> None:
        publishing = Publishing(engine, room, future_type=PublishHandle)  # type: ignore[arg-type]
        bridge = Bridge(asyncio.get_running_loop())
        guard = Guard(engine)  # type: ignore[arg-type]
        front = AsyncPublishing(publishing, guard, bridge, emit=print, check_usable=lambda: None)
        random = Random(1)

        async def publish() -> int:
            handles = []
            for _ in range(COUNT):
                if random.random() < 0.5:
                    await front.publish("", "orders", b"1", None, True, PATIENCE)
                else:
                    handles.append(await front.publish_nowait("", "orders", b"1", None, True, PATIENCE))
                if handles and random.random() < 0.1:
                    await handles[-1]
                if random.random() < 0.05:
                    (await front.publish_nowait("", "orders", b"1", None, True, PATIENCE)).cancel()
            done = await asyncio.gather(*handles, return_exceptions=True)
            assert not [one for one in done if isinstance(one, Exception)]
            return len(done)

        async with asyncio.timeout(PATIENCE):
            assert len(await asyncio.gather(*(publish() for _ in range(tasks)))) == tasks

    asyncio.run(run())
    assert room.open_messages == 0

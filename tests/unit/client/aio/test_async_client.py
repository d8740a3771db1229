"""The life of an asynchronous client: where it begins, on which loop it is used, and what is left of it."""

import asyncio
import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from simulation.async_client import AsyncScene, no_threads_left, play
from support.waiting import wait_for

from rabbitkeeper.client import AsyncClient
from rabbitkeeper.client.aio.bridge import Bridge
from rabbitkeeper.client.model.errors import Closed, InvalidArgument, NoLeader, WrongThread
from rabbitkeeper.client.model.events import ClientClosed, Event

PATIENCE = 60.0  # seconds; not waited for when things work


@pytest.fixture
def client() -> AsyncClient:
    return AsyncClient("zk1:2181", "orders", ("app", "secret"))


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    no_threads_left()


async def until(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what changes is on another thread
            await asyncio.sleep(0)


def test_nothing_is_begun_before_it_is_awaited(client: AsyncClient) -> None:
    before = threading.active_count()

    async def script() -> None:
        for call in (client.status, lambda: client.consume("orders"), lambda: client.leader):
            with pytest.raises(Closed, match="has not begun"):
                call()
        with pytest.raises(Closed, match="has not begun"):
            await client.publish("", "orders", b"1")
        with pytest.raises(Closed, match="has not begun"):
            await client.declare()
        assert await client.close() == ()

    asyncio.run(script())
    assert threading.active_count() == before


def test_arguments_are_refused_when_it_begins() -> None:
    async def script() -> None:
        with pytest.raises(InvalidArgument, match="window"):
            async with AsyncClient("zk1:2181", "orders", ("app", "secret"), window=0):
                raise AssertionError("it has begun")
        with pytest.raises(InvalidArgument, match="agents"):
            await AsyncClient(agents=["mq1"], group="orders", credentials=("app", "secret")).start()

    asyncio.run(script())


def test_it_begins_once(client: AsyncClient) -> None:
    def fails() -> Any:
        raise NoLeader("nobody")

    client._make = fails  # type: ignore[assignment]

    async def script() -> None:
        with pytest.raises(NoLeader):
            await client.start()
        with pytest.raises(WrongThread, match="begun already"):
            await client.start()

    asyncio.run(script())


class Made:
    """What is made behind, later than it is wanted."""

    def __init__(self, closed: threading.Event) -> None:
        self._closed = closed

    def close(self, timeout: float) -> None:
        assert timeout == 0
        self._closed.set()


@pytest.mark.parametrize("late", [True, False])
def test_a_start_that_is_cancelled_leaves_nothing(client: AsyncClient, late: bool) -> None:
    goes_on, closed = threading.Event(), threading.Event()

    def make() -> Made:
        assert goes_on.wait(PATIENCE)
        return Made(closed)

    client._make = make  # type: ignore[assignment]

    async def script() -> None:
        task = asyncio.create_task(client.start())
        await asyncio.sleep(0)
        if not late:
            goes_on.set()  # it is made at the very moment of being cancelled
        task.cancel()
        await asyncio.wait({task})
        goes_on.set()
        await until(closed.is_set)
        assert task.cancelled()

    asyncio.run(script())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_start_whose_loop_is_closed_leaves_nothing(client: AsyncClient) -> None:
    goes_on, closed = threading.Event(), threading.Event()

    def make() -> Made:
        assert goes_on.wait(PATIENCE)
        return Made(closed)

    client._make = make  # type: ignore[assignment]
    loop = asyncio.new_event_loop()
    task = loop.create_task(client.start())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    del task
    goes_on.set()
    wait_for(lambda: gc.collect() >= 0 and closed.is_set(), "what was made is closed")


def test_a_client_whose_loop_is_closed_can_be_closed_on_another_one() -> None:
    async def begin() -> AsyncScene:
        scene = AsyncScene(1000)
        await scene.client.start()
        return scene

    loop = asyncio.new_event_loop()
    scene = loop.run_until_complete(begin())
    loop.close()
    closed: list[float] = []
    scene.behind.close = lambda timeout: tuple(closed.append(timeout) or ())  # type: ignore[method-assign, func-returns-value]
    with pytest.raises(WrongThread):
        asyncio.run(scene.client.publish("", "orders", b"1"))
    assert asyncio.run(scene.client.close(2.0)) == ()
    assert closed == [2.0]


def test_another_loop_is_refused() -> None:
    async def script(scene: AsyncScene) -> None:
        errors: list[BaseException] = []

        async def elsewhere() -> None:
            for call in (
                scene.client.publish("", "orders", b"1"),
                scene.client.publish_many([("", "orders", b"1")]),
                scene.client.declare(),
                scene.client.close(),
                consumer.get(),
            ):
                try:
                    await call
                except WrongThread as error:
                    errors.append(error)
            with pytest.raises(WrongThread):
                scene.client.consume("orders")

        consumer = scene.client.consume("orders")
        thread = threading.Thread(target=lambda: asyncio.run(elsewhere()))
        thread.start()
        await scene.until(lambda: not thread.is_alive())
        assert len(errors) == 5
        await scene.client.publish("", "orders", b"1")

    play(script)


def test_a_loop_that_is_closed_is_told_nothing_and_holds_up_nobody() -> None:
    loop = asyncio.new_event_loop()
    bridge, called = Bridge(loop), []
    loop.close()
    for number in range(3):
        bridge.post(lambda number=number: called.append(number))  # type: ignore[misc]
    assert called == []
    assert not bridge._calls


def test_calls_are_made_in_their_order_with_one_wake_up() -> None:
    async def script() -> None:
        bridge, made = Bridge(asyncio.get_running_loop()), []

        def post() -> None:
            for number in range(1000):
                bridge.post(lambda number=number: made.append(number))  # type: ignore[misc]

        threads = [threading.Thread(target=post) for _ in range(4)]
        for thread in threads:
            thread.start()
        await until(lambda: len(made) == 4000)
        for thread in threads:
            thread.join()

    asyncio.run(script())


def test_events_come_on_the_event_loop_and_a_function_that_fails_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def script(scene: AsyncScene) -> None:
        functions: list[Any] = []
        seen: list[Event] = []

        def on_event(function: Any) -> Any:
            functions.append(function)
            return lambda: functions.remove(function)

        def fails(_event: Event) -> None:
            raise KeyError

        scene.behind.on_event = on_event  # type: ignore[method-assign]
        scene.client.on_event(fails)
        end = scene.client.on_event(seen.append)
        for function in functions:
            function(ClientClosed(None))
        assert seen == []
        await scene.until(lambda: seen)
        end()
        assert len(functions) == 1
        with pytest.raises(InvalidArgument):
            scene.client.on_event(7)  # type: ignore[arg-type]

    play(script)
    assert "has failed" in caplog.text


def test_closing_stops_its_workers_and_can_be_cancelled() -> None:
    async def script(scene: AsyncScene) -> None:
        async def handle(_message: object) -> None: ...

        workers = scene.client.on_message("orders", handle)
        task = asyncio.create_task(scene.client.close(5.0))
        await scene.turns(3)
        task.cancel()
        await asyncio.wait({task})
        await scene.client.close(5.0)
        await scene.until(lambda: scene.behind.is_closed)
        assert await workers.wait(30.0)

    play(script)

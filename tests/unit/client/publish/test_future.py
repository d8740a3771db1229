"""Futures of publishes are true futures, whoever looks at them whenever, and count themselves out once."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ALL_COMPLETED, CancelledError, Future, as_completed, wait
from concurrent.futures import TimeoutError as FutureTimeout

import pytest

from rabbitkeeper.client.amqp.frames import Template
from rabbitkeeper.client.model.errors import Nacked, PublishError, WrongThread
from rabbitkeeper.client.publish.entry import Outcome, Settled
from rabbitkeeper.client.publish.future import Futures, PublishFuture, Receipt
from rabbitkeeper.client.publish.window import Window

TEMPLATE = Template("e", "k", mandatory=True, flags=0, before=b"", after=b"")


class Scene:
    def __init__(self) -> None:
        self.window = Window(1000, 10_000)
        self.withdrawn: list[PublishFuture] = []
        self.futures = Futures(self.window, explain=self.explain, withdraw=self.withdrawn.append)
        self.futures.call_later = lambda _delay, call: call()

    @staticmethod
    def explain(settled: Settled[PublishFuture]) -> PublishError:
        return Nacked(settled.detail, settled.entry.message_id)

    def publish(self, count: int = 1) -> list[PublishFuture]:
        made = [PublishFuture(self.futures, f"id{number}", TEMPLATE, b"xyz", 0.0) for number in range(count)]
        assert self.window.acquire([3] * count, 0.0) == count
        return made

    def fail(self, future: PublishFuture, detail: str = "no") -> None:
        self.futures.settle([Settled(future, Outcome.NACKED, detail)])


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_burst_is_confirmed_with_receipts_and_leaves_the_window(scene: Scene) -> None:
    futures = scene.publish(10)
    assert scene.futures.begin(futures) == futures
    assert all(future.running() for future in futures)
    scene.futures.confirm(futures[:7])
    assert [future.done() for future in futures] == [True] * 7 + [False] * 3
    assert futures[3].result() == Receipt("id3", 0)
    assert futures[3].exception() is None
    assert (scene.window.open_messages, scene.window.open_size) == (3, 9)


def test_an_error_is_raised_to_whoever_asks(scene: Scene) -> None:
    (future,) = scene.publish()
    scene.futures.begin([future])
    scene.fail(future, "full")
    with pytest.raises(Nacked, match="full"):
        future.result()
    assert isinstance(future.exception(), Nacked)
    scene.fail(future, "again")
    assert scene.window.open_messages == 0


def test_cancelled_before_it_is_sent_it_is_taken_back_once(scene: Scene) -> None:
    first, second = scene.publish(2)
    called: list[Future[Receipt]] = []
    first.add_done_callback(called.append)
    assert first.cancel()
    assert first.cancel()
    assert (scene.withdrawn, called, scene.window.open_messages) == ([first], [first], 1)
    assert scene.futures.begin([first, second]) == [second]
    with pytest.raises(CancelledError):
        first.result(0)
    scene.fail(first)  # as when its deadline passes before the withdrawal is seen
    assert first.cancelled()
    assert scene.window.open_messages == 1


def test_cancelling_after_it_was_sent_does_nothing(scene: Scene) -> None:
    (future,) = scene.publish()
    scene.futures.begin([future])
    assert not future.cancel()
    scene.futures.confirm([future])
    assert not future.cancel()
    assert future.result().message_id == "id0"
    assert scene.withdrawn == []


@pytest.mark.parametrize("confirm", [True, False])
def test_the_standard_library_waits_for_them(scene: Scene, confirm: bool) -> None:
    futures = scene.publish(20)
    scene.futures.begin(futures)

    def end() -> None:
        for future in futures:
            if confirm:
                scene.futures.confirm([future])
            else:
                scene.fail(future)

    async def await_all() -> list[object]:
        wrapped = [asyncio.wrap_future(future) for future in futures]
        thread.start()
        return await asyncio.gather(*wrapped, return_exceptions=True)

    thread = threading.Thread(target=end)
    answers = asyncio.run(await_all())
    thread.join()
    assert all(isinstance(answer, Receipt if confirm else Nacked) for answer in answers)
    assert wait(futures, timeout=10, return_when=ALL_COMPLETED).not_done == set()
    standard: list[Future[Receipt]] = list(futures)
    assert set(as_completed(standard, timeout=10)) == set(futures)


def test_who_waits_is_woken_and_who_waits_too_briefly_is_told(scene: Scene) -> None:
    futures = scene.publish(50)
    scene.futures.begin(futures)
    with pytest.raises(FutureTimeout):
        futures[0].result(0.001)
    results: list[Receipt] = []
    threads = [threading.Thread(target=lambda: results.append(one.result(10))) for one in futures]  # noqa: B023
    for thread in threads:
        thread.start()
    for future in futures:
        scene.futures.confirm([future])
    for thread in threads:
        thread.join(10)
    assert len(results) == 50


def test_callbacks_registered_while_it_ends_are_all_called_once(scene: Scene) -> None:
    for _ in range(200):
        (future,) = scene.publish()
        scene.futures.begin([future])
        called: list[int] = []
        barrier = threading.Barrier(2)

        def register(add: Callable[[int], None] = called.append, one: PublishFuture = future) -> None:
            barrier.wait()  # noqa: B023
            for number in range(3):

                def tell(_future: Future[Receipt], number: int = number) -> None:
                    add(number)

                one.add_done_callback(tell)

        thread = threading.Thread(target=register)
        thread.start()
        barrier.wait()
        scene.futures.confirm([future])
        thread.join(10)
        assert sorted(called) == [0, 1, 2]


def test_a_callback_that_raises_does_not_keep_the_others_from_their_end(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    futures = scene.publish(3)
    scene.futures.begin(futures)

    def fail(_future: object) -> None:
        raise ValueError("a callback's own")

    futures[0].add_done_callback(fail)
    scene.futures.confirm(futures)
    assert all(future.done() for future in futures)
    assert "a callback's own" in caplog.text


def test_waiting_on_the_io_thread_is_refused_unless_the_answer_is_there(scene: Scene) -> None:
    first, second = scene.publish(2)
    scene.futures.begin([first, second])
    scene.futures.confirm([first])
    scene.futures.io_thread = threading.get_ident()
    assert first.result().message_id == "id0"
    with pytest.raises(WrongThread, match="add_done_callback"):
        second.result(time.monotonic())
    with pytest.raises(WrongThread):
        second.exception()

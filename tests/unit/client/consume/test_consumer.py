"""What users hold: a consumer to iterate over, and workers that take from one."""

import gc
import queue
import threading
from asyncio import CancelledError
from collections.abc import Callable

import pytest
from simulation.client import Simulation

from rabbitkeeper.client.consume.consumer import Consumer
from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.consume.subscription import Subscription
from rabbitkeeper.client.consume.workers import OnError, Workers
from rabbitkeeper.client.model.errors import TopologyError
from rabbitkeeper.client.model.events import Event, HandlerFailed


class Scene:
    """A consumer of three messages, and what is asked of the engine."""

    def __init__(self) -> None:
        self.simulation = Simulation().started()
        self.ids = self.simulation.published(3)
        self.subscription = self.simulation.client.subscribe()
        self.simulation.run(0.1)
        self.dropped: list[Subscription] = []

    def consumer(self) -> Consumer:
        return Consumer(self.subscription, self._finish, self.dropped.append)

    def _finish(self, subscription: Subscription, timeout: float) -> Callable[[float], int]:
        deadline = self.simulation.time.now + timeout
        left = self.simulation.client.engine.finish(subscription, deadline)
        self.simulation.until(left.done)
        return lambda _: left.result(0)

    def end(self) -> None:
        """What was delivered can be taken, then the end comes."""
        self.subscription.end(None)

    def acked(self) -> list[str]:
        self.simulation.run(0.1)
        return sorted(self.simulation.journal.acked)


def test_a_consumer_is_iterated_until_its_end() -> None:
    scene = Scene()
    scene.end()
    consumer = scene.consumer()
    assert consumer.active is False
    assert consumer.queue == "orders"
    taken: list[str | None] = []
    for message in consumer:
        taken.append(message.message_id)
        message.ack()
    assert taken == scene.ids == scene.acked()


def test_what_does_not_come_in_time_is_empty() -> None:
    scene = Scene()
    consumer = scene.consumer()
    for _ in range(3):
        assert consumer.get(0) is not None
    with pytest.raises(queue.Empty):
        consumer.get(0)


def test_a_block_that_is_left_gives_everything_back_and_a_second_stop_does_nothing() -> None:
    scene = Scene()
    with scene.consumer() as consumer:
        next(consumer).ack()
        next(consumer)
    assert consumer.stop() == 0
    assert scene.acked() == scene.ids[:1]
    assert len(scene.simulation.cluster.queues["orders"].ready) == 2


def test_a_consumer_that_nobody_holds_any_more_is_dropped() -> None:
    scene = Scene()
    consumer = scene.consumer()
    del consumer
    gc.collect()
    assert scene.dropped == [scene.subscription]


def test_a_message_tells_of_itself() -> None:
    scene = Scene()
    message = scene.consumer().get(0)
    assert message is not None
    assert (message.exchange, message.routing_key, message.queue) == ("", "orders", "orders")
    assert (message.attempt, message.redelivered, message.headers) == (1, False, {})
    assert "of 'orders', 9 bytes" in repr(message)
    message.nack()
    message.ack()  # it was answered
    scene.simulation.run(0.1)
    again = [scene.subscription.get(0) for _ in range(3)][-1]
    assert again is not None
    assert (again.message_id, again.attempt) == (scene.ids[0], 2)


# -- workers


def work(
    scene: Scene, function: Callable[[Message], object], on_error: OnError = "requeue", count: int = 1
) -> tuple[Workers, list[Event]]:
    """Have workers take what is there until the end."""
    events: list[Event] = []
    workers = Workers(
        scene.consumer(), function, count=count, on_error=on_error, emit=events.append, name="test"
    )
    return workers, events


def test_workers_ack_what_their_function_has_done() -> None:
    scene = Scene()
    scene.end()
    seen: list[str | None] = []
    workers, events = work(scene, lambda message: seen.append(message.message_id), count=3)
    assert workers.wait(10.0)
    assert sorted(map(str, seen)) == scene.ids == scene.acked()
    assert workers.queue == "orders"
    assert not workers.active
    assert events == []


@pytest.mark.parametrize("on_error", ["requeue", "reject"])
@pytest.mark.parametrize("error", [ZeroDivisionError, CancelledError, SystemExit])
def test_what_a_function_fails_over_goes_back_or_is_rejected(
    on_error: OnError, error: type[BaseException]
) -> None:
    scene = Scene()
    scene.end()

    def fail_once(message: Message) -> None:
        if message.message_id == scene.ids[1]:
            raise error

    workers, events = work(scene, fail_once, on_error)
    assert workers.wait(10.0)
    assert scene.acked() == [scene.ids[0], scene.ids[2]]
    assert set(scene.simulation.journal.rejected) == ({scene.ids[1]} if on_error == "reject" else set())
    (event,) = events
    assert isinstance(event, HandlerFailed)
    assert (event.queue, event.message_id, type(event.error)) == ("orders", scene.ids[1], error)


def test_workers_that_cannot_all_be_started_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    right, started = threading.Thread.start, list[threading.Thread]()

    def start(thread: threading.Thread) -> None:
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        right(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(RuntimeError, match="new thread"):
        work(scene, lambda message: None, count=3)
    for thread in started:
        thread.join(10.0)
        assert not thread.is_alive()
    assert not scene.subscription.is_wanted


def test_an_error_of_the_consumer_ends_the_workers_and_is_raised_where_they_are_waited_for() -> None:
    scene = Scene()
    scene.subscription.end(TopologyError("the queue was deleted"))
    workers, _ = work(scene, lambda message: None)
    with pytest.raises(TopologyError, match="was deleted"):
        workers.wait(10.0)


def test_workers_can_be_stopped_from_within_their_function() -> None:
    scene = Scene()
    stopped = threading.Event()
    running: list[Workers] = []
    ready = threading.Event()

    def function(message: Message) -> None:
        ready.wait(10.0)
        if not stopped.is_set():
            stopped.set()
            message.ack()
            running[0].stop(0.0)

    workers, _ = work(scene, function)
    running.append(workers)
    ready.set()
    assert workers.wait(10.0)
    assert scene.acked() == scene.ids[:1]

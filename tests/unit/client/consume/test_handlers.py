"""Functions that stop what has called them: nobody waits for itself, and their message can be answered."""

import threading
import time
from collections.abc import Callable

import pytest
from simulation.client import Simulation

from rabbitkeeper.client.consume.consumer import Consumer
from rabbitkeeper.client.consume.handlers import handled_here
from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.consume.subscription import Subscription
from rabbitkeeper.client.consume.workers import Workers
from rabbitkeeper.client.consuming import Consuming
from rabbitkeeper.client.guard import Guard
from rabbitkeeper.client.model.events import Event, HandlerFailed

LONG = 60.0  # seconds that nobody waits for in vain


class Running:
    """A simulated client whose time goes on while other threads wait for it."""

    def __init__(self, *queues: str) -> None:
        self.simulation = Simulation().started(*queues)
        for queue in queues or ("orders",):
            self.simulation.published(5, queue)
        self.events: list[Event] = []
        client = self.simulation.client
        # the engine's thread is the test's here, which looks after it in `until`
        client.engine.thread = threading.current_thread()
        self.consuming = Consuming(
            client.engine, Guard(client.engine), emit=self.events.append, name="handlers"
        )

    def workers(
        self, function: Callable[[Message], object], queue: str = "orders", count: int = 1
    ) -> Workers:
        return self.consuming.on_message(
            queue, function, workers=count, prefetch=10, dedupe=0, on_error="requeue"
        )

    def until(self, condition: Callable[[], object]) -> None:
        """Let virtual time pass, a little with each look, until ``condition``."""
        deadline = time.monotonic() + 20.0
        while not condition():
            assert time.monotonic() < deadline, "it does not come"
            self.simulation.run(0.0005)

    def stop(self, workers: Workers) -> None:
        """As another thread does."""
        stopping = threading.Thread(target=workers.stop, args=(LONG,), daemon=True)
        stopping.start()
        self.until(lambda: not stopping.is_alive())

    def acked(self) -> int:
        self.simulation.run(0.1)
        return self.simulation.journal.acked.total()


def test_a_function_that_stops_its_workers_does_not_wait_for_its_own_message() -> None:
    running, left = Running(), list[int]()
    ready = threading.Event()
    made: list[Workers] = []

    def function(message: Message) -> None:
        ready.wait(20.0)
        left.append(made[0].stop(LONG))

    made.append(running.workers(function))
    ready.set()
    running.until(lambda: left)
    running.until(lambda: running.acked() == 1)
    assert left == [0]
    assert made[0].wait(10.0)
    assert running.simulation.cluster.consumers == []
    assert len(running.simulation.cluster.queues["orders"].ready) == 4, "the rest is back, the one is acked"
    running.simulation.come_to_rest()


def test_functions_that_stop_their_workers_all_at_once_do_not_wait_for_one_another() -> None:
    running, left = Running(), list[int]()
    together = threading.Barrier(3)
    made: list[Workers] = []

    def function(message: Message) -> None:
        together.wait(20.0)
        left.append(made[0].stop(LONG))

    made.append(running.workers(function, count=3))
    running.until(lambda: len(left) == 3)
    running.until(lambda: running.acked() == 3)
    assert left == [0, 0, 0]
    assert made[0].wait(10.0)
    running.simulation.come_to_rest()


def test_functions_that_stop_one_anothers_workers_do_not_wait_for_one_another() -> None:
    running = Running("orders", "bills")
    together = threading.Barrier(2)
    made: dict[str, Workers] = {}
    left: list[int] = []

    def stop(other: str) -> None:
        together.wait(20.0)
        left.append(made[other].stop(LONG))

    made["orders"] = running.workers(lambda _: stop("bills"), "orders")
    made["bills"] = running.workers(lambda _: stop("orders"), "bills")
    running.until(lambda: len(left) == 2)
    running.until(lambda: running.acked() == 2)
    assert left == [0, 0]
    running.simulation.come_to_rest()


def test_a_stop_within_a_function_waits_for_the_messages_of_others() -> None:
    running, left = Running(), list[int]()
    go_on, together, stopping = threading.Event(), threading.Barrier(2), threading.Event()
    made: list[Workers] = []

    def function(message: Message) -> None:
        if together.wait(20.0) == 0:
            stopping.set()
            left.append(made[0].stop(LONG))
        else:
            go_on.wait(20.0)

    made.append(running.workers(function, count=2))
    running.until(stopping.is_set)
    running.until(lambda: running.simulation.cluster.consumers == [])
    running.simulation.run(1.0)
    assert left == [], "the other's message is not answered"
    go_on.set()
    running.until(lambda: left)
    running.until(lambda: running.acked() == 2)
    running.simulation.come_to_rest()


def test_a_message_that_is_answered_needs_no_excuse() -> None:
    running, seen = Running(), list[bool]()

    def function(message: Message) -> None:
        before = handled_here() is not None
        message.ack()
        seen.append(before and handled_here() is None)

    workers = running.workers(function)
    running.until(lambda: len(seen) == 5)
    assert all(seen)
    assert handled_here() is None, "this thread handles nothing"
    running.stop(workers)
    running.simulation.come_to_rest()


def test_all_workers_are_stopped_at_once_not_one_after_the_other() -> None:
    running = Running("orders", "bills")
    started, go_on = threading.Barrier(3), threading.Event()

    def function(message: Message) -> None:
        started.wait(20.0)
        go_on.wait(20.0)

    for queue in ("orders", "bills"):
        running.workers(function, queue)
    running.simulation.run(0.1)
    started.wait(20.0)
    ends = threading.Thread(target=running.consuming.stop, args=(time.monotonic() + LONG,), daemon=True)
    ends.start()
    running.until(lambda: running.simulation.cluster.consumers == [])
    go_on.set()
    running.until(lambda: not ends.is_alive())
    assert running.acked() == 2
    running.simulation.come_to_rest()


def test_a_message_that_cannot_even_be_looked_at_is_answered_and_the_worker_goes_on() -> None:
    running, seen = Running(), list[int]()

    class Odd(Exception):
        def __repr__(self) -> str:
            raise RuntimeError("it cannot be shown")

    def function(message: Message) -> None:
        seen.append(message.delivery_tag)
        if len(seen) == 1:
            raise Odd

    workers = running.workers(function)
    running.until(lambda: running.acked() == 5)
    assert [type(event) for event in running.events] == [HandlerFailed]
    running.stop(workers)
    running.simulation.come_to_rest()


def test_a_stop_that_was_refused_can_be_made_again() -> None:
    running = Running()
    subscription = running.simulation.client.subscribe()
    running.simulation.run(0.1)
    calls: list[Subscription] = []

    def finish(subscription: Subscription, timeout: float) -> Callable[[float], int]:
        calls.append(subscription)
        if len(calls) == 1:
            raise RuntimeError("not here")
        return lambda _: 7

    consumer = Consumer(subscription, finish, lambda _: None)
    with pytest.raises(RuntimeError, match="not here"):
        consumer.stop()
    assert consumer.stop() == 7
    assert consumer.stop() == 0
    running.simulation.come_to_rest()

"""A forked child is refused in every call of a consumer; nothing of it reaches the parent's loop."""

import gc
import os
from collections.abc import Callable

from simulation.client import Simulation

from rabbitkeeper.client.consume.consumer import Consumer
from rabbitkeeper.client.consume.workers import Workers
from rabbitkeeper.client.model.errors import WrongThread


def refused(*calls: Callable[[], object]) -> int:
    """In a child: how many of ``calls`` were refused."""
    child = os.fork()
    if child == 0:
        count = 0
        for call in calls:
            try:
                call()
            except WrongThread:
                count += 1
        os._exit(count)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_forked_child_can_neither_take_nor_answer_nor_stop() -> None:
    simulation = Simulation().started()
    simulation.published(3)
    subscription = simulation.client.subscribe()
    simulation.run(0.1)
    consumer = Consumer(
        subscription, lambda _subscription, _timeout: lambda _: 0, simulation.client.engine.drop
    )
    message = next(consumer)
    calls = (
        lambda: next(consumer),
        lambda: consumer.get(0),
        consumer.get,
        message.ack,
        message.nack,
        message.reject,
    )
    assert refused(*calls) == len(calls)
    message.ack()
    assert next(consumer) is not None, "the parent goes on"
    simulation.come_to_rest()


def test_a_forked_child_cannot_wait_for_workers() -> None:
    simulation = Simulation().started()
    subscription = simulation.client.subscribe()
    consumer = Consumer(subscription, lambda _subscription, _timeout: lambda _: 0, lambda _: None)
    workers = Workers(consumer, print, count=1, on_error="requeue", emit=lambda _: None, name="forked")
    assert refused(workers.wait, lambda: workers.wait(1.0)) == 2
    subscription.end(None)
    assert workers.wait(10.0)
    simulation.come_to_rest()


def test_a_consumer_that_a_child_drops_is_the_parents() -> None:
    simulation = Simulation().started()
    subscription = simulation.client.subscribe()
    simulation.run(0.1)
    held = [
        Consumer(subscription, lambda _subscription, _timeout: lambda _: 0, simulation.client.engine.drop)
    ]

    def drop_in_child() -> None:
        before = len(simulation.client.loop.pending)
        held.clear()
        gc.collect()
        if len(simulation.client.loop.pending) == before:
            raise WrongThread

    assert refused(drop_in_child) == 1
    simulation.come_to_rest()

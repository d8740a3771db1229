"""An exception that a signal handler raises, at any line of a call, leaves the client working."""

import threading

import pytest
from simulation.client import Simulation
from support.interrupting import interruptions

from rabbitkeeper.client.consume.consumer import Consumer
from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.guard import let_others_in
from rabbitkeeper.client.publish.future import PublishFuture


def works(simulation: Simulation, place: str) -> None:
    """No place in the window is lost, and what is published now is confirmed."""
    simulation.run(0.1)
    assert simulation.client.publishing.unconfirmed == 0, place
    future = simulation.client.publish()
    simulation.until(future.done, limit=1.0)
    assert future.result(0), place


def test_publishing() -> None:
    simulation = Simulation().started()
    publishing = simulation.client.publishing
    places = set()
    for place in interruptions(lambda: publishing.publish("", "orders", b"1", None, True, 30.0)):
        works(simulation, place)
        places.add(place)
    assert len(places) > 20
    simulation.come_to_rest()


def test_publishing_many() -> None:
    simulation = Simulation().started()
    publishing = simulation.client.publishing
    messages: list[PublishFuture] = []

    def hand_over() -> None:
        publishing._hand_over(list(messages), 30.0)

    for place in interruptions(hand_over):
        works(simulation, place)
        messages[:] = [publishing.prepare("", "orders", b"1", None, True, 30.0) for _ in range(3)]
    simulation.come_to_rest()


@pytest.mark.parametrize("dedupe", [0, 10])
@pytest.mark.parametrize("how", ["get", "next"])
def test_a_message_that_does_not_come_to_its_taker_is_the_next_one(dedupe: int, how: str) -> None:
    simulation = Simulation().started()
    subscription = simulation.client.subscribe(prefetch=3, dedupe=dedupe)
    consumer = Consumer(subscription, lambda *_: lambda _: 0, lambda _: None)
    ids = simulation.published(2)
    simulation.run(0.1)
    taken: list[Message | None] = []

    def take() -> None:
        taken.append(consumer.get(0) if how == "get" else next(consumer))

    places = list(interruptions(take))
    assert len(places) > 8
    assert [message.message_id for message in taken if message is not None] == ids[:1]
    message = consumer.get(0)
    assert message is not None
    assert message.message_id == ids[1]
    simulation.come_to_rest()


@pytest.mark.parametrize("answer", ["ack", "nack", "reject"])
def test_an_answer_that_was_interrupted_can_be_given_again_and_others_reach_the_broker(answer: str) -> None:
    simulation = Simulation().started()
    subscription = simulation.client.subscribe(prefetch=4, dedupe=10)
    held: list[Message] = []

    def fetch() -> None:
        simulation.published(1)
        simulation.run(0.1)
        message = subscription.get(0)
        assert message is not None
        held[:] = [message]

    def give() -> None:
        getattr(held[0], answer)()

    fetch()
    places = []
    for place in interruptions(give):
        give()
        simulation.run(6.0)
        for other in simulation.client.take(subscription):  # what was put back
            other.ack()
        simulation.run(6.0)  # an answer whose flush nobody asked for goes out within five seconds
        assert simulation.client.engine.consumers.in_hand == 0, place
        places.append(place)
        fetch()
    assert len(places) > 5
    simulation.come_to_rest()


def test_who_closes_in_a_signal_handler_lets_the_io_thread_have_the_locks_of_what_was_interrupted() -> None:
    outer, inner = threading.RLock(), threading.RLock()
    free: list[bool] = []

    def look() -> None:
        free.append(all(lock.acquire(timeout=5.0) for lock in (outer, inner)))
        for lock in (outer, inner):
            lock.release()

    with outer, outer:  # as deep as it may be; the other is not held
        with let_others_in(outer, inner):
            thread = threading.Thread(target=look)
            thread.start()
            thread.join(10.0)
        outer.release()
        outer.acquire()  # it is held again, as deep as before
    assert free == [True]

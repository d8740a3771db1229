"""One consumer feeds a subscription at a time, and answers reach the broker as long as they can."""

import queue

import pytest
from pika import BasicProperties
from simulation.client import Simulation

from rabbitkeeper.client.amqp.decoding import Delivery
from rabbitkeeper.client.consume.acknowledger import Acknowledger
from rabbitkeeper.client.consume.feed import RETURN_PATIENCE, STOP_PATIENCE
from rabbitkeeper.client.consume.subscription import Subscription
from rabbitkeeper.client.consume.taker import Taker
from rabbitkeeper.client.model.events import ConsumerStarted


def test_acks_in_hand_go_out_before_a_consumer_that_the_broker_ends_is_replaced() -> None:
    simulation = Simulation().started()
    ids = simulation.published(10)
    subscription = simulation.client.subscribe(prefetch=5)
    simulation.run(0.1)
    taken = simulation.client.take(subscription)
    for message in taken[:3]:
        message.ack()  # these are gathered for some milliseconds yet
    simulation.cluster.queues["orders"].consumers[0].cancel_by_broker()
    simulation.run(1.0)
    assert set(simulation.journal.acked) == set(ids[:3])
    for message in taken[3:]:
        message.ack()  # these were in hand: what was delivered before counts
    simulation.run(1.0)
    assert simulation.journal.acked == dict.fromkeys(ids[:5], 1)
    rest = simulation.client.take(subscription)
    assert [(message.message_id, message.redelivered) for message in rest] == [
        (name, False) for name in ids[5:]
    ]
    channels = [one for one in simulation.client.connection(consuming=True).channels if not one.is_over]
    assert len(channels) == 1, "the channel of the consumer before is closed with the last answer"
    simulation.come_to_rest()


def test_what_nobody_has_taken_goes_back_when_the_broker_ends_the_consumer() -> None:
    simulation = Simulation().started()
    ids = simulation.published(4)
    subscription = simulation.client.subscribe()
    simulation.run(0.1)
    first = subscription.get(0)
    assert first is not None
    simulation.cluster.queues["orders"].consumers[0].cancel_by_broker()
    simulation.run(1.0)
    assert simulation.journal.given_back == ids[1:]
    assert [message.message_id for message in simulation.client.take(subscription)] == ids[1:]
    first.ack()
    simulation.run(0.1)
    assert set(simulation.journal.acked) == set(ids[:1])
    simulation.come_to_rest()


def test_what_an_old_consumer_delivers_too_late_goes_back_and_is_not_fed() -> None:
    simulation = Simulation().started()
    subscription = simulation.client.subscribe()
    simulation.run(0.1)
    old = simulation.client.transport.open[-1]
    old.wire.up.pause()  # what is said to the old broker does not arrive: its consumer goes on
    simulation.group.lead("b")
    simulation.client.become_live("b")
    simulation.until(lambda: len(simulation.client.seen(ConsumerStarted)) == 2, limit=STOP_PATIENCE + 0.5)
    assert simulation.cluster.consumers == ["orders", "orders"]
    ids = simulation.published(6)
    simulation.run(0.1)
    early = [message.message_id for message in simulation.client.take(subscription)]
    assert len(early) == 3, "the broker deals them out to both; the old one's are not shown"
    old.wire.up.resume()
    simulation.run(1.0)
    late = [message.message_id for message in simulation.client.take(subscription)]
    assert sorted(map(str, early + late)) == ids
    assert simulation.cluster.consumers == ["orders"]
    simulation.come_to_rest()


def test_a_stop_with_nothing_in_hand_does_not_wait_for_a_broker_that_says_nothing() -> None:
    simulation = Simulation().started()
    subscription = simulation.client.subscribe()
    simulation.run(0.1)
    simulation.cluster.hang("a")
    stopped = simulation.client.engine.finish(subscription, simulation.time.now + 10.0)
    assert simulation.until(stopped.done) < 0.3
    assert stopped.result(0) == 0
    simulation.cluster.wake("a")
    simulation.come_to_rest()


def test_a_stop_of_a_consumer_that_was_never_taken_on_is_over_at_once() -> None:
    simulation = Simulation().started()
    simulation.cluster.silent_consumes.add("orders")
    subscription = simulation.client.subscribe()
    simulation.run(1.0)
    stopped = simulation.client.engine.finish(subscription, simulation.time.now + 10.0)
    assert simulation.until(stopped.done) < 0.001
    simulation.come_to_rest()


class Arrivals:
    """An inbox in which a copy of one message arrives each second, for ever."""

    def __init__(self, answers: Acknowledger) -> None:
        self.now = 0.0
        self.tag = 0
        self._answers = answers

    def put_first(self, item: tuple[Acknowledger, Delivery]) -> None:
        raise AssertionError("nothing is interrupted here")

    def take(self, timeout: float | None) -> tuple[Acknowledger, Delivery]:
        if timeout is not None and timeout < 1.0:
            self.now += timeout
            raise queue.Empty
        self.now += 1.0
        self.tag += 1
        return self._answers, (self.tag, False, b"", BasicProperties(message_id="the-same"), b"")


def test_get_waits_no_longer_than_asked_however_many_are_acked_unseen_meanwhile() -> None:
    simulation = Simulation().started()
    simulation.client.subscribe()
    simulation.run(0.1)
    channel = simulation.client.transport.open[-1].channels[-1]
    engine = simulation.client.engine
    arrivals = Arrivals(
        Acknowledger(channel, 10, post=engine.post, call_later=simulation.client.loop.call_later)
    )
    taker = Taker(arrivals, "orders", dedupe=10, now=lambda: arrivals.now)
    first = taker.get(5.0)
    assert first is not None
    first.ack()
    began = arrivals.now
    with pytest.raises(queue.Empty):
        taker.get(5.5)
    assert arrivals.now == began + 5.5
    simulation.come_to_rest()


def moved_to(simulation: Simulation, name: str) -> None:
    """Have the client's lines move there, as for a planned switchover."""
    simulation.group.lead(name)
    simulation.client.become_live(name)


def test_what_comes_back_of_the_last_consumer_goes_before_what_the_next_one_got_first() -> None:
    simulation = Simulation().started()
    simulation.cluster.overtakes_cancels = True
    simulation.cluster.latency = lambda: 0.002
    subscription = simulation.client.subscribe()
    simulation.run(0.2)
    moved_to(simulation, "b")
    while len(simulation.client.seen(ConsumerStarted)) < 2:  # some of them come between the two consumers
        simulation.client.publish_some(1)
        simulation.run(0.001)
    simulation.run(1.0)
    ids = simulation.journal.stored["orders"]
    delivered = [name for _, name in simulation.journal.delivered]
    assert delivered != ids, "one was overtaken"
    taken = simulation.client.take(subscription)
    assert [message.message_id for message in taken] == ids
    assert sum(message.redelivered for message in taken) == 1
    simulation.come_to_rest()


def held_back() -> tuple[Simulation, Subscription, list[str]]:
    """A consumer that has just followed in a planned move, and the ids of three messages that it holds."""
    simulation = Simulation().started()
    subscription = simulation.client.subscribe()
    simulation.run(0.1)
    moved_to(simulation, "b")
    simulation.until(lambda: len(simulation.client.seen(ConsumerStarted)) == 2, limit=1.0)
    ids = simulation.published(3)
    return simulation, subscription, ids


def test_what_waits_for_what_comes_back_is_delivered_before_the_next_move() -> None:
    simulation, subscription, ids = held_back()
    assert simulation.client.take(subscription) == []
    moved_to(simulation, "c")
    simulation.run(RETURN_PATIENCE / 2)
    taken = simulation.client.take(subscription)
    assert [message.message_id for message in taken] == ids
    for message in taken:
        message.ack()
    simulation.run(1.0)
    assert simulation.journal.acked == dict.fromkeys(ids, 1)
    assert simulation.client.take(subscription) == []
    simulation.come_to_rest()


def test_what_waits_for_what_comes_back_goes_back_when_the_user_stops() -> None:
    simulation, subscription, ids = held_back()
    stopped = simulation.client.engine.finish(subscription, simulation.time.now + 10.0)
    assert simulation.until(stopped.done) < RETURN_PATIENCE / 2
    simulation.run(1.0)
    assert simulation.journal.given_back == ids
    assert [message.message_id for message in simulation.cluster.queues["orders"].ready] == ids
    simulation.come_to_rest()

"""The consumer watch: a consumer that gets nothing while its queue has messages is started again."""

import pytest
from simulation.client import Simulation

from rabbitkeeper.client.consume.starvation import CALM, FIRST
from rabbitkeeper.client.consume.subscription import Subscription
from rabbitkeeper.client.engine.consumer_watch import ConsumerWatch
from rabbitkeeper.client.engine.subscriptions import CHECK
from rabbitkeeper.client.model.events import ConsumerStalled, ConsumerStarted
from rabbitkeeper.client.model.topology import Queue

NOTICED = FIRST + 3 * CHECK + 0.1  # seconds: the checks are each five seconds, and two looks have to agree


def stalled(simulation: Simulation) -> list[ConsumerStalled]:
    return simulation.client.seen(ConsumerStalled)


def starts(simulation: Simulation) -> int:
    return len(simulation.client.seen(ConsumerStarted))


def test_a_consumer_that_is_not_fed_is_started_again_and_told_of() -> None:
    simulation = Simulation().started()
    subscription = simulation.client.subscribe()
    simulation.run(1.0)
    simulation.cluster.stall_consumers("orders")
    ids = simulation.published(6)
    took = simulation.until(lambda: starts(simulation) == 2, limit=NOTICED)
    assert took > FIRST - 1.0
    (event,) = stalled(simulation)
    assert (event.queue, event.ready) == ("orders", 6)
    assert event.seconds >= FIRST
    simulation.run(1.0)
    messages = simulation.client.take(subscription)
    assert [message.message_id for message in messages] == ids
    assert not any(message.redelivered for message in messages)
    assert simulation.cluster.consumers == ["orders"], "the one before has ended"
    simulation.come_to_rest()


def test_messages_in_hand_can_be_answered_after_the_restart() -> None:
    simulation = Simulation().started()
    subscription = simulation.client.subscribe(prefetch=5)
    ids = simulation.published(2)
    simulation.run(0.1)
    in_hand = simulation.client.take(subscription)
    simulation.cluster.stall_consumers("orders")
    ids += simulation.published(3)
    simulation.until(lambda: starts(simulation) == 2, limit=NOTICED)
    simulation.run(1.0)
    rest = simulation.client.take(subscription)
    assert [message.message_id for message in (*in_hand, *rest)] == ids
    for message in (*in_hand, *rest):
        message.ack()
    simulation.run(1.0)
    assert simulation.journal.acked == dict.fromkeys(ids, 1)
    simulation.come_to_rest()


def test_a_queue_that_goes_with_its_last_consumer_does_not_go() -> None:
    simulation = Simulation().started()
    simulation.client.declare(Queue("last", auto_delete=True))
    subscription = simulation.client.subscribe("last")
    simulation.run(0.1)
    simulation.cluster.stall_consumers("last")
    (name,) = simulation.published(1, "last")
    simulation.until(lambda: starts(simulation) == 2, limit=NOTICED)
    simulation.run(1.0)
    assert [message.message_id for message in simulation.client.take(subscription)] == [name]
    simulation.come_to_rest()


def test_a_consumer_that_is_busy_or_has_nothing_to_get_is_left_alone() -> None:
    simulation = Simulation().started("orders", "bills")
    busy, _idle = simulation.client.subscribe("orders", prefetch=2), simulation.client.subscribe("bills")
    simulation.published(10)
    simulation.run(0.1)
    taken = simulation.client.take(busy)
    simulation.run(600.0)
    assert (starts(simulation), stalled(simulation)) == (2, [])
    assert len(taken) == 2
    simulation.come_to_rest()


def test_an_idle_consumer_costs_a_question_each_half_minute() -> None:
    simulation = Simulation().started()
    subscription = simulation.client.subscribe()
    simulation.run(60.0)
    looks = 0
    right = ConsumerWatch._answered

    def count(watch: ConsumerWatch, subscription: Subscription, ready: int, consumers: int) -> None:
        nonlocal looks
        looks += 1
        right(watch, subscription, ready, consumers)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ConsumerWatch, "_answered", count)
        simulation.run(600.0)
    assert 600.0 / (1.25 * CALM + CHECK) <= looks <= 600.0 / (0.75 * CALM)
    assert subscription.active
    simulation.come_to_rest()


def test_restarts_that_do_not_help_come_more_and_more_seldom() -> None:
    simulation = Simulation().started()
    subscription = simulation.client.subscribe()
    simulation.run(0.1)
    simulation.published(1)
    simulation.run(0.1)
    simulation.client.take(subscription)[0].ack()
    queue = simulation.cluster.queues["orders"]
    queue.dispatch = lambda: None  # type: ignore[method-assign]  # it feeds nobody, whoever comes
    simulation.client.publish_some(1)
    simulation.run(3600.0)
    assert 6 <= len(stalled(simulation)) <= 12
    simulation.come_to_rest()


def test_a_question_without_an_answer_says_nothing_and_holds_up_no_other() -> None:
    simulation = Simulation().started("orders", "bills")
    simulation.client.subscribe("orders")
    simulation.client.subscribe("bills")
    simulation.run(1.0)
    simulation.cluster.queues["orders"].owner = object()  # it is refused: somebody has it for himself
    simulation.cluster.stall_consumers("bills")
    simulation.published(3, "bills")
    simulation.run(60.0)
    assert [event.queue for event in stalled(simulation)] == ["bills"]
    simulation.cluster.queues["orders"].owner = None
    simulation.come_to_rest()


def test_a_consumer_that_waits_for_its_turn_is_not_stalled() -> None:
    simulation = Simulation().started()
    simulation.client.declare(Queue("single", arguments={"x-single-active-consumer": True}))
    simulation.client.subscribe("single")
    simulation.client.subscribe("single")
    simulation.run(1.0)
    simulation.cluster.stall_consumers("single")
    simulation.client.publish_some(3, routing_key="single")
    simulation.run(120.0)
    assert stalled(simulation) == []
    simulation.come_to_rest()


def test_a_consumer_that_is_fed_again_before_the_next_one_is_there_feeds() -> None:
    simulation = Simulation().started()
    subscription = simulation.client.subscribe(prefetch=5)
    simulation.run(1.0)
    simulation.cluster.stall_consumers("orders")
    ids = simulation.published(20)
    simulation.cluster.silent_consumes.add("orders")
    simulation.until(lambda: stalled(simulation), limit=NOTICED)
    (consumer,) = simulation.cluster.queues["orders"].consumers
    consumer.is_stalled = False
    simulation.cluster.queues["orders"].dispatch()
    simulation.run(1.0)
    assert simulation.journal.given_back == [], "the queue would deliver it again at once"
    messages = simulation.client.take(subscription)
    simulation.cluster.answer_again()
    while len(messages) < len(ids):
        for message in messages[-5:]:
            message.ack()
        simulation.run(0.1)
        messages += simulation.client.take(subscription)
    assert sorted(str(message.message_id) for message in messages) == ids, "each once"
    assert simulation.cluster.consumers == ["orders"]
    simulation.come_to_rest()

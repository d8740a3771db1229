"""A consumer that the broker does not answer: another channel is tried, then another member."""

from simulation.client import Simulation

from rabbitkeeper.client.consume.subscription import ANSWER_PATIENCE, MOST_ANSWER_PATIENCE
from rabbitkeeper.client.model.events import ConsumerMissing, ConsumerStarted, Disconnected, Switched
from rabbitkeeper.client.routing.failures import DOUBT


def test_it_is_asked_for_again_on_another_channel_after_a_second() -> None:
    simulation = Simulation().started()
    simulation.cluster.silent_consumes.add("orders")
    subscription = simulation.client.subscribe()
    simulation.run(0.5)
    simulation.cluster.silent_consumes.clear()  # for who asks from now on
    assert simulation.until(lambda: subscription.active) < ANSWER_PATIENCE - 0.5 + 0.01
    assert simulation.client.seen(ConsumerMissing) == []
    assert simulation.cluster.consumers == ["orders"]
    assert simulation.client.is_live_at("a")
    simulation.come_to_rest()


def test_a_channel_that_does_not_open_is_waited_for_no_longer() -> None:
    simulation = Simulation().started()
    other = simulation.client.subscribe()
    simulation.until(lambda: other.active)
    simulation.cluster.silent_channels.add("a")
    subscription = simulation.client.subscribe()
    simulation.run(0.5)
    simulation.cluster.silent_channels.clear()
    assert simulation.until(lambda: subscription.active) < ANSWER_PATIENCE
    assert simulation.cluster.consumers == ["orders", "orders"]
    simulation.come_to_rest()


def test_a_member_that_answers_no_consumer_is_left_for_another() -> None:
    simulation = Simulation().started()
    simulation.cluster.queues["orders"].is_stale_at.add("a")
    subscription = simulation.client.subscribe()
    took = simulation.until(lambda: subscription.active)
    assert took < 3 * ANSWER_PATIENCE + 0.1
    assert simulation.client.member != "a"
    assert simulation.client.consuming_places == [simulation.client.member]
    assert simulation.client.seen(Disconnected) == []
    ids = simulation.published(3)
    simulation.run(0.1)
    messages = simulation.client.take(subscription)
    assert [message.message_id for message in messages] == ids
    for message in messages:
        message.ack()
    simulation.cluster.answer_again()
    simulation.client.become_live("a", limit=DOUBT)
    simulation.until(lambda: simulation.client.consuming_places == ["a"] and subscription.active)
    simulation.come_to_rest()


def test_one_queue_that_is_not_answered_for_moves_nobody_while_others_are_consumed_there() -> None:
    simulation = Simulation().started("orders", "bills")
    other = simulation.client.subscribe("bills")
    simulation.until(lambda: other.active)
    simulation.cluster.silent_consumes.add("orders")
    subscription = simulation.client.subscribe()
    simulation.run(60.0)
    assert simulation.client.seen(Switched) == []
    assert simulation.client.seen(ConsumerStarted) == [ConsumerStarted("bills", "a")]
    simulation.cluster.silent_consumes.clear()
    simulation.until(lambda: subscription.active, limit=MOST_ANSWER_PATIENCE + 0.1)
    simulation.come_to_rest()


def test_a_queue_that_nobody_answers_for_does_not_send_the_client_round() -> None:
    simulation = Simulation().started()
    simulation.cluster.silent_consumes.add("orders")
    subscription = simulation.client.subscribe()
    opened = len(simulation.journal.opened)
    simulation.run(60.0)
    assert len(simulation.journal.opened) - opened < 16  # of two connections
    assert simulation.client.seen(Disconnected) == []
    assert simulation.client.seen(ConsumerMissing)
    simulation.cluster.silent_consumes.clear()
    simulation.until(lambda: subscription.active, limit=MOST_ANSWER_PATIENCE + 0.1)
    simulation.come_to_rest()


def test_what_is_stopped_while_it_is_not_answered_is_not_tried_again() -> None:
    simulation = Simulation().started()
    simulation.cluster.silent_consumes.add("orders")
    subscription = simulation.client.subscribe()
    simulation.run(0.5)
    stopped = simulation.client.engine.finish(subscription, simulation.time.now + 5.0)
    simulation.until(stopped.done, limit=1.0)
    simulation.cluster.silent_consumes.clear()
    simulation.run(20.0)
    assert simulation.client.seen(ConsumerStarted) == []
    assert simulation.cluster.consumers == []
    simulation.come_to_rest()

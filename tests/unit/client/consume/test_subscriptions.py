"""Consumers: taken on, ended by the broker, and restored, for as long as their users want them."""

import pytest
from simulation.broker.queues import Consumer
from simulation.client import Simulation

from rabbitkeeper.client.amqp.transport import ChannelLost
from rabbitkeeper.client.consume.refusals import MISSING_GRACE
from rabbitkeeper.client.engine.consuming_connection import DRAIN_PATIENCE
from rabbitkeeper.client.model.errors import NotAuthorized, TopologyError
from rabbitkeeper.client.model.events import ConsumerLost, ConsumerMissing, ConsumerStarted
from rabbitkeeper.client.model.topology import Queue


def test_messages_come_in_order_and_are_gone_when_they_are_acked() -> None:
    simulation = Simulation().started()
    subscription = simulation.client.subscribe()
    ids = simulation.published(50)
    simulation.run(0.1)
    messages = simulation.client.take(subscription)
    assert [message.message_id for message in messages] == ids
    assert not any(message.redelivered for message in messages)
    for message in messages:
        message.ack()
    simulation.run(0.1)
    assert simulation.journal.acked == dict.fromkeys(ids, 1)
    assert simulation.cluster.kept == set()
    assert simulation.client.seen(ConsumerStarted) == [ConsumerStarted("orders", "a")]
    simulation.come_to_rest()


def test_no_more_are_delivered_than_the_prefetch_allows() -> None:
    simulation = Simulation().started()
    simulation.published(30)
    subscription = simulation.client.subscribe(prefetch=10)
    simulation.run(1.0)
    taken = simulation.client.take(subscription)
    assert len(taken) == 10
    for message in (taken[7], taken[2], taken[3]):  # acks in any order make room
        message.ack()
    simulation.run(1.0)
    assert len(simulation.client.take(subscription)) == 3
    simulation.come_to_rest()


def test_what_is_given_back_comes_again_and_what_is_rejected_does_not() -> None:
    simulation = Simulation().started()
    first, second = simulation.published(2)
    subscription = simulation.client.subscribe()
    simulation.run(0.1)
    messages = simulation.client.take(subscription)
    messages[0].nack()
    messages[1].reject()
    simulation.run(0.1)
    (again,) = simulation.client.take(subscription)
    assert (again.message_id, again.redelivered) == (first, True)
    assert simulation.journal.rejected == {second: 1}
    simulation.come_to_rest()


def test_a_message_that_was_acked_before_is_not_shown_again() -> None:
    simulation = Simulation().started()
    simulation.published(1)
    subscription = simulation.client.subscribe(dedupe=10)
    simulation.run(0.1)
    (message,) = simulation.client.take(subscription)
    message.ack()
    simulation.cluster.kill("a")  # before the ack has reached it
    simulation.client.become_live()
    simulation.run(1.0)
    assert simulation.client.take(subscription) == []
    simulation.run(0.1)
    assert simulation.cluster.kept == set()
    simulation.come_to_rest()


# -- across switches


def test_a_consumer_is_restored_after_a_switch_and_gets_what_it_had_not_answered() -> None:
    simulation = Simulation().started()
    subscription = simulation.client.subscribe(prefetch=5)
    ids = simulation.published(10)
    simulation.run(0.1)
    before = simulation.client.take(subscription)
    before[0].ack()
    simulation.run(0.1)
    simulation.cluster.kill("a")
    simulation.until(lambda: len(simulation.client.seen(ConsumerStarted)) == 2, limit=2.0)
    before[1].ack()  # too late: nobody hears it
    taken: list[str | None] = []
    for _ in range(20):
        simulation.run(0.1)
        for message in simulation.client.take(subscription):
            taken.append(message.message_id)
            message.ack()
    assert taken == ids[1:]
    assert simulation.cluster.kept == set()
    simulation.come_to_rest()


def test_a_planned_move_takes_messages_in_hand_along() -> None:
    simulation = Simulation().started()
    subscription = simulation.client.subscribe(prefetch=5)
    ids = simulation.published(10)
    simulation.run(0.1)
    in_hand = simulation.client.take(subscription)
    simulation.group.lead("b")
    simulation.client.become_live("b")
    simulation.until(lambda: len(simulation.client.seen(ConsumerStarted)) == 2, limit=1.0)
    assert simulation.client.consuming_places == ["a", "b"]  # the old one is kept for the answers
    assert simulation.client.places == ["b"]
    for message in in_hand:
        message.ack()
    simulation.until(lambda: simulation.client.consuming_places == ["b"], limit=0.1)
    simulation.run(0.1)
    rest = simulation.client.take(subscription)
    assert [message.message_id for message in (*in_hand, *rest)] == ids
    assert not any(message.redelivered for message in rest)
    assert simulation.journal.acked == dict.fromkeys(ids[:5], 1)
    simulation.come_to_rest()


def test_a_connection_that_was_left_is_not_kept_for_ever_for_answers() -> None:
    simulation = Simulation().started()
    subscription = simulation.client.subscribe(prefetch=5)
    simulation.published(5)
    simulation.run(0.1)
    assert len(simulation.client.take(subscription)) == 5
    simulation.group.lead("b")
    simulation.client.become_live("b")
    simulation.until(lambda: simulation.client.consuming_places == ["a", "b"])
    took = simulation.until(lambda: simulation.client.consuming_places == ["b"], limit=DRAIN_PATIENCE + 1.0)
    assert took > DRAIN_PATIENCE - 1.0
    simulation.run(0.1)
    assert all(message.redelivered for message in simulation.client.take(subscription))
    simulation.come_to_rest()


def test_an_old_broker_that_does_not_end_the_consumer_is_not_waited_for_long() -> None:
    simulation = Simulation().started()
    simulation.client.subscribe()
    simulation.run(0.1)
    old = simulation.client.connection(consuming=True)
    old.wire.up.pause()  # what is said to the old one does not arrive
    simulation.group.lead("b")
    simulation.client.become_live("b")
    took = simulation.until(lambda: len(simulation.client.seen(ConsumerStarted)) == 2)
    assert 0.9 < took < 1.1
    old.wire.up.resume()
    simulation.come_to_rest()


# -- what brokers do to consumers


def test_a_consumer_that_the_broker_ends_is_started_again() -> None:
    simulation = Simulation().started()
    subscription = simulation.client.subscribe()
    simulation.run(0.1)
    simulation.cluster.queues["orders"].consumers[0].cancel_by_broker()
    simulation.until(lambda: len(simulation.client.seen(ConsumerStarted)) == 2, limit=1.0)
    assert simulation.client.seen(ConsumerLost) == [
        ConsumerLost("orders", "the broker ended the consumer", False)
    ]
    (name,) = simulation.published(1)
    simulation.run(0.1)
    assert [message.message_id for message in simulation.client.take(subscription)] == [name]
    simulation.come_to_rest()


def test_a_consumer_whose_channel_the_broker_closes_is_started_again() -> None:
    simulation = Simulation().started()
    simulation.client.subscribe()
    simulation.run(0.1)
    simulation.cluster.close_channels(
        406, "PRECONDITION_FAILED - delivery acknowledgement timed out", consuming=True
    )
    simulation.until(lambda: len(simulation.client.seen(ConsumerStarted)) == 2, limit=1.0)
    simulation.come_to_rest()


def test_a_queue_that_is_deleted_ends_its_consumer_after_a_while() -> None:
    simulation = Simulation().started()
    subscription = simulation.client.subscribe()
    simulation.run(0.1)
    simulation.cluster.delete_queue("orders")
    simulation.run(1.0)
    assert simulation.client.take(subscription) == []  # it may yet be declared again
    simulation.run(MISSING_GRACE + 1.0)
    with pytest.raises(TopologyError, match="no queue 'orders'"):
        simulation.client.take(subscription)
    finals = [event.final for event in simulation.client.seen(ConsumerLost)]
    assert finals == [False, True]
    simulation.come_to_rest()


def test_a_queue_that_was_never_there_is_told_at_once() -> None:
    simulation = Simulation().started()
    simulation.run(10.0)
    subscription = simulation.client.subscribe("missing")
    simulation.run(0.5)
    with pytest.raises(TopologyError, match="no queue 'missing'"):
        simulation.client.take(subscription)
    with pytest.raises(TopologyError, match="no queue 'missing'"):  # and whoever asks again
        simulation.client.take(subscription)
    simulation.come_to_rest()


def test_a_queue_that_is_declared_a_moment_later_is_consumed_from() -> None:
    simulation = Simulation().started()
    subscription = simulation.client.subscribe("late")
    simulation.run(1.0)
    simulation.client.declare(Queue("late"))
    simulation.until(lambda: subscription.active, limit=1.0)
    simulation.come_to_rest()


def test_an_exclusive_consumer_of_somebody_else_is_waited_for() -> None:
    simulation = Simulation().started()
    simulation.cluster.queues["orders"].held_by = "somebody"
    subscription = simulation.client.subscribe()
    simulation.run(30.0)
    assert not subscription.active
    missing = simulation.client.seen(ConsumerMissing)
    assert 3 <= len(missing) <= 7
    assert "exclusive use" in missing[0].why
    simulation.cluster.queues["orders"].held_by = None
    simulation.until(lambda: subscription.active, limit=2.0)
    simulation.come_to_rest()


def test_a_queue_that_is_forbidden_ends_its_consumer() -> None:
    simulation = Simulation().started()
    simulation.cluster.forbidden.add("orders")
    subscription = simulation.client.subscribe()
    simulation.run(0.1)
    with pytest.raises(NotAuthorized, match="ACCESS_REFUSED"):
        simulation.client.take(subscription)
    simulation.come_to_rest()


def test_a_queue_that_does_not_take_this_consumer_ends_it() -> None:
    simulation = Simulation().started()
    subscription = simulation.client.subscribe()
    simulation.cluster.silent_consumes.add("orders")
    simulation.run(0.1)
    for end in simulation.cluster.connections:
        end.channels[-1].refuse(ChannelLost(406, "PRECONDITION_FAILED - not with this prefetch"))
    simulation.run(0.1)
    with pytest.raises(TopologyError, match="not with this prefetch"):
        simulation.client.take(subscription)
    simulation.come_to_rest()


def test_a_classic_queue_whose_node_is_down_is_waited_for() -> None:
    simulation = Simulation().started()
    simulation.client.declare(Queue("classic", type="classic"))
    subscription = simulation.client.subscribe("classic")
    simulation.run(0.1)
    simulation.cluster.kill("a")
    simulation.client.become_live()
    simulation.run(60.0)
    assert simulation.client.take(subscription) == []
    assert simulation.client.seen(ConsumerMissing)
    simulation.cluster.start("a")
    simulation.until(lambda: subscription.active, limit=2.0)
    simulation.come_to_rest()


def test_a_consumer_of_an_exclusive_queue_follows_it() -> None:
    simulation = Simulation().started()
    queue = Queue("", exclusive=True)
    simulation.client.declare(queue)
    subscription = simulation.client.subscribe(queue.name)
    simulation.run(0.1)
    simulation.cluster.kill("a")
    simulation.until(lambda: len(simulation.client.seen(ConsumerStarted)) == 2, limit=2.0)
    future = simulation.client.publish("", simulation.client.engine.topology.resolve(queue.name))
    simulation.client.all_done()
    simulation.run(0.1)
    assert [message.message_id for message in simulation.client.take(subscription)] == [future.message_id]
    simulation.come_to_rest()


def test_an_exclusive_queue_is_consumed_from_again_when_its_old_connection_has_gone() -> None:
    simulation = Simulation().started()
    simulation.client.declare(Queue("mine", exclusive=True))
    subscription = simulation.client.subscribe("mine")
    simulation.run(0.1)
    simulation.group.lead("b")
    simulation.client.become_live("b")
    simulation.run(2.0)
    assert subscription.active
    assert simulation.cluster.consumers == ["mine"]
    simulation.come_to_rest()


def test_every_consumer_is_on_one_connection_after_many_moves() -> None:
    simulation = Simulation().started("orders", "bills")
    subscriptions = [simulation.client.subscribe(name) for name in ("orders", "orders", "bills")]
    for name in "bcabcabc":
        simulation.group.lead(name)
        simulation.run(0.3)
    simulation.run(10.0)
    assert simulation.cluster.consumers == ["bills", "orders", "orders"]
    assert all(subscription.active for subscription in subscriptions)
    assert simulation.client.places == simulation.client.consuming_places == ["c"]
    simulation.come_to_rest()


def test_a_consumer_that_is_ended_as_soon_as_it_is_there_is_not_started_all_the_time() -> None:
    simulation = Simulation().started()
    subscription = simulation.client.subscribe()
    simulation.run(2.0)
    queue = simulation.cluster.queues["orders"]
    add = queue.add_consumer

    def add_and_end(consumer: Consumer) -> None:
        add(consumer)
        consumer.cancel_by_broker()

    queue.add_consumer = add_and_end  # type: ignore[method-assign]
    queue.consumers[0].cancel_by_broker()
    simulation.run(20.0)
    assert 10 < len(simulation.client.seen(ConsumerStarted)) < 100
    queue.add_consumer = add  # type: ignore[method-assign]
    simulation.until(lambda: queue.consumers, limit=1.1)
    simulation.run(0.1)
    assert subscription.active
    simulation.come_to_rest()

"""Consumers are stopped: the broker delivers no more, and what is in hand is waited for or given back."""

import pytest
from simulation.client import Simulation

from rabbitkeeper.client.engine.consuming_connection import DRAIN_PATIENCE


def test_a_stop_waits_for_what_is_in_hand() -> None:
    simulation = Simulation().started()
    ids = simulation.published(5)
    subscription = simulation.client.subscribe()
    simulation.run(0.1)
    taken = [subscription.get(0), subscription.get(0)]
    stopped = simulation.client.engine.finish(subscription, simulation.time.now + 5.0)
    simulation.run(1.0)
    assert not stopped.done()
    assert simulation.cluster.consumers == []
    assert len(simulation.cluster.queues["orders"].ready) == 3  # what was not taken is back already
    for message in taken:
        assert message is not None
        message.ack()
    assert simulation.until(stopped.done) < 0.05
    assert stopped.result(0) == 0
    assert subscription.get(0) is None
    simulation.run(0.1)
    assert set(simulation.journal.acked) == set(ids[:2])
    simulation.come_to_rest()


def test_a_stop_with_nothing_in_hand_is_over_with_the_brokers_word() -> None:
    simulation = Simulation().started()
    subscription = simulation.client.subscribe()
    simulation.run(0.1)
    stopped = simulation.client.engine.finish(subscription, simulation.time.now + 5.0)
    assert simulation.until(stopped.done) < 0.01
    simulation.come_to_rest()


def test_a_stop_that_takes_too_long_gives_back_what_is_in_hand() -> None:
    simulation = Simulation().started()
    ids = simulation.published(3)
    subscription = simulation.client.subscribe()
    simulation.run(0.1)
    subscription.get(0)
    stopped = simulation.client.engine.finish(subscription, simulation.time.now + 2.0)
    assert simulation.until(stopped.done) == pytest.approx(2.0)
    assert stopped.result(0) == 1
    simulation.run(0.1)
    assert {message.message_id for message in simulation.cluster.queues["orders"].ready} == set(ids)
    simulation.come_to_rest()


def test_a_stop_does_not_wait_for_answers_on_a_connection_that_was_left_and_is_closed() -> None:
    simulation = Simulation().started()
    simulation.published(3)
    subscription = simulation.client.subscribe()
    simulation.run(0.1)
    assert len(simulation.client.take(subscription)) == 3
    simulation.group.lead("b")
    simulation.client.become_live("b")
    stopped = simulation.client.engine.finish(subscription, simulation.time.now + 2 * DRAIN_PATIENCE)
    took = simulation.until(stopped.done, limit=DRAIN_PATIENCE + 1.0)
    assert took == pytest.approx(DRAIN_PATIENCE, abs=0.1)
    assert stopped.result(0) == 0
    simulation.come_to_rest()


@pytest.mark.parametrize("seconds", [0.0, 0.0003, 0.0006, 0.0009, 0.0012, 0.01])
def test_a_consumer_can_be_stopped_at_any_point_of_its_start(seconds: float) -> None:
    simulation = Simulation().started()
    simulation.published(3)
    subscription = simulation.client.subscribe()
    simulation.run(seconds)
    stopped = simulation.client.engine.finish(subscription, simulation.time.now + 5.0)
    simulation.until(stopped.done, limit=0.1)
    assert stopped.result(0) == 0
    simulation.run(0.1)
    assert simulation.cluster.consumers == []
    assert len(simulation.cluster.queues["orders"].ready) == 3
    assert subscription.get(0) is None
    simulation.come_to_rest()


def test_a_stop_ends_when_the_connection_does() -> None:
    simulation = Simulation().started()
    simulation.published(3)
    subscription = simulation.client.subscribe()
    simulation.run(0.1)
    subscription.get(0)
    stopped = simulation.client.engine.finish(subscription, simulation.time.now + 5.0)
    simulation.run(0.1)
    simulation.cluster.kill("a")
    assert simulation.until(stopped.done) < 0.1
    simulation.come_to_rest()


def test_a_stop_right_after_a_planned_move_waits_for_both_connections() -> None:
    simulation = Simulation().started()
    simulation.published(3)
    subscription = simulation.client.subscribe()
    simulation.run(0.1)
    taken = simulation.client.take(subscription)
    simulation.group.lead("b")
    simulation.client.become_live("b")
    stopped = simulation.client.engine.finish(subscription, simulation.time.now + 3.0)
    simulation.run(1.0)
    assert not stopped.done()
    for message in taken:
        message.ack()
    simulation.until(stopped.done, limit=0.1)
    assert stopped.result(0) == 0
    simulation.run(0.1)
    assert simulation.cluster.kept == set()
    simulation.come_to_rest()


def test_a_consumer_that_is_dropped_gives_back_everything() -> None:
    simulation = Simulation().started()
    simulation.published(3)
    subscription = simulation.client.subscribe()
    simulation.run(0.1)
    subscription.get(0)
    simulation.client.engine.drop(subscription)
    simulation.run(0.1)
    assert simulation.cluster.consumers == []
    assert len(simulation.cluster.queues["orders"].ready) == 3
    simulation.come_to_rest()


def test_acks_that_were_given_go_out_before_the_end() -> None:
    simulation = Simulation().started()
    ids = simulation.published(3)
    subscription = simulation.client.subscribe()
    simulation.run(0.1)
    for message in simulation.client.take(subscription):
        message.ack()
    simulation.client.close()
    simulation.run(1.0)
    assert set(simulation.journal.acked) == set(ids)
    simulation.come_to_rest()


def test_counts_tell_what_is_wanted_there_and_in_hand() -> None:
    simulation = Simulation().started()
    simulation.published(3)
    subscription = simulation.client.subscribe()
    simulation.run(0.1)
    counts = simulation.client.engine.consumers
    assert (counts.active, counts.wanted, counts.in_hand) == (1, 1, 3)
    simulation.cluster.kill("a", "b", "c")
    simulation.run(0.1)
    counts = simulation.client.engine.consumers
    assert (counts.active, counts.wanted, counts.in_hand) == (0, 1, 0)
    assert simulation.client.take(subscription) == []
    simulation.come_to_rest()


def test_consumers_that_end_with_their_connection_keep_no_other_from_following() -> None:
    simulation = Simulation().started("first", "second", "other")
    stopping = [simulation.client.subscribe("first"), simulation.client.subscribe("second")]
    staying = simulation.client.subscribe("other")
    simulation.run(1.0)
    for queue in ("first", "second"):
        simulation.client.publish_some(5, routing_key=queue)
    simulation.client.all_done()
    simulation.run(0.1)
    assert [len(simulation.client.take(subscription)) for subscription in stopping] == [5, 5]
    ends = [
        simulation.client.engine.finish(subscription, simulation.time.now + 30.0) for subscription in stopping
    ]
    simulation.run(0.1)
    assert not any(end.done() for end in ends), "five are in hand of each"
    simulation.cluster.kill("a")
    simulation.run(1.0)
    assert [end.result(0) for end in ends] == [0, 0], "answers would reach nobody"
    assert staying.active
    simulation.come_to_rest()


def test_answers_that_are_not_sent_yet_when_the_time_is_up_go_out_with_the_end() -> None:
    simulation = Simulation().started("orders")
    subscription = simulation.client.subscribe("orders")
    simulation.client.publish_some(2)
    simulation.run(1.0)
    messages = simulation.client.take(subscription)
    left = simulation.client.engine.finish(subscription, simulation.time.now + 3.0)
    simulation.run(2.999)
    for message in messages:
        message.ack()
    simulation.run(1.0)
    assert left.result(0) == 2, "as was known then"
    other = simulation.client.subscribe("orders")
    simulation.run(1.0)
    assert simulation.client.take(other) == []
    simulation.come_to_rest()


def test_what_nobody_has_seen_goes_back_without_counting_and_what_is_refused_counts() -> None:
    simulation = Simulation().started()
    ids = simulation.published(4)
    subscription = simulation.client.subscribe()
    simulation.run(0.1)
    taken = [subscription.get(0), subscription.get(0)]
    assert taken[0] is not None
    assert taken[1] is not None
    taken[0].ack()
    taken[1].nack()
    left = simulation.client.engine.finish(subscription, simulation.time.now + 5.0)
    simulation.until(left.done)
    simulation.run(0.1)
    assert simulation.journal.given_back == ids[2:] or simulation.journal.given_back == [*ids[2:], ids[1]]
    failures = {one.message_id: one.failures for one in simulation.cluster.queues["orders"].ready}
    assert failures == {ids[1]: 1, ids[2]: 0, ids[3]: 0}
    simulation.come_to_rest()


def test_a_planned_move_with_messages_that_nobody_has_taken_uses_no_delivery_up() -> None:
    simulation = Simulation().started()
    simulation.published(5)
    subscription = simulation.client.subscribe()
    simulation.run(0.1)
    simulation.group.lead("b")
    simulation.until(lambda: simulation.client.is_live_at("b"))
    left = simulation.client.engine.finish(subscription, simulation.time.now + 5.0)
    simulation.until(left.done)
    simulation.run(0.1)
    assert [one.failures for one in simulation.cluster.queues["orders"].ready] == [0] * 5
    simulation.come_to_rest()


def test_a_consumer_that_is_starting_when_it_is_to_stop_gets_nothing_while_answers_are_waited_for() -> None:
    simulation = Simulation().started()
    simulation.published(20)
    subscription = simulation.client.subscribe(prefetch=5)
    simulation.run(0.1)
    in_hand = simulation.client.take(subscription)
    simulation.group.lead("b")
    simulation.until(lambda: "b" in simulation.client.consuming_places and subscription.active)
    simulation.until(lambda: not subscription.active)  # the one before is left …
    simulation.until(lambda: subscription._consumer is not None)
    simulation.run(0.0005)  # … and the next one is asked for
    stopped = simulation.client.engine.finish(subscription, simulation.time.now + 10.0)
    simulation.run(5.0)
    assert len(simulation.journal.given_back) <= 5, "what comes back to it is delivered to it again"
    assert simulation.cluster.consumers == []
    for message in in_hand:
        message.ack()
    assert simulation.until(stopped.done) < 0.1
    assert stopped.result(0) == 0
    simulation.come_to_rest()

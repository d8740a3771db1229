"""A queue that is not well holds up what is for itself alone, and the order of each place is kept."""

import pytest
from simulation.client import Simulation

from rabbitkeeper.client.amqp.transport import ChannelLost
from rabbitkeeper.client.model.errors import Nacked, PublishUnknown, Unroutable
from rabbitkeeper.client.model.events import Switched
from rabbitkeeper.client.model.topology import Binding, Exchange, Queue
from rabbitkeeper.client.publish.refusals import NACK_PATIENCE
from rabbitkeeper.client.publish.silence import SILENCE
from rabbitkeeper.coordinator.model.records import MemberStatus

FULL = Queue("full", arguments={"x-max-length": 0, "x-overflow": "reject-publish"})


def lose_broker(simulation: Simulation) -> None:
    before = simulation.client.member
    assert before is not None
    simulation.cluster.kill(before)
    simulation.until(lambda: simulation.client.member not in (before, None))


def move_planned(simulation: Simulation) -> None:
    simulation.group.lead("b")
    simulation.until(lambda: simulation.client.seen(Switched))


@pytest.mark.parametrize("switch", [lose_broker, move_planned])
def test_one_full_queue_holds_nobody_else_up_after_a_switch(switch: object) -> None:
    assert callable(switch)
    simulation = Simulation().started()
    simulation.client.declare(FULL)
    switch(simulation)
    simulation.run(1.0)
    refused = simulation.client.publish(routing_key="full")
    others = simulation.client.publish_some(20)
    simulation.until(lambda: all(future.done() for future in others), limit=1.0)
    assert all(future.exception(0) is None for future in others)
    simulation.client.all_done()
    assert isinstance(refused.exception(0), Nacked)
    simulation.come_to_rest()


def test_others_go_on_while_a_full_queue_is_published_to_through_a_switch() -> None:
    simulation = Simulation().started()
    simulation.client.declare(FULL)
    full = [simulation.client.publish(routing_key="full") for _ in range(100)]
    others = simulation.client.publish_some(100)
    simulation.cluster.kill("a")
    assert simulation.until(lambda: all(future.done() for future in others)) < 1.0
    assert simulation.first_stored() == [future.message_id for future in others]
    simulation.client.all_done()
    assert all(isinstance(future.exception(0), Nacked | PublishUnknown) for future in full)
    simulation.come_to_rest()


def test_one_queue_without_a_leader_holds_nobody_else_up_after_a_lost_connection() -> None:
    simulation = Simulation().started("orders", "bills")
    simulation.published(1, "bills")
    bills = simulation.cluster.queues["bills"]
    bills.lose_leader(10.0)
    held = simulation.client.publish_some(10, routing_key="bills")
    simulation.run(0.1)
    simulation.cluster.close_connections("a")
    others = simulation.client.publish_some(10)
    assert simulation.until(lambda: all(future.done() for future in others)) < 1.0
    simulation.client.all_done()
    assert all(future.exception(0) is None for future in held)
    assert simulation.first_stored("bills")[1:] == [future.message_id for future in held]
    simulation.come_to_rest()


def test_a_channel_that_is_stuck_in_a_call_to_a_node_that_is_gone_is_left_after_a_second() -> None:
    simulation = Simulation().started("orders", "bills")
    simulation.cluster.queues["bills"].is_stale_at |= {"a", "b", "c"}
    held = simulation.client.publish_some(10, routing_key="bills")
    others = simulation.client.publish_some(10)
    assert simulation.until(lambda: all(future.done() for future in others)) < SILENCE + 0.1
    assert simulation.first_stored() == [future.message_id for future in others]
    simulation.cluster.answer_again()  # the agents have dropped the node
    assert simulation.until(lambda: all(future.done() for future in held)) < 2.0
    assert simulation.first_stored("bills") == [future.message_id for future in held]
    simulation.come_to_rest()


def test_many_places_that_refuse_are_tried_together() -> None:
    names = [f"q{number}" for number in range(50)]
    simulation = Simulation().started("orders", *names)
    for name in names:
        simulation.cluster.queues[name].lose_leader(3.0)
    simulation.group.says("c", MemberStatus.UNREACHABLE)  # the agents notice that something is wrong
    waiting = [simulation.client.publish(routing_key=name) for name in names for _ in range(3)]
    simulation.client.publish_some(10)
    opened = len(simulation.client.transport.connections[0].channels)
    simulation.until(lambda: sum(future.done() for future in waiting) == 0, limit=1.0)
    took = simulation.client.all_done()
    assert all(future.exception(0) is None for future in waiting)
    assert took < 3.0 * 1.4
    assert len(simulation.client.transport.connections[0].channels) - opened < 30
    for name in names:
        assert simulation.stored(name) == [
            future.message_id for future in waiting if future.routing_key == name
        ]
    simulation.come_to_rest()


def test_answers_under_way_are_read_before_a_channel_is_left() -> None:
    simulation = Simulation().started("small")
    simulation.cluster.queues.clear()
    simulation.client.declare(Queue("small", arguments={"x-max-length": 3, "x-overflow": "reject-publish"}))
    simulation.cluster.confirm_delay = lambda: 0.2
    futures = [simulation.client.publish(routing_key="small") for _ in range(10)]
    simulation.client.all_done()
    stored = set(simulation.stored("small"))
    for future in futures:
        error = future.exception(0)
        assert error is None or isinstance(error, Nacked)
        assert (error is None) == (future.message_id in stored)
    simulation.come_to_rest()


def test_what_comes_back_while_the_topology_is_incomplete_freezes_nobody_else() -> None:
    simulation = Simulation().started("orders", "bills")
    simulation.client.declare(Exchange("events", "fanout"), Binding("events", "bills"))
    simulation.cluster.silent_declarations.add("bills")
    lose_broker(simulation)
    astray = simulation.client.publish(routing_key="nowhere")
    others = simulation.client.publish_some(10)
    assert simulation.until(lambda: all(future.done() for future in others)) < 1.0
    assert not astray.done()
    simulation.cluster.answer_again()
    assert simulation.client.all_done() < 1.0
    assert isinstance(astray.exception(0), Unroutable)
    simulation.come_to_rest()


def test_a_place_that_has_refused_for_long_is_believed_whatever_happens_to_the_group() -> None:
    simulation = Simulation().started()
    simulation.client.declare(FULL)
    simulation.run(NACK_PATIENCE)
    simulation.client.publish(routing_key="full")
    simulation.client.all_done()
    for leader in "bcab":
        simulation.group.lead(leader)
        simulation.run(0.5)
        refused = simulation.client.publish(routing_key="full")
        assert simulation.client.all_done() < 0.2
        assert isinstance(refused.exception(0), Nacked)
    simulation.come_to_rest()


def test_an_exchange_that_is_not_there_yet_keeps_what_is_for_it_waiting_alone() -> None:
    simulation = Simulation().started("orders", "bills")
    simulation.client.declare(Exchange("events", "fanout"), Binding("events", "bills"))
    simulation.cluster.delete_exchange("events")
    simulation.cluster.silent_declarations.add("events")
    lose_broker(simulation)
    waiting = simulation.client.publish_some(5, exchange="events", routing_key="")
    others = simulation.client.publish_some(10)
    assert simulation.until(lambda: all(future.done() for future in others)) < 1.0
    simulation.cluster.answer_again()
    simulation.client.all_done()
    assert all(future.exception(0) is None for future in waiting)
    assert simulation.first_stored("bills") == [future.message_id for future in waiting]
    simulation.come_to_rest()


def test_a_message_that_closed_channels_twice_in_the_same_words_is_surely_not_there() -> None:
    simulation = Simulation().started()
    simulation.client.declare(Exchange("secret", "fanout"))
    simulation.cluster.forbidden.add("secret")
    simulation.published(1)
    (refused, *_) = simulation.client.publish_some(3, exchange="secret", routing_key="")
    simulation.client.all_done()
    assert isinstance(refused.exception(0), Nacked)
    simulation.come_to_rest()


@pytest.mark.parametrize(
    "why",
    [
        ChannelLost(541, "INTERNAL_ERROR"),
        ChannelLost(506, "RESOURCE_ERROR"),
        ChannelLost(504, "CHANNEL_ERROR"),
    ],
)
def test_a_message_over_which_each_channel_is_closed_is_tried_by_itself_with_growing_pauses(
    why: ChannelLost,
) -> None:
    simulation = Simulation().started("orders", "bills")
    simulation.published(1)
    simulation.cluster.fatal["bills"] = why
    fatal = simulation.client.publish_some(5, routing_key="bills")
    others = simulation.client.publish_some(20)
    simulation.until(lambda: all(future.done() for future in others), limit=1.0)
    asked = sum(len(connection.channels) for connection in simulation.client.transport.open)
    for _ in range(100):
        future = simulation.client.publish()
        assert simulation.until(future.done) < 0.01, "they are held up"
        simulation.run(0.1)
    opened = sum(len(connection.channels) for connection in simulation.client.transport.open) - asked
    assert opened < 25, f"{opened} channels in ten seconds"
    assert simulation.client.is_live_at("a")
    simulation.cluster.fatal.clear()
    assert simulation.client.all_done() < 2.0
    assert all(future.exception(0) is None for future in (*fatal, *others))
    assert simulation.first_stored("bills") == [future.message_id for future in fatal]
    simulation.come_to_rest()


def test_a_broker_that_closes_each_channel_at_once_is_asked_with_growing_pauses() -> None:
    simulation = Simulation().started("orders", "bills", "letters")
    simulation.published(1)
    for name in ("orders", "bills", "letters"):
        simulation.cluster.fatal[name] = ChannelLost(506, "RESOURCE_ERROR - it happens")
        simulation.client.publish_some(5, routing_key=name)
    simulation.run(20.0)
    channels = sum(len(connection.channels) for connection in simulation.client.transport.open)
    assert channels < 100
    simulation.cluster.fatal.clear()
    assert simulation.client.all_done() < 3.0
    assert all(future.exception(0) is None for future in simulation.client.futures)
    simulation.come_to_rest()


def test_what_is_closed_over_until_its_deadline_is_unknown() -> None:
    simulation = Simulation().started()
    simulation.cluster.fatal["orders"] = ChannelLost(541, "INTERNAL_ERROR")
    future = simulation.client.publish(timeout=5.0)
    assert simulation.client.all_done() == pytest.approx(5.0, abs=0.01)
    assert isinstance(future.exception(0), PublishUnknown)
    simulation.come_to_rest()

"""The broker that a client is connected to goes away, in all the ways that brokers have."""

from collections import Counter

import pytest
from simulation.broker.channel_end import ChannelEnd
from simulation.broker.confirms import Style
from simulation.client import Simulation

from rabbitkeeper.client.model.events import Disconnected, LeaderChanged, Switched
from rabbitkeeper.client.publish.refusals import RENEW_PAUSE
from rabbitkeeper.client.publish.silence import SILENCE
from rabbitkeeper.client.routing.switch import MOVE_RETRY, Phase
from rabbitkeeper.coordinator.model.records import MemberStatus


@pytest.mark.parametrize("style", list(Style))
def test_what_was_in_flight_is_published_again_in_order_and_nothing_is_lost(style: Style) -> None:
    simulation = Simulation(seed=3).started()
    simulation.cluster.confirm_style = style
    futures = simulation.client.publish_some(200)
    simulation.run(0.0022)  # some are confirmed, some stored, some under way
    confirmed = len(simulation.journal.confirmed)
    assert 0 < confirmed < 200
    simulation.cluster.kill("a")
    simulation.client.all_done()
    ids = [future.message_id for future in futures]
    assert all(future.exception(0) is None for future in futures)
    assert simulation.first_stored() == ids
    assert simulation.lost() == set()
    again = simulation.journal.sent_on(simulation.client.member or "")
    assert list(dict.fromkeys(again)) == [name for name in ids if name in again]
    assert max(future.result().attempts for future in futures) >= 2
    simulation.come_to_rest()


def test_a_switch_takes_no_longer_than_an_election() -> None:
    simulation = Simulation().started()
    simulation.cluster.kill("a")
    future = simulation.client.publish()
    took = simulation.client.all_done()
    assert future.exception(0) is None
    assert took < simulation.cluster.election_time + 0.2
    (event,) = simulation.client.seen(Switched)
    assert (event.previous, event.planned) == ("a", False)
    assert 0 < event.gap < 0.1
    assert len(simulation.client.seen(Disconnected)) == 1
    simulation.come_to_rest()


def test_a_channel_that_meets_a_queue_without_a_leader_is_given_up_until_there_is_one() -> None:
    simulation = Simulation().started()
    simulation.cluster.kill("a")
    simulation.until(lambda: simulation.client.seen(Switched))
    future = simulation.client.publish()
    simulation.client.all_done()
    assert future.exception(0) is None
    assert simulation.journal.nacked == {future.message_id}
    assert future.result().attempts > 3  # each on another channel, until the queue had a leader
    (connection,) = simulation.client.transport.open
    assert len([channel for channel in connection.channels if not channel.is_over]) == 2  # declaring too
    simulation.come_to_rest()


def test_the_client_moves_on_to_the_new_leader_when_there_is_one() -> None:
    simulation = Simulation().started()
    simulation.cluster.kill("a")
    simulation.until(lambda: simulation.client.seen(Switched))
    first = simulation.client.member
    leader = "c" if first == "b" else "b"
    simulation.group.remove("a")
    simulation.group.lead(leader)
    simulation.client.become_live(leader, limit=1.0)
    planned = [event.planned for event in simulation.client.seen(Switched)]
    assert planned == [False, True]
    assert [event.member for event in simulation.client.seen(LeaderChanged)] == [leader]
    simulation.come_to_rest()


def test_a_hung_broker_is_dropped_at_its_agents_word() -> None:
    simulation = Simulation().started()
    before = simulation.client.publish()
    simulation.client.all_done()
    simulation.cluster.hang("a")
    futures = simulation.client.publish_some(5)
    simulation.run(SILENCE)
    assert simulation.client.is_live_at("a")  # nobody knows yet
    assert not any(future.done() for future in futures)
    simulation.cluster.kill("a")  # as its agent does
    simulation.group.says("a", MemberStatus.HUNG)
    took = simulation.client.all_done()
    assert took < 0.6
    assert simulation.first_stored() == [future.message_id for future in (before, *futures)]
    simulation.come_to_rest()


def test_a_hung_broker_that_nobody_speaks_of_is_left_when_it_opens_no_other_channel() -> None:
    simulation = Simulation().started()
    first = simulation.client.publish()
    simulation.client.all_done()
    simulation.cluster.hang("a")
    future = simulation.client.publish(timeout=60.0)
    took = simulation.client.all_done()
    assert future.exception(0) is None
    assert took < 8.0  # its missing heartbeats are noticed after 20 s
    simulation.cluster.wake("a")
    simulation.run(5.0)
    assert simulation.first_stored() == [first.message_id, future.message_id]
    simulation.come_to_rest()


def test_what_a_hung_broker_had_been_sent_comes_late_and_twice_but_in_order() -> None:
    simulation = Simulation().started()
    first = simulation.client.publish()
    simulation.client.all_done()
    simulation.cluster.hang("a")
    futures = [first, *simulation.client.publish_some(3)]
    simulation.run(1.0)
    simulation.group.says("a", MemberStatus.HUNG)
    simulation.client.become_live()
    simulation.cluster.wake("a")  # it was only paused
    simulation.client.all_done()
    simulation.run(10.0)
    ids = [future.message_id for future in futures]
    assert simulation.first_stored() == ids
    assert Counter(simulation.stored()) == {ids[0]: 1, ids[1]: 2, ids[2]: 2, ids[3]: 2}
    simulation.come_to_rest()


def test_a_broker_that_ends_each_connection_at_once_is_tried_with_growing_pauses() -> None:
    simulation = Simulation("a").started()
    simulation.cluster.nodes["a"].ends_connections = True
    simulation.cluster.close_connections("a")
    opened = len(simulation.journal.opened)
    simulation.run(20.0)
    assert 20 < len(simulation.journal.opened) - opened < 80
    simulation.cluster.nodes["a"].ends_connections = False
    simulation.client.become_live("a", limit=2.0)
    simulation.come_to_rest()


def test_a_publish_channel_that_the_broker_closes_before_it_is_ready_is_a_failed_connection() -> None:
    simulation = Simulation()
    simulation.until(lambda: any(channel.is_open for channel in all_channels(simulation)))
    simulation.cluster.close_channels(506, "RESOURCE_ERROR", consuming=False)
    simulation.client.become_live(limit=1.0)
    simulation.run(MOVE_RETRY)
    assert simulation.client.transport.connections[0].is_over
    assert len(simulation.client.transport.open) == 1
    simulation.come_to_rest()


def test_a_publish_channel_that_fails_while_it_is_renewed_is_renewed_again() -> None:
    simulation = Simulation().started()
    simulation.client.publish()
    simulation.client.all_done()
    simulation.cluster.close_channels(506, "RESOURCE_ERROR", consuming=False)
    count = len(simulation.cluster.connections[0].channels)
    simulation.until(lambda: len(simulation.cluster.connections[0].channels) > count)
    simulation.until(lambda: simulation.cluster.connections[0].channels[-1].is_open)
    simulation.cluster.close_channels(506, "RESOURCE_ERROR", consuming=False)
    future = simulation.client.publish()
    assert simulation.client.all_done() < RENEW_PAUSE + 0.1
    assert future.exception(0) is None
    simulation.come_to_rest()


def all_channels(simulation: Simulation) -> list[ChannelEnd]:
    """The brokers' ends of all channels."""
    return [channel for end in simulation.cluster.connections for channel in end.channels]


def test_connections_that_are_closed_by_force_are_made_again_elsewhere() -> None:
    simulation = Simulation().started()
    futures = simulation.client.publish_some(10)
    simulation.cluster.close_connections("a", 320, "CONNECTION_FORCED - closed by an operator")
    simulation.client.all_done()
    assert all(future.exception(0) is None for future in futures)
    (event,) = simulation.client.seen(Disconnected)
    assert "320 CONNECTION_FORCED" in event.why
    simulation.come_to_rest()


def test_a_group_that_is_gone_as_a_whole_is_waited_for() -> None:
    simulation = Simulation().started()
    simulation.cluster.kill("a", "b", "c")
    futures = simulation.client.publish_some(5)
    simulation.run(10.0)
    assert simulation.client.phase is Phase.SWITCHING
    for name in "abc":
        simulation.cluster.start(name)
    simulation.client.all_done()
    assert simulation.first_stored() == [future.message_id for future in futures]
    simulation.come_to_rest()


def test_a_stale_view_moves_nobody_back() -> None:
    simulation = Simulation().started()
    old = simulation.group.targets
    simulation.group.lead("b")
    simulation.client.become_live("b")
    simulation.group.show(old)
    simulation.run(5.0)
    assert simulation.client.is_live_at("b")
    assert simulation.client.engine.snapshot.epoch == 2
    simulation.come_to_rest()


def test_members_that_all_vanish_are_no_reason_to_leave() -> None:
    simulation = Simulation().started()
    simulation.group.leader = None
    simulation.group.remove("a", "b", "c")
    future = simulation.client.publish()
    simulation.client.all_done()
    assert future.exception(0) is None
    assert simulation.client.is_live_at("a")
    simulation.come_to_rest()

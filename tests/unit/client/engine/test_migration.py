"""Planned moves: to a better place, over a second connection, while the first one works."""

import pytest
from simulation.client import Simulation

from rabbitkeeper.client.engine.migration import ATTEMPTS, PATIENCE, RETRY
from rabbitkeeper.client.model.events import Disconnected, Switched
from rabbitkeeper.client.routing.switch import MOVE_RETRY, Phase
from rabbitkeeper.coordinator.model.records import MemberStatus


def moving(simulation: Simulation, to: str = "b") -> None:
    """Have the client begin a move that cannot end yet: confirms of the old connection do not come."""
    simulation.client.publish()
    simulation.client.all_done()
    simulation.cluster.hold_confirms()
    simulation.client.publish()
    simulation.run(0.002)
    simulation.group.lead(to)
    simulation.until(
        lambda: [one.node for one in simulation.client.transport.open if one.is_open] == ["a", to]
    )
    simulation.run(0.005)
    assert simulation.client.is_live_at("a")


def ids(simulation: Simulation) -> list[str]:
    return [future.message_id for future in simulation.client.futures]


def all_confirmed(simulation: Simulation) -> bool:
    return all(future.done() and future.exception(0) is None for future in simulation.client.futures)


def test_a_planned_move_stalls_nothing() -> None:
    simulation = Simulation().started()
    slowest = 0.0
    for number in range(100):
        future = simulation.client.publish()
        if number == 20:
            simulation.group.lead("b")
        slowest = max(slowest, simulation.until(future.done))
        simulation.run(0.001)
    assert simulation.client.is_live_at("b")
    assert all(future.result().attempts == 1 for future in simulation.client.futures)
    assert simulation.stored() == ids(simulation)
    assert slowest < 0.01
    (event,) = simulation.client.seen(Switched)
    assert event == Switched("b", "b:5672", "a", 2, True, 0.0)
    assert simulation.client.seen(Disconnected) == []
    assert len(simulation.client.transport.open) == 1
    simulation.come_to_rest()


def test_a_move_in_the_middle_of_a_burst_keeps_the_order_and_sends_nothing_twice() -> None:
    simulation = Simulation().started()
    simulation.client.publish_some(300)
    simulation.run(0.0015)
    simulation.group.lead("c")
    simulation.client.publish_some(300)
    simulation.client.become_live("c")
    simulation.client.publish_some(50)
    simulation.client.all_done()
    assert simulation.stored() == ids(simulation)
    simulation.come_to_rest()


def test_confirms_that_do_not_come_put_a_move_off_and_publishing_goes_on_meanwhile() -> None:
    simulation = Simulation().started()
    moving(simulation)
    simulation.run(PATIENCE)
    later = simulation.client.publish()
    simulation.run(0.01)
    assert later.message_id in simulation.journal.sent_on("a")
    simulation.cluster.release_confirms()
    took = simulation.client.become_live("b")
    assert took < RETRY + PATIENCE
    assert all_confirmed(simulation)
    assert simulation.stored() == ids(simulation)
    simulation.come_to_rest()


def test_a_move_that_was_put_off_often_enough_takes_what_is_unconfirmed_along() -> None:
    simulation = Simulation().started()
    moving(simulation)
    took = simulation.client.become_live("b")
    assert ATTEMPTS * RETRY * 0.8 < took < ATTEMPTS * (RETRY + PATIENCE) + 0.5
    simulation.cluster.release_confirms()
    simulation.client.all_done()
    assert [future.result().attempts for future in simulation.client.futures] == [1, 2]
    assert simulation.first_stored() == ids(simulation)
    simulation.come_to_rest()


def test_a_new_leader_announced_during_a_move_is_where_the_client_ends() -> None:
    simulation = Simulation().started()
    moving(simulation)
    simulation.group.lead("c")
    simulation.run(0.1)
    simulation.cluster.release_confirms()
    simulation.client.become_live("c")
    simulation.run(2.0)
    assert simulation.client.places == ["c"]
    assert all_confirmed(simulation)
    simulation.come_to_rest()


def test_the_old_connection_is_lost_while_moving() -> None:
    simulation = Simulation().started()
    moving(simulation)
    simulation.client.publish_some(5)
    simulation.cluster.kill("a")
    simulation.client.become_live("b", limit=0.1)
    simulation.cluster.release_confirms()
    simulation.client.all_done()
    assert all_confirmed(simulation)
    assert simulation.first_stored() == ids(simulation)
    assert simulation.lost() == set()
    simulation.come_to_rest()


def test_the_new_connection_is_lost_while_moving() -> None:
    simulation = Simulation().started()
    moving(simulation)
    simulation.cluster.kill("b")
    simulation.group.says("b", MemberStatus.UNREACHABLE)
    simulation.cluster.release_confirms()
    simulation.client.publish_some(5)
    simulation.client.all_done()
    assert simulation.client.is_live_at("a")
    assert simulation.stored() == ids(simulation)
    assert simulation.client.seen(Disconnected) == []
    simulation.come_to_rest()


def test_the_new_leaders_broker_ends_the_connection_while_moving_and_is_tried_again() -> None:
    simulation = Simulation().started()
    moving(simulation)
    simulation.cluster.close_connections("b")
    simulation.run(0.01)
    assert simulation.client.is_live_at("a")
    simulation.cluster.release_confirms()
    took = simulation.client.become_live("b")
    assert took < MOVE_RETRY + 0.1
    assert all_confirmed(simulation)
    simulation.come_to_rest()


def test_a_move_that_is_cut_short_by_the_death_of_both_ends_at_a_third() -> None:
    simulation = Simulation("abcde").started()
    moving(simulation)
    simulation.client.publish_some(5)
    simulation.cluster.kill("a", "b")
    simulation.cluster.release_confirms()
    simulation.client.all_done()
    assert simulation.client.member in ("c", "d", "e")
    assert all_confirmed(simulation)
    assert simulation.first_stored() == ids(simulation)
    simulation.come_to_rest()


def test_an_agent_gives_the_old_broker_up_while_moving() -> None:
    simulation = Simulation().started()
    moving(simulation)
    simulation.cluster.hang("a")
    simulation.group.says("a", MemberStatus.HUNG)
    simulation.client.become_live("b", limit=0.01)
    simulation.cluster.kill("a")
    simulation.cluster.release_confirms()
    simulation.client.all_done()
    assert all_confirmed(simulation)
    simulation.come_to_rest()


def test_a_new_leader_that_cannot_be_reached_is_tried_again_and_nothing_stalls() -> None:
    simulation = Simulation().started()
    simulation.cluster.kill("b")
    simulation.group.lead("b")
    for _ in range(20):
        future = simulation.client.publish()
        assert simulation.until(future.done) < 0.5
        simulation.run(0.5)
    assert simulation.client.is_live_at("a")
    attempts = [node for _, node in simulation.journal.opened].count("b")
    assert 3 < attempts < 15
    simulation.cluster.start("b")
    simulation.group.says("b", MemberStatus.STARTING)
    simulation.group.says("b", MemberStatus.RUNNING)
    simulation.client.become_live("b", limit=MOVE_RETRY + 0.1)
    simulation.come_to_rest()


def test_the_lead_comes_back_before_the_client_has_left() -> None:
    simulation = Simulation().started()
    moving(simulation)
    simulation.group.lead("a")
    simulation.cluster.release_confirms()
    simulation.run(5.0)
    assert simulation.client.is_live_at("a")
    assert simulation.client.places == ["a"]
    assert all_confirmed(simulation)
    simulation.come_to_rest()


@pytest.mark.parametrize("seconds", [0.0, 0.0005, 0.001, 0.0015, 0.002, 0.003, 0.01])
def test_a_leader_that_flaps_leaves_one_connection_where_the_switch_says(seconds: float) -> None:
    simulation = Simulation().started()
    for name in "bcabacbcacbabcab":
        simulation.group.lead(name)
        simulation.client.publish()
        simulation.run(seconds)
    simulation.client.become_live("b")
    simulation.client.all_done()
    simulation.run(10.0)
    assert simulation.client.places == ["b"]
    assert all_confirmed(simulation)
    assert simulation.first_stored() == ids(simulation)
    simulation.come_to_rest()


def test_a_draining_member_is_left_before_it_ends() -> None:
    simulation = Simulation(spread="members").started()
    member = simulation.client.member
    assert member is not None
    simulation.group.says(member, MemberStatus.DRAINING)
    simulation.until(lambda: simulation.client.member != member, limit=1.0)
    simulation.client.publish()
    simulation.client.all_done()
    assert all_confirmed(simulation)
    assert simulation.client.seen(Disconnected) == []
    simulation.come_to_rest()


def test_a_client_that_spreads_stays_where_it_is_when_the_lead_moves() -> None:
    simulation = Simulation(spread="members").started()
    member = simulation.client.member
    simulation.group.lead("c" if member != "c" else "b")
    simulation.run(20.0)
    assert simulation.client.member == member
    assert simulation.client.phase is Phase.LIVE
    simulation.come_to_rest()


def test_a_move_declares_the_topology_on_the_new_connection_first() -> None:
    simulation = Simulation().started("orders", "bills")
    simulation.fanout("events", "orders", "bills")
    simulation.journal.declared.clear()
    simulation.group.lead("b")
    simulation.client.become_live("b")
    assert simulation.journal.declared == ["events", "orders", "bills", "events > orders", "events > bills"]
    simulation.come_to_rest()


def test_a_move_whose_declarations_are_not_answered_gives_way_to_the_next() -> None:
    simulation = Simulation().started()
    simulation.cluster.silent_declarations.add("orders")
    simulation.group.lead("b")
    simulation.run(5.0)
    simulation.group.lead("c")
    simulation.cluster.silent_declarations.clear()  # for whoever asks from now on
    simulation.client.become_live("c", limit=30.0)

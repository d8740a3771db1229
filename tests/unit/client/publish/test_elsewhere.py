"""A broker that knows no queue for a place where another took messages: its word is doubted, once."""

import pytest
from simulation.client import Simulation

from rabbitkeeper.client.amqp.transport import ConnectionLost
from rabbitkeeper.client.engine.other_members import PATIENCE
from rabbitkeeper.client.model.errors import PublishUnknown, Unroutable
from rabbitkeeper.client.model.topology import Queue
from rabbitkeeper.coordinator.model.records import MemberStatus

SOON = 0.5  # seconds


@pytest.fixture
def simulation() -> Simulation:
    """A queue of somebody else's has taken a message at a; the client is at b, which does not know of it."""
    simulation = Simulation().started()
    simulation.cluster.declared_by_others(Queue("others"))
    simulation.published(1, "others")
    simulation.cluster.nodes["b"].lacks.add("others")
    simulation.group.lead("b")
    simulation.client.become_live("b")
    return simulation


def opened_since(simulation: Simulation, time: float) -> list[str]:
    return [node for at, node in simulation.journal.opened if at >= time]


def test_what_comes_back_is_tried_where_it_was_taken_and_the_client_stays(simulation: Simulation) -> None:
    future, other = simulation.client.publish(routing_key="others"), simulation.client.publish()
    assert simulation.client.all_done() < SOON
    assert future.exception(0) is None
    assert other.result().attempts == 1
    assert simulation.stored("others")[-1] == future.message_id
    assert simulation.client.is_live_at("b")
    assert not simulation.lost()
    simulation.come_to_rest()


def test_all_of_a_place_come_there_in_their_order(simulation: Simulation) -> None:
    futures = simulation.client.publish_some(20, routing_key="others")
    simulation.client.all_done()
    assert simulation.stored("others")[1:] == [future.message_id for future in futures]
    simulation.come_to_rest()


def test_nothing_is_held_up_beside_it(simulation: Simulation) -> None:
    simulation.client.publish_some(20, routing_key="others")
    others = simulation.client.publish_some(100)
    assert simulation.until(lambda: all(future.done() for future in others)) < 0.1
    assert all(future.result().attempts == 1 for future in others)
    simulation.come_to_rest()


def test_a_queue_that_is_nowhere_any_more_is_looked_for_once(simulation: Simulation) -> None:
    simulation.cluster.delete_queue("others")
    began = simulation.time.now
    futures = simulation.client.publish_some(3, routing_key="others")
    assert simulation.client.all_done() < SOON
    futures += simulation.client.publish_some(3, routing_key="others")
    simulation.client.all_done()
    assert all(isinstance(future.exception(0), Unroutable) for future in futures)
    assert opened_since(simulation, began) == ["a"]
    simulation.come_to_rest()


def test_a_place_that_was_well_here_is_not_looked_for(simulation: Simulation) -> None:
    simulation.cluster.nodes["b"].lacks.clear()
    simulation.published(1, "others")
    simulation.cluster.delete_queue("others")
    began = simulation.time.now
    future = simulation.client.publish(routing_key="others")
    simulation.client.all_done()
    assert isinstance(future.exception(0), Unroutable)
    assert opened_since(simulation, began) == []
    simulation.come_to_rest()


def test_a_place_that_took_only_what_need_not_be_routed_is_not_looked_for() -> None:
    simulation = Simulation().started()
    simulation.client.publish(routing_key="nowhere", mandatory=False)
    simulation.client.all_done()
    simulation.group.lead("b")
    simulation.client.become_live("b")
    began = simulation.time.now
    future = simulation.client.publish(routing_key="nowhere")
    simulation.client.all_done()
    assert isinstance(future.exception(0), Unroutable)
    assert opened_since(simulation, began) == []
    simulation.come_to_rest()


@pytest.mark.parametrize("how", ["its znode has gone", "its agent says so"])
def test_a_member_that_is_gone_is_not_asked(simulation: Simulation, how: str) -> None:
    if how == "its znode has gone":
        simulation.group.remove("a")
    else:
        simulation.group.says("a", MemberStatus.UNREACHABLE)
    began = simulation.time.now
    future = simulation.client.publish(routing_key="others")
    assert simulation.client.all_done() < SOON
    assert isinstance(future.exception(0), Unroutable)
    assert opened_since(simulation, began) == []
    simulation.come_to_rest()


@pytest.mark.parametrize("how", ["dead", "hung", "silent", "turns away", "few bytes"])
def test_a_member_that_does_not_answer_holds_the_outcome_up_for_a_moment(
    simulation: Simulation, how: str
) -> None:
    node = simulation.cluster.nodes["a"]
    match how:
        case "dead":
            simulation.cluster.kill("a")
        case "hung":
            simulation.cluster.hang("a")
        case "silent":
            simulation.cluster.silent_channels.add("a")
        case "turns away":
            node.refusal = ConnectionLost("not now")
        case _:
            node.frame_max = 4096
    futures = simulation.client.publish_some(5, routing_key="others")
    beside = simulation.client.publish_some(5)
    simulation.until(lambda: all(future.done() for future in futures), PATIENCE + SOON)
    assert all(isinstance(future.exception(0), Unroutable) for future in futures)
    began = simulation.time.now
    again = simulation.client.publish(routing_key="others")
    simulation.until(again.done, SOON)
    assert opened_since(simulation, began) == []
    if how not in ("dead", "hung"):  # queues elect for a while
        assert all(future.exception(0) is None for future in beside)
    simulation.cluster.heal()
    simulation.client.all_done()
    simulation.come_to_rest()


def test_what_was_sent_there_and_not_answered_may_be_there(simulation: Simulation) -> None:
    simulation.cluster.commit_time = 10.0
    future = simulation.client.publish(routing_key="others")
    simulation.until(future.done, PATIENCE + SOON)
    assert isinstance(future.exception(0), PublishUnknown)
    simulation.come_to_rest()


def test_the_deadline_holds_while_another_member_is_asked(simulation: Simulation) -> None:
    simulation.cluster.hang("a")
    future = simulation.client.publish(routing_key="others", timeout=0.7)
    simulation.until(future.done, 0.701)
    assert isinstance(future.exception(0), Unroutable)
    simulation.cluster.heal()
    simulation.come_to_rest()


def test_a_move_while_another_member_is_asked_loses_nothing(simulation: Simulation) -> None:
    futures = simulation.client.publish_some(20, routing_key="others")
    simulation.run(0.004)
    simulation.group.lead("c")
    simulation.client.become_live("c")
    simulation.client.all_done()
    assert all(future.exception(0) is None for future in futures)
    assert simulation.first_stored("others")[1:] == [future.message_id for future in futures]
    simulation.come_to_rest()


def test_a_queue_that_nacks_there_is_tried_again_there(simulation: Simulation) -> None:
    simulation.cluster.queues["others"].refuses = True
    future = simulation.client.publish(routing_key="others")
    simulation.run(0.3)
    assert not future.done()
    simulation.cluster.queues["others"].refuses = False
    simulation.client.all_done()
    assert future.exception(0) is None
    assert simulation.client.is_live_at("b")
    simulation.come_to_rest()


def test_the_other_connection_is_closed_when_nothing_goes_over_it(simulation: Simulation) -> None:
    simulation.client.publish(routing_key="others")
    simulation.client.all_done()
    assert sorted(simulation.client.places) == ["a", "b"]
    simulation.run(PATIENCE + SOON)
    assert simulation.client.places == ["b"]
    simulation.come_to_rest()

"""What is told when RabbitMQ's cluster and the group's record name different nodes."""

import pytest
from simulation.agents import SimulatedAgent
from simulation.managed_group import GROUP, Group
from support.effort import seeds
from support.group_views import A, B, C, view

from rabbitkeeper.agent.cluster.strangers import strangers
from rabbitkeeper.coordinator.model.records import ClusterNode, ClusterRecord
from rabbitkeeper.coordinator.model.view import ClusterView, GroupView
from rabbitkeeper.coordinator.operations.service import OperationService
from rabbitkeeper.coordinator.store.store import Store


def group(*recorded: str) -> GroupView:
    there = {f"rabbit@{name}": ClusterNode(member=name, joined="") for name in recorded}
    record = ClusterRecord(founder="rabbit@a", formed="", nodes=there)
    return view(A, B, C, cluster=ClusterView(record, 0))


def nodes(*names: str) -> frozenset[str]:
    return frozenset(f"rabbit@{name}" for name in names)


def test_nothing_is_told_of_what_agrees_or_is_not_known() -> None:
    assert strangers(nodes("a", "b", "c"), group("a", "b", "c")) == ()
    assert strangers(nodes("a"), view(A)) == ()


def test_a_node_that_belongs_to_nobody_is_named_with_what_removes_it() -> None:
    (told,) = strangers(nodes("a", "b", "c", "old"), group("a", "b", "c"))
    assert "rabbit@old is in RabbitMQ's cluster and belongs to no member" in told
    assert "rabbitkeeper member remove --node rabbit@old" in told


def test_a_recorded_node_that_is_not_in_the_cluster_is_named_too() -> None:
    (told,) = strangers(nodes("a", "b"), group("a", "b", "c"))
    assert "rabbit@c is recorded for c and not in RabbitMQ's cluster" in told


def test_a_member_that_is_just_joining_is_no_stranger() -> None:
    assert strangers(nodes("a", "b", "c"), group("a", "b")) == ()


@pytest.mark.parametrize("seed", seeds(4))
def test_what_was_asked_before_the_record_changed_is_not_compared_with_it(seed: int) -> None:
    group = Group(seed)
    assert group.run_until(lambda: group.whole, 60) is not None
    gone = next(name for name in group.names if name != group.leader)
    group.agents[gone].broker.die()
    group.agents[gone].crash()
    group.run(40)
    store = Store(group.agents[group.leader or ""].session, GROUP)
    OperationService(store, wall=lambda: group.world.now).remove(gone, by="ann")
    told = set[str]()
    for _ in range(300):
        group.run(0.1)
        told |= {why for agent in group.agents.values() for why in strangers_of(agent)}
    assert gone not in group.recorded.values()
    assert told == set()


def strangers_of(agent: SimulatedAgent) -> tuple[str, ...]:
    state = agent.board.state
    warnings = () if state is None else state.verdict.warnings
    return tuple(why for why in warnings if "RabbitMQ's cluster" in why)

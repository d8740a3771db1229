"""When a broker may be taken down, and when another is about to be."""

from dataclasses import replace

import pytest
from support.agent_states import member, view

from rabbitkeeper.coordinator.model.records import (
    ClusterNode,
    ClusterRecord,
    MaintenanceRecord,
    MaintenanceStep,
    MemberStatus,
    OperationKind,
)
from rabbitkeeper.coordinator.model.view import ClusterView, GroupView, MaintenanceView
from rabbitkeeper.coordinator.policy.disruption import why_not

HUNG, RUNNING, ALARMED = MemberStatus.HUNG, MemberStatus.RUNNING, MemberStatus.ALARMED


def group(*states: MemberStatus | None, maintenance: MaintenanceView | None = None) -> GroupView:
    names = [f"node{number + 1}" for number in range(len(states))]
    nodes = {f"rabbit@{name}": ClusterNode(member=name, joined="") for name in names}
    there = [member(name, state) for name, state in zip(names, states, strict=True) if state is not None]
    cluster = ClusterView(ClusterRecord(founder="rabbit@node1", formed="", nodes=nodes), 0)
    return view(None, *there, cluster=cluster, maintenance=maintenance)


@pytest.mark.parametrize(
    ("states", "may"),
    [
        ((HUNG, RUNNING, RUNNING), True),
        ((HUNG, RUNNING, ALARMED), True),
        ((HUNG, RUNNING, HUNG), False),
        ((HUNG, RUNNING, None), False),
        ((HUNG, HUNG, HUNG), False),
        ((HUNG,), True),
        ((HUNG, RUNNING), True),
        ((HUNG, HUNG), False),
        ((HUNG, RUNNING, RUNNING, RUNNING, HUNG), True),
        ((HUNG, RUNNING, RUNNING, HUNG, HUNG), False),
    ],
)
def test_a_majority_of_the_others_must_be_well(states: tuple[MemberStatus | None, ...], may: bool) -> None:
    assert (why_not(group(*states), "node1") is None) is may


@pytest.mark.parametrize(("states", "may"), [((HUNG, HUNG, HUNG), False), ((HUNG, RUNNING, RUNNING), True)])
def test_without_a_record_of_the_cluster_who_is_registered_counts(
    states: tuple[MemberStatus, ...], may: bool
) -> None:
    """Who deleted the record took the majority's protection with it: three that stalled were all killed."""
    assert (why_not(replace(group(*states), cluster=None), "node1") is None) is may


def test_why_not_says_who_is_ill() -> None:
    assert why_not(group(HUNG, RUNNING, None), "node1") == (
        "no majority of the other brokers is well: node3 is not registered"
    )


def test_a_restart_under_way_elsewhere_comes_first() -> None:
    record = MaintenanceRecord(
        id="7",
        kind=OperationKind.RESTART,
        members=("node2",),
        step=MaintenanceStep.DRAIN,
        by="ann",
        requested="",
    )
    busy = group(HUNG, RUNNING, RUNNING, maintenance=MaintenanceView(record, 1))
    assert why_not(busy, "node1") == "node2 is being restarted (restart 7)"
    assert why_not(busy, "node2") is not None, "node1 hangs, so no majority of the others is well"
    waiting = MaintenanceView(record.model_copy(update={"step": None}), 1)
    assert why_not(group(HUNG, RUNNING, RUNNING, maintenance=waiting), "node1") is None

"""Restarts one at a time: who does what next, and when not."""

from dataclasses import replace
from types import MappingProxyType

import pytest
from support.group_views import MINE, OTHER, RUNNING, THIRD, leader, member, view

from rabbitkeeper.coordinator.model.records import (
    ClusterNode,
    ClusterRecord,
    MaintenanceRecord,
    MaintenanceStep,
    MemberStatus,
    OperationKind,
    PauseRecord,
)
from rabbitkeeper.coordinator.model.view import ClusterView, GroupView
from rabbitkeeper.coordinator.policy.maintenance import (
    BEGIN_PATIENCE,
    DRAIN_PATIENCE,
    RESTART_PATIENCE,
    SETTLED,
    Do,
    Todo,
    Worker,
    next_step,
    rolling_order,
    why_unsafe,
)

NODES = ("a", "b", "c")


def group(
    a: MemberStatus | None = RUNNING,
    b: MemberStatus | None = RUNNING,
    c: MemberStatus | None = RUNNING,
    nodes: tuple[str, ...] = NODES,
) -> GroupView:
    """a leads; a state of None: not registered."""
    there = [
        member(name, owner, state)
        for name, owner, state in (("a", MINE, a), ("b", OTHER, b), ("c", THIRD, c))
        if state is not None and name in nodes
    ]
    record = ClusterRecord(
        founder="rabbit@a",
        formed="",
        nodes={f"rabbit@{name}": ClusterNode(member=name, joined="") for name in nodes},
    )
    return view(*there, leader=leader("a", MINE), cluster=ClusterView(record, 0))


def record(
    *members: str,
    step: MaintenanceStep | None = None,
    kind: OperationKind = OperationKind.ROLLING_RESTART,
    **fields: object,
) -> MaintenanceRecord:
    return MaintenanceRecord.model_validate(
        {"id": "op1", "kind": kind, "members": members, "step": step, "by": "ann", "requested": "", **fields}
    )


LEADER = Worker("a", RUNNING, leads=True, process="1")
FOLLOWER = Worker("b", RUNNING, leads=False, process="2")


def test_the_leader_lets_the_first_begin_when_all_others_run() -> None:
    assert next_step(record("b", "c", "a"), group(), LEADER, 0).do is Do.BEGIN
    assert next_step(record("b", "c", "a"), group(), FOLLOWER, 0).do is Do.NOTHING


def test_it_waits_for_the_one_before_to_be_back_and_then_gives_up() -> None:
    todo = record("c", "a", done=("b",))
    starting = group(b=MemberStatus.STARTING)
    waiting = next_step(todo, starting, LEADER, BEGIN_PATIENCE - 1)
    assert waiting.do is Do.NOTHING
    assert "waiting to restart c" in waiting.reason
    assert next_step(todo, starting, LEADER, BEGIN_PATIENCE).do is Do.FAIL


def test_a_rolling_restart_waits_until_the_next_one_runs_itself() -> None:
    paused = group(c=MemberStatus.UNREACHABLE)
    todo = record("c", "a", done=("b",))
    waiting = next_step(todo, paused, LEADER, BEGIN_PATIENCE - 1)
    assert waiting.do is Do.NOTHING
    assert "c is unreachable" in waiting.reason
    assert next_step(todo, paused, LEADER, BEGIN_PATIENCE).do is Do.FAIL


def uncounted(by: str, other: str) -> GroupView:
    """All run, and the broker of one does not count another's."""
    well = group()
    its = well.members[by]
    said = its.record.model_copy(update={"uncounted": (f"rabbit@{other}",)})
    return replace(well, members=MappingProxyType({**well.members, by: replace(its, record=said)}))


def test_nobody_begins_beside_two_of_which_one_does_not_count_the_other() -> None:
    apart = uncounted("b", "c")
    assert why_unsafe(apart, "a", force=False, all_run=False) == (
        "the broker of b does not count rabbit@c as running: its agent or that one's restarts the odd "
        "one out of the two; wait for that"
    )
    assert why_unsafe(apart, "a", force=True, all_run=False) is None
    assert why_unsafe(apart, "b", force=False, all_run=False) is None, "that heals it"
    assert why_unsafe(apart, "b", force=False, all_run=True) is not None


def test_a_rolling_restart_gives_the_others_time_to_notice_who_is_not_counted() -> None:
    second = record("c", "a", done=("b",))
    leads = Worker("a", RUNNING, leads=True)
    assert next_step(second, group(), leads, SETTLED - 0.1) == (
        Todo(Do.NOTHING, "waiting to restart c: the others may not count b yet")
    )
    assert next_step(second, group(), leads, SETTLED).do is Do.BEGIN
    assert next_step(second, uncounted("c", "b"), leads, SETTLED).do is Do.NOTHING
    assert next_step(second, uncounted("c", "b"), leads, BEGIN_PATIENCE).do is Do.FAIL


def test_of_a_restart_of_one_it_is_not_asked_whether_it_runs() -> None:
    todo = record("c", kind=OperationKind.RESTART)
    assert next_step(todo, group(c=MemberStatus.UNREACHABLE), LEADER, 0).do is Do.BEGIN


def test_one_that_cannot_be_reached_by_now_is_drained_later_in_a_rolling_restart() -> None:
    todo = record("b", "c", step=MaintenanceStep.DRAIN)
    lost = replace(FOLLOWER, status=MemberStatus.UNREACHABLE)
    waiting = next_step(todo, group(b=MemberStatus.UNREACHABLE), lost, 0)
    assert waiting.do is Do.NOTHING
    assert "b is unreachable" in waiting.reason
    assert next_step(todo, group(b=MemberStatus.UNREACHABLE), LEADER, DRAIN_PATIENCE).do is Do.FAIL
    forced = record("b", "c", step=MaintenanceStep.DRAIN, force=True)
    assert next_step(forced, group(b=MemberStatus.UNREACHABLE), lost, 0).do is Do.DRAIN
    alone = record("b", step=MaintenanceStep.DRAIN, kind=OperationKind.RESTART)
    assert next_step(alone, group(b=MemberStatus.UNREACHABLE), lost, 0).do is Do.DRAIN


@pytest.mark.parametrize("force", [True, False])
def test_nobody_begins_when_the_majority_would_be_lost(force: bool) -> None:
    why = why_unsafe(group(c=MemberStatus.HUNG), "b", force=force, all_run=False)
    assert (why is None) == force
    if why is not None:
        assert "only 1 of 3" in why


def test_of_two_nodes_none_can_be_spared() -> None:
    assert why_unsafe(group(nodes=("a", "b")), "b", force=False, all_run=False) is not None


@pytest.mark.parametrize("state", [state for state in MemberStatus if state.serves])
def test_a_broker_that_has_its_replicas_counts(state: MemberStatus) -> None:
    assert why_unsafe(group(c=state), "b", force=False, all_run=False) is None


def test_a_member_drains_then_restarts_then_lets_the_next_one_begin() -> None:
    draining = record("b", "c", step=MaintenanceStep.DRAIN)
    assert next_step(draining, group(), FOLLOWER, 0).do is Do.DRAIN
    restarting = record("b", "c", step=MaintenanceStep.RESTART, process="2")
    assert next_step(restarting, group(), FOLLOWER, 0).do is Do.RESTART
    booting = Worker("b", MemberStatus.STARTING, leads=False, process="3")
    assert next_step(restarting, group(), booting, 0).do is Do.NOTHING
    back = Worker("b", RUNNING, leads=False, process="3")
    assert next_step(restarting, group(), back, 0).do is Do.FINISH


def test_others_only_watch() -> None:
    draining = record("c", step=MaintenanceStep.DRAIN)
    assert next_step(draining, group(), FOLLOWER, 999).do is Do.NOTHING
    assert next_step(draining, group(), LEADER, 0).do is Do.NOTHING


@pytest.mark.parametrize(
    ("step", "patience"),
    [(MaintenanceStep.DRAIN, DRAIN_PATIENCE), (MaintenanceStep.RESTART, RESTART_PATIENCE)],
)
def test_the_leader_gives_up_on_one_that_does_not_come_back(step: MaintenanceStep, patience: float) -> None:
    todo = next_step(record("c", step=step), group(c=None), LEADER, patience)
    assert todo.do is Do.FAIL
    assert "c is not registered" in todo.reason


def test_a_removal_is_the_leaders_to_do() -> None:
    removal = record("c", kind=OperationKind.REMOVE)
    assert next_step(removal, group(c=None), LEADER, 0).do is Do.REMOVE
    assert next_step(removal, group(c=None), FOLLOWER, 0).do is Do.NOTHING


def test_the_leader_is_restarted_last_and_who_leads_next_before_it() -> None:
    assert rolling_order(group()) == ("c", "b", "a")


@pytest.mark.parametrize(
    ("step", "do"), [(MaintenanceStep.DRAIN, Do.NOTHING), (MaintenanceStep.RESTART, Do.HOLD)]
)
def test_a_restart_under_way_waits_while_the_group_is_paused(step: MaintenanceStep, do: Do) -> None:
    record = MaintenanceRecord(
        id="op", kind=OperationKind.RESTART, members=("b",), step=step, process="7", by="ann", requested=""
    )
    me = Worker("b", MemberStatus.RUNNING, leads=False, process="7")
    paused = replace(group(), pause=PauseRecord(by="bob", since=""))
    assert next_step(record, paused, me, 0.0).do is do
    assert "paused by bob" in next_step(record, paused, me, 0.0).reason
    assert next_step(record, group(), me, 0.0).do in (Do.DRAIN, Do.RESTART)

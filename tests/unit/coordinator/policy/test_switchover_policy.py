"""A planned move of the lead: who gives it up, who takes it, and how the request ends."""

from dataclasses import replace

import pytest
from support.group_views import (
    ME,
    MINE,
    NOW,
    OTHER,
    PAUSE,
    RUNNING,
    THIRD,
    A,
    B,
    C,
    asked,
    change,
    leader,
    member,
    view,
)

from rabbitkeeper.coordinator.model.records import (
    MemberStatus,
    OperationKind,
    OperationState,
    Tags,
)
from rabbitkeeper.coordinator.model.view import GroupView, SwitchoverView
from rabbitkeeper.coordinator.policy.election import Action, Decision, decide
from rabbitkeeper.coordinator.policy.switchover import EXPIRES, PATIENCE, plan_switchover

AT = "2026-01-31T12:00:00Z"
WALL = 1769860800.0  # the same moment


def led(switchover: SwitchoverView, **fields: object) -> GroupView:
    """a leads, b and c run."""
    return view(A, B, C, leader=leader("a", MINE), switchover=switchover, **fields)


def vacant(switchover: SwitchoverView, **fields: object) -> GroupView:
    """a has given up the lead in epoch 7."""
    return view(A, B, C, switchover=switchover, last_change=change("a"), **fields)


def told(group: GroupView, name: str = "a", after: float = 0.0, **changes: object) -> Decision:
    """What the agent of that name decides, some seconds after the lead became vacant."""
    owner = {"a": MINE, "b": OTHER, "c": THIRD}[name]
    me = replace(ME, name=name, session=owner, vacant_since=NOW, switchover_since=NOW, **changes)  # type: ignore[arg-type]
    return decide(group, me, NOW + after)


def test_the_leader_gives_up_its_lead_to_the_candidate() -> None:
    decision = told(led(asked()))
    assert (decision.action, decision.cause) == (Action.RESIGN, "switchover")
    assert "gives up the lead to b: switchover op1 by ann" in decision.reason


def test_the_candidate_takes_it_at_once_and_says_by_whose_request() -> None:
    decision = told(vacant(asked()), "b")
    assert (decision.action, decision.cause) == (Action.CAMPAIGN, "switchover")
    assert decision.operation is not None
    assert decision.operation.id == "op1"


@pytest.mark.parametrize("name", ["a", "c"])
def test_the_others_leave_it_to_the_candidate_for_a_while_and_then_take_it(name: str) -> None:
    assert told(vacant(asked()), name, PATIENCE - 0.1).action is Action.WAIT
    late = told(vacant(asked()), name, PATIENCE + 2.0)
    assert late.action is Action.CAMPAIGN
    assert "b has not taken it" in late.reason
    assert late.operation is None


def test_who_gave_it_up_comes_last() -> None:
    after = PATIENCE + 0.35  # b, then c, then a
    assert told(vacant(asked()), "c", after).action is Action.CAMPAIGN
    assert told(vacant(asked()), "a", after).action is Action.WAIT


def test_without_a_named_candidate_the_best_other_one_takes_it() -> None:
    group = view(A, B, member("c", THIRD, priority=101), leader=leader("a", MINE), switchover=asked(to=None))
    assert "to c" in told(group).reason
    assert told(replace(group, leader=None, last_change=change("a")), "c").action is Action.CAMPAIGN


def test_before_its_time_nothing_happens() -> None:
    early = told(led(asked(at=AT)), wall=WALL - 1)
    assert early.action is Action.LEAD
    assert told(led(asked(at=AT)), wall=WALL).action is Action.RESIGN


@pytest.mark.parametrize("state", [state for state in MemberStatus if state is not RUNNING])
def test_the_lead_is_kept_when_the_candidate_cannot_take_it(state: MemberStatus) -> None:
    group = replace(led(asked()), members=view(A, member("b", OTHER, state), C).members)
    assert told(group).action is Action.LEAD
    pending = plan_switchover(group, WALL)
    assert pending is not None
    assert pending.ended is not None
    assert pending.ended[0] is OperationState.FAILED
    assert f"b is {state}" in pending.ended[1]


def test_a_candidate_that_is_gone_holds_up_nobody() -> None:
    group = replace(vacant(asked()), members=view(A, C).members)
    assert told(group, "a").action is Action.CAMPAIGN


def test_a_switchover_does_not_happen_during_a_pause_and_a_failover_does() -> None:
    assert told(led(asked(), pause=PAUSE)).action is Action.LEAD
    forced = asked(kind=OperationKind.FAILOVER)
    assert told(led(forced, pause=PAUSE)).action is Action.RESIGN
    assert told(vacant(forced, pause=PAUSE), "b").action is Action.CAMPAIGN
    assert told(vacant(forced, pause=PAUSE), "c", 60).action is Action.WAIT


def test_a_failover_may_go_to_a_member_tagged_no_failover_which_then_stays() -> None:
    forced = asked(kind=OperationKind.FAILOVER)
    tagged = view(A, member("b", OTHER, no_failover=True), C, switchover=forced, last_change=change("a"))
    assert told(tagged, "b", tags=Tags(no_failover=True)).action is Action.CAMPAIGN
    taken = leader("b", OTHER, epoch=9)
    leads = replace(
        tagged,
        switchover=None,
        leader=replace(taken, record=taken.record.model_copy(update={"cause": "failover"})),
    )
    assert told(leads, "b", tags=Tags(no_failover=True)).action is Action.LEAD


def test_a_failover_fills_a_lead_that_nobody_has() -> None:
    forced = asked(kind=OperationKind.FAILOVER, epoch=None, previous=None)
    assert told(vacant(forced), "b").action is Action.CAMPAIGN


@pytest.mark.parametrize(
    ("to", "leads", "state"),
    [
        ("b", "b", OperationState.DONE),
        ("b", "c", OperationState.FAILED),
        (None, "c", OperationState.DONE),
        (None, "a", OperationState.FAILED),
    ],
)
def test_it_ends_with_the_next_epoch(to: str | None, leads: str, state: OperationState) -> None:
    group = view(A, B, C, leader=leader(leads, MINE, epoch=8), switchover=asked(to=to))
    pending = plan_switchover(group, WALL)
    assert pending is not None
    assert pending.candidate is None
    assert pending.ended is not None
    assert pending.ended[0] is state


def test_it_is_void_when_the_lead_has_moved_before_its_time() -> None:
    group = view(A, B, C, leader=leader("c", THIRD, epoch=8), switchover=asked(at=AT))
    pending = plan_switchover(group, WALL - 60)
    assert pending is not None
    assert pending.ended == (
        OperationState.FAILED,
        "the lead moved from a to c (epoch 8) before the appointed time; ask again",
    )


def test_a_move_into_a_vacant_lead_is_given_up_after_a_while() -> None:
    forced = asked(kind=OperationKind.FAILOVER)
    group = vacant(forced, pause=PAUSE)
    pending = plan_switchover(group, WALL, waited=EXPIRES)
    assert pending is not None
    assert pending.ended is not None
    assert told(group, "b", EXPIRES + 1).action is Action.WAIT

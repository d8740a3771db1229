"""What is new between two states: each event once, at the right agent, and nothing while nothing changes."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.agent_states import NAME, NOW, leader, member, state, view

from rabbitkeeper.agent.model.observation import ConnectionFacts
from rabbitkeeper.agent.model.state import AgentState
from rabbitkeeper.agent.notify.events import Event, EventCursor, EventKind, follow
from rabbitkeeper.coordinator.model.records import (
    ClusterNode,
    ClusterRecord,
    HistoryEntry,
    MaintenanceRecord,
    MemberStatus,
    OperationKind,
    PauseRecord,
    SwitchoverRecord,
)
from rabbitkeeper.coordinator.model.view import ClusterView, GroupView, MaintenanceView, SwitchoverView
from rabbitkeeper.coordinator.policy.election import Action, Decision

AT = "2026-01-31T12:00:05.000Z"
HUNG, RUNNING, STOPPED = MemberStatus.HUNG, MemberStatus.RUNNING, MemberStatus.STOPPED
STARTING, DRAINING = MemberStatus.STARTING, MemberStatus.DRAINING


def told(*states: AgentState) -> list[Event]:
    """The events of the last of ``states``, after the others."""
    cursor = EventCursor()
    events: tuple[Event, ...] = ()
    for one in states:
        cursor, events = follow(cursor, one, AT)
    return list(events)


def all_told(states: Sequence[AgentState]) -> list[Event]:
    cursor = EventCursor()
    all_events: list[Event] = []
    for one in states:
        cursor, events = follow(cursor, one, AT)
        all_events += events
    return all_events


def kinds(events: list[Event]) -> list[str]:
    return [event.kind.value for event in events]


def only(events: list[Event], kind: EventKind) -> Event:
    (found,) = [event for event in events if event.kind is kind]
    return found


LEADS = state(view=view(leader(NAME)), action=Action.LEAD)
FOLLOWS = state(view=view(leader("node2")))
VACANT = state(view=view(None), action=Action.WAIT)


# -- this agent


def test_the_first_state_tells_only_itself() -> None:
    (event,) = told(FOLLOWS)
    assert event.kind is EventKind.STATE
    assert (event.group, event.agent, event.member, event.at) == ("orders", NAME, NAME, AT)
    assert (event.state, event.leader, event.epoch) == ("running", "node2", 7)


def test_nothing_new_is_no_event() -> None:
    assert told(LEADS, LEADS) == []
    assert told(LEADS, replace(LEADS, turn=2, at=NOW + 1, sentence="for 2.0 s")) == []


def test_another_state_or_reason_is_told() -> None:
    hung = state(HUNG, "no answer", view=FOLLOWS.view)
    event = only(told(FOLLOWS, hung), EventKind.STATE)
    assert (event.state, event.reason) == ("hung", "no answer")
    assert kinds(told(hung, state(HUNG, "another reason", view=FOLLOWS.view))) == ["state"]


@pytest.mark.parametrize("status", [HUNG, STOPPED, MemberStatus.UNREACHABLE])
def test_a_detection_is_timed_from_the_last_sign_of_life(status: MemberStatus) -> None:
    heard = ConnectionFacts(heard_at=NOW - 2.25)
    event = only(told(FOLLOWS, state(status, view=FOLLOWS.view, connection=heard)), EventKind.STATE)
    assert event.timings == {"detection": 2.25}


@pytest.mark.parametrize(
    ("before", "after"), [(RUNNING, DRAINING), (STARTING, HUNG), (HUNG, STOPPED), (HUNG, RUNNING)]
)
def test_what_is_no_detection_is_not_timed(before: MemberStatus, after: MemberStatus) -> None:
    heard = ConnectionFacts(heard_at=NOW - 2)
    first = state(before, view=FOLLOWS.view)
    event = only(told(first, state(after, view=FOLLOWS.view, connection=heard)), EventKind.STATE)
    assert event.timings == {}


def test_zookeeper_going_and_coming_is_told_and_moves_no_lead() -> None:
    away = state(view=LEADS.view, action=Action.HOLD, connected=False, lease_left=0)
    assert [(event.kind, event.state) for event in told(LEADS, away)] == [("zookeeper", "disconnected")]
    assert [(event.kind, event.state) for event in told(LEADS, away, LEADS)] == [("zookeeper", "connected")]


# -- the lead


def test_a_lead_that_is_taken_is_told_with_its_cause_and_times() -> None:
    entry = HistoryEntry(
        epoch=7,
        previous="node2",
        to=NAME,
        node="n",
        cause="broker hung",
        by=NAME,
        at=AT,
        timings={"vacant": 0.2, "canary": 0.1},
    )
    leads = state(view=view(leader(NAME, cause="broker hung")), action=Action.LEAD, lead=entry)
    events = told(VACANT, leads)
    assert kinds(events) == ["leader", "leader_elected"]
    elected = only(events, EventKind.LEADER_ELECTED)
    assert (elected.cause, elected.epoch, elected.leader) == ("broker hung", 7, NAME)
    assert elected.content()["incarnation"] == 0
    assert elected.timings == {"vacant": 0.2, "canary": 0.1}
    earlier = entry.model_copy(update={"epoch": 5})
    assert only(told(VACANT, replace(leads, lead=earlier)), EventKind.LEADER_ELECTED).timings == {}


def test_a_lead_with_the_same_epoch_in_a_later_incarnation_is_another_one() -> None:
    assert LEADS.view is not None
    again = replace(LEADS, view=replace(LEADS.view, incarnation=3))
    elected = only(told(LEADS, again), EventKind.LEADER_ELECTED)
    assert (elected.epoch, elected.incarnation, elected.event_id) == (7, 3, "lead-3-7")


def test_an_agent_that_finds_itself_leading_at_first_sight_says_so() -> None:
    assert kinds(told(LEADS)) == ["state", "leader_elected"]


def test_a_lead_that_is_given_up_is_told_with_the_reason_of_the_decision() -> None:
    resigns = state(
        HUNG,
        "no answer",
        view=None,  # dropped with the resignation
        decision=Decision(Action.RESIGN, "gives up the lead: the broker is hung", cause="broker hung"),
    )
    vacant = state(HUNG, "no answer", view=view(None, member(NAME, HUNG)), action=Action.WAIT)
    events = told(LEADS, resigns, vacant)
    lost = only(events, EventKind.LEADER_LOST)
    assert (lost.cause, lost.reason) == ("broker hung", "gives up the lead: the broker is hung")
    assert lost.leader is None
    gone = only(events, EventKind.LEADER)
    assert (gone.member, gone.state) == (NAME, "vacant")


def test_a_lead_that_went_with_its_session_is_told_before_the_group_can_be_read() -> None:
    no_session = replace(LEADS, session=replace(LEADS.session, id=0))
    lost = only(told(LEADS, no_session), EventKind.LEADER_LOST)
    assert lost.cause == "session lost"


def test_a_lead_that_somebody_deleted_is_told() -> None:
    assert only(told(LEADS, VACANT), EventKind.LEADER_LOST).cause == "taken away"


def test_a_lead_taken_again_is_lost_and_won() -> None:
    again = state(view=view(leader(NAME, epoch=9)), action=Action.LEAD)
    assert kinds(told(LEADS, again)) == ["leader", "leader_lost", "leader_elected"]


def test_others_tell_that_the_leader_changed_and_run_no_hook_for_it() -> None:
    third = state(view=view(leader("node3", epoch=9)))
    events = told(FOLLOWS, third)
    assert kinds(events) == ["leader"]
    assert (events[0].member, events[0].epoch, events[0].cause) == ("node3", 9, "broker unreachable")


def test_while_the_group_is_read_again_nothing_is_told_of_it() -> None:
    assert told(LEADS, replace(LEADS, view=None)) == []
    assert told(LEADS, replace(LEADS, view=None), LEADS) == []


def test_a_leader_that_cannot_be_read_is_no_vacancy() -> None:
    odd = state(view=view(None, leader_unreadable="it is not JSON"), action=Action.WAIT)
    event = only(told(FOLLOWS, odd), EventKind.LEADER)
    assert (event.state, event.reason) == ("unreadable", "it is not JSON")


# -- members


def seen(lead: str | None, **statuses: MemberStatus | None) -> AgentState:
    """The group with these members; None: not registered."""
    there = [member(name, status) for name, status in statuses.items() if status is not None]
    return state(view=view(None if lead is None else leader(lead), *there))


def test_the_leader_tells_who_is_down_and_who_is_up() -> None:
    whole = seen(NAME, node1=RUNNING, node2=RUNNING)
    hung = seen(NAME, node1=RUNNING, node2=HUNG)
    down = only(told(whole, hung), EventKind.MEMBER_DOWN)
    assert (down.member, down.state, down.leader) == ("node2", "hung", NAME)
    assert only(told(whole, hung, whole), EventKind.MEMBER_UP).member == "node2"
    gone = seen(NAME, node1=RUNNING, node2=None)
    down = only(told(whole, gone), EventKind.MEMBER_DOWN)
    assert (down.member, down.state, down.reason) == ("node2", "gone", "it is not registered")


def test_followers_tell_what_they_see_and_run_no_hook_for_it() -> None:
    events = told(seen("node3", node1=RUNNING, node2=RUNNING), seen("node3", node1=RUNNING, node2=HUNG))
    assert kinds(events) == ["member"]
    assert (events[0].member, events[0].state) == ("node2", "hung")


def test_a_member_is_down_once_however_it_goes_on() -> None:
    states = [
        seen(NAME, node1=RUNNING, node2=RUNNING),
        seen(NAME, node1=RUNNING, node2=HUNG),
        seen(NAME, node1=RUNNING, node2=STOPPED),
        seen(NAME, node1=RUNNING, node2=STARTING),  # neither up nor down: it stays what it was
        seen(NAME, node1=RUNNING, node2=None),
        seen(NAME, node1=RUNNING, node2=STARTING),
        seen(NAME, node1=RUNNING, node2=RUNNING),
    ]
    hooked = [kind for kind in kinds(all_told(states)) if kind in ("member_down", "member_up")]
    assert hooked == ["member_down", "member_up"]


@pytest.mark.parametrize("status", [STARTING, DRAINING, MemberStatus.ALARMED, MemberStatus.MINORITY])
def test_a_member_that_starts_drains_or_has_an_alarm_is_not_down(status: MemberStatus) -> None:
    events = told(seen(NAME, node1=RUNNING, node2=RUNNING), seen(NAME, node1=RUNNING, node2=status))
    assert kinds(events) == ["member"]


def test_a_new_member_is_up_when_it_serves() -> None:
    alone = seen(NAME, node1=RUNNING)
    assert kinds(told(alone, seen(NAME, node1=RUNNING, node4=STARTING))) == ["member"]
    assert kinds(told(alone, seen(NAME, node1=RUNNING, node4=RUNNING))) == ["member", "member_up"]


def test_the_next_leader_tells_that_the_old_one_is_down() -> None:
    events = all_told(
        [
            seen("node2", node1=RUNNING, node2=RUNNING),
            seen(None, node1=RUNNING, node2=None),  # lead and member went with the node's session
            seen(NAME, node1=RUNNING, node2=None),
        ]
    )
    assert only(events, EventKind.MEMBER_DOWN).member == "node2"
    assert kinds(events)[-2:] == ["leader_elected", "member_down"]


def test_what_another_leader_has_told_is_not_told_again() -> None:
    events = all_told(
        [
            seen("node2", node1=RUNNING, node2=RUNNING, node3=RUNNING),
            seen("node2", node1=RUNNING, node2=RUNNING, node3=STOPPED),  # node2 tells this one
            seen(None, node1=RUNNING, node2=HUNG, node3=STOPPED),
            seen(NAME, node1=RUNNING, node2=HUNG, node3=STOPPED),
        ]
    )
    assert only(events, EventKind.MEMBER_DOWN).member == "node2"


def test_a_member_that_was_removed_is_not_waited_for() -> None:
    def cluster(*names: str) -> ClusterView:
        nodes = {f"rabbit@{name}": ClusterNode(member=name, joined=AT) for name in names}
        return ClusterView(ClusterRecord(founder="rabbit@node1", formed=AT, nodes=nodes), 1)

    def of(names: tuple[str, ...], *there: str) -> AgentState:
        return state(view=view(leader(NAME), *map(member, there), cluster=cluster(*names)))

    events = all_told(
        [of(("node1", "node2"), "node1", "node2"), of(("node1", "node2"), "node1"), of(("node1",), "node1")]
    )
    assert only(events, EventKind.MEMBER_DOWN).member == "node2"
    assert not [event for event in events if event.kind is EventKind.MEMBER_UP]


# -- operations


def with_move(identity: str = "op1") -> GroupView:
    record = SwitchoverRecord.model_validate(
        {
            "id": identity,
            "kind": "switchover",
            "from": "node2",
            "epoch": 7,
            "to": NAME,
            "by": "a",
            "requested": AT,
        }
    )
    return view(leader("node2"), switchover=SwitchoverView(record, 0))


def with_work(*members: str, step: str | None = None) -> GroupView:
    record = MaintenanceRecord.model_validate(
        {
            "id": "op2",
            "kind": OperationKind.ROLLING_RESTART,
            "members": members,
            "step": step,
            "by": "a",
            "requested": AT,
        }
    )
    return view(leader("node2"), maintenance=MaintenanceView(record, 0))


def test_an_operation_is_told_from_its_beginning_to_its_end() -> None:
    begun = told(FOLLOWS, state(view=with_move()))[0]
    assert (begun.kind, begun.operation, begun.cause, begun.state) == (
        "operation",
        "op1",
        "switchover",
        "pending",
    )
    assert begun.reason == f"the lead goes to {NAME}"
    ended = told(FOLLOWS, state(view=with_move()), FOLLOWS)[0]
    assert (ended.operation, ended.state) == ("op1", "ended")


def test_each_step_of_a_maintenance_is_told() -> None:
    states = [
        FOLLOWS,
        state(view=with_work("node1", "node2")),
        state(view=with_work("node1", "node2", step="drain")),
        state(view=with_work("node2")),
        FOLLOWS,
    ]
    events = [event for event in all_told(states) if event.kind is EventKind.OPERATION]
    assert [event.state for event in events] == ["pending", "running", "running", "ended"]
    assert events[1].reason == "node1, node2 to come; node1: drain"


def test_a_pause_is_an_operation() -> None:
    paused = view(leader("node2"), pause=PauseRecord(by="anna", since=AT, id="op3"))
    begun = told(FOLLOWS, state(view=paused))[0]
    assert (begun.operation, begun.cause, begun.reason) == ("op3", "pause", "paused by anna")


# -- whatever happens

STATUSES = st.one_of(st.none(), st.sampled_from(list(MemberStatus)))
GROUPS = st.builds(
    lambda lead, epoch, statuses: state(
        view=view(
            None if lead is None else leader(lead, epoch),
            *[member(name, status) for name, status in statuses.items() if status is not None],
            member("node9"),
        )
    ),
    st.sampled_from([None, "node1", "node2", "node3"]),
    st.integers(1, 3),
    st.fixed_dictionaries({"node1": STATUSES, "node2": STATUSES, "node3": STATUSES}),
)
STATES = st.lists(st.one_of(GROUPS, st.just(replace(FOLLOWS, view=None))), max_size=12)


@given(STATES)
def test_leads_and_downs_alternate_whatever_happens(states: list[AgentState]) -> None:
    leading = False
    for event in all_told(states):
        if event.kind is EventKind.LEADER_ELECTED:
            assert not leading
            leading = True
        elif event.kind is EventKind.LEADER_LOST:
            assert leading
            leading = False
        elif event.kind in (EventKind.MEMBER_DOWN, EventKind.MEMBER_UP):
            assert leading


@given(STATES)
def test_the_same_state_again_is_never_news(states: list[AgentState]) -> None:
    cursor = EventCursor()
    for one in states:
        cursor, _ = follow(cursor, one, AT)
        cursor, events = follow(cursor, one, AT)
        assert events == ()

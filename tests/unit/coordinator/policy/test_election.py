"""What one agent decides on one snapshot."""

from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.group_views import ME, MINE, NOW, OTHER, RUNNING, THIRD, A, B, C, change, leader, member, view

from rabbitkeeper.coordinator.model.records import (
    MemberStatus,
    PauseRecord,
    Tags,
)
from rabbitkeeper.coordinator.model.view import GroupView
from rabbitkeeper.coordinator.policy.election import (
    Action,
    Decision,
    ElectionTiming,
    MemberState,
    decide,
)
from rabbitkeeper.coordinator.policy.ranking import rank


def act(view: GroupView | None, me: MemberState = ME, now: float = NOW) -> Decision:
    return decide(view, me, now)


def test_the_first_of_a_new_group_takes_the_lead_at_once() -> None:
    decision = act(view(A))
    assert (decision.action, decision.cause) == (Action.CAMPAIGN, "first leader")


def test_a_lead_that_zookeeper_has_forgotten_is_taken_when_its_lease_is_over() -> None:
    me = replace(ME, name="b", session=OTHER, held_until=NOW + 6.0)
    decision = act(view(A, B), me)
    assert (decision.action, decision.wait_until) == (Action.WAIT, pytest.approx(NOW + 6.3))
    assert act(view(A, B), me, NOW + 6.31).action is Action.CAMPAIGN


def test_each_next_candidate_gives_the_better_ones_a_head_start() -> None:
    me = replace(ME, name="c", session=THIRD)
    decision = act(view(A, B, C), me)
    assert decision.action is Action.WAIT
    assert decision.wait_until == pytest.approx(NOW + 0.6)
    assert "a goes first" in decision.reason
    assert act(view(A, B, C), me, NOW + 0.61).action is Action.CAMPAIGN


def test_the_higher_priority_leads_then_the_first_by_name() -> None:
    assert rank(view(A, member("b", OTHER, priority=101), C)) == ("b", "a", "c")


def test_the_member_that_led_last_comes_before_any_priority() -> None:
    group = view(A, member("b", OTHER, priority=999), C, last_change=change("c"))
    assert rank(group) == ("c", "b", "a")


@pytest.mark.parametrize("state", [state for state in MemberStatus if state is not RUNNING])
def test_only_running_members_are_candidates(state: MemberStatus) -> None:
    assert rank(view(A, member("b", OTHER, state), last_change=change("b"))) == ("a",)
    alarmed = state is MemberStatus.ALARMED
    assert act(view(A), replace(ME, status=state)).action is (Action.CAMPAIGN if alarmed else Action.WAIT)


def test_those_that_have_an_alarm_are_the_second_choice() -> None:
    alarmed = replace(ME, status=MemberStatus.ALARMED)
    assert act(view(A, B), alarmed).action is Action.WAIT, "b runs"
    others = [member(name, OTHER, state) for name, state in (("b", MemberStatus.ALARMED), ("c", RUNNING))]
    assert rank(view(A, *others), alarmed, alarmed=True) == ("c",)
    assert rank(view(A, others[0]), alarmed, alarmed=True) == ("a", "b")
    assert rank(view(A, others[0]), alarmed) == ()


def test_what_an_agent_knows_of_itself_is_newer_than_its_record() -> None:
    stale = view(member("a", MINE, MemberStatus.STARTING), B)
    assert rank(stale, ME) == ("a", "b")
    assert act(stale).action is Action.CAMPAIGN


def test_no_failover_neither_takes_nor_keeps_the_lead() -> None:
    me = replace(ME, tags=Tags(no_failover=True))
    assert act(view(A), me).action is Action.WAIT
    decision = act(view(A, leader=leader("a", MINE)), me)
    assert (decision.action, decision.cause) == (Action.RESIGN, "no_failover")


def test_a_leader_of_another_member_is_followed() -> None:
    decision = act(view(A, B, leader=leader("b", OTHER)))
    assert decision.action is Action.FOLLOW
    assert decision.reason == "b leads (epoch 7)"


def test_the_lead_of_an_earlier_run_is_not_ones_own() -> None:
    decision = act(view(A, leader=leader("a", OTHER)))
    assert decision.action is Action.FOLLOW
    assert "earlier session" in decision.reason


def test_a_lead_in_our_session_is_ours_even_if_we_do_not_remember_taking_it() -> None:
    me = replace(ME, campaign_failed_at=NOW - 0.01)
    assert act(view(A, leader=leader("a", MINE)), me).action is Action.LEAD


@pytest.mark.parametrize("state", list(MemberStatus))
def test_a_leader_resigns_when_its_broker_cannot_lead(state: MemberStatus) -> None:
    me = replace(ME, status=state, reasons=("the canary was not confirmed within 2 s",))
    decision = act(view(A, leader=leader("a", MINE)), me)
    assert decision.action is (Action.LEAD if state.serves else Action.RESIGN)
    assert (decision.cause is not None) == (decision.action is Action.RESIGN)
    if state is not RUNNING:
        assert "the canary was not confirmed" in decision.reason


def test_a_leader_without_a_majority_gives_way_to_one_that_goes_on_having_it() -> None:
    me = replace(
        ME,
        status=MemberStatus.MINORITY,
        reasons=("no majority answers",),
        majority_elsewhere_since=NOW,
    )
    doubt = ElectionTiming(minority=8.0)

    def action(group: GroupView, after: float) -> Decision:
        return decide(group, me, NOW + after, doubt)

    with_b = view(A, B, leader=leader("a", MINE))
    early = action(with_b, 7.9)
    assert (early.action, early.wait_until) == (Action.LEAD, NOW + 8.0)
    assert action(with_b, 8.0).action is Action.RESIGN
    assert action(with_b, 8.0).cause == "majority lost"
    nobody = view(A, member("b", OTHER, MemberStatus.MINORITY), leader=leader("a", MINE))
    assert action(nobody, 100.0).action is Action.LEAD
    unfit = view(A, member("b", OTHER, no_failover=True), leader=leader("a", MINE))
    assert action(unfit, 100.0).action is Action.LEAD
    paused = replace(with_b, pause=PauseRecord(by="ann", since=""))
    assert action(paused, 100.0).action is Action.LEAD


def test_a_paused_group_is_left_as_it_is() -> None:
    pause = PauseRecord(by="ann", since="", reason="new disks")
    vacant = act(view(A, pause=pause))
    assert vacant.action is Action.WAIT
    assert "paused by ann: new disks" in vacant.reason
    sick = replace(ME, status=MemberStatus.UNREACHABLE)
    assert act(view(A, leader=leader("a", MINE), pause=pause), sick).action is Action.HOLD
    assert act(view(A, leader=leader("a", MINE), pause=pause)).action is Action.LEAD


def test_without_zookeeper_the_leader_holds_and_the_others_wait() -> None:
    away = replace(ME, connected=False, disconnected_since=NOW - 3)
    decision = act(view(A, leader=leader("a", MINE)), away)
    assert decision.action is Action.HOLD
    assert "for 3.0 s" in decision.reason
    assert act(view(A, B, leader=leader("b", OTHER)), away).action is Action.WAIT
    assert act(None, away).action is Action.WAIT


def test_without_zookeeper_a_leader_that_may_not_hold_does_not_lead() -> None:
    for away in (
        replace(ME, connected=False, disconnected_since=NOW - 3),
        replace(ME, lease_valid=False),
    ):
        decision = decide(view(A, leader=leader("a", MINE)), away, NOW, hold=False)
        assert decision.action is Action.WAIT
        assert "does not lead" in decision.reason


def test_a_lead_that_went_with_its_session_is_not_held() -> None:
    lost = replace(ME, connected=False, session=0, disconnected_since=NOW - 3)
    assert act(view(A, leader=leader("a", MINE)), lost).action is Action.WAIT


def test_who_has_just_come_back_leaves_the_lead_to_the_member_that_had_it() -> None:
    """Also when it has registered again: it has yet to take the lead, and the lead may be long vacant."""
    me = replace(ME, connected_since=NOW - 0.5, vacant_since=NOW - 0.4)
    for members in ((A,), (A, B)):
        decision = act(view(*members, last_change=change("b")), me)
        assert decision.action is Action.WAIT
        assert decision.wait_until is not None
        assert decision.wait_until >= NOW + 1.5
    assert act(view(A, last_change=change("b")), me, NOW + 1.5).action is Action.CAMPAIGN
    # It is of no use to wait for one that is there and sick, or that is oneself.
    assert act(view(A, member("b", OTHER, MemberStatus.HUNG), last_change=change("b")), me).action is (
        Action.CAMPAIGN
    )
    assert act(view(A, B, last_change=change("a")), me).action is Action.CAMPAIGN


def test_a_new_session_alone_waits_too() -> None:
    me = replace(ME, session_established_at=NOW - 0.5, connected_since=None)
    assert act(view(A, last_change=change("b")), me).action is Action.WAIT
    assert act(view(A), me).action is Action.CAMPAIGN, "a group without history has nobody to wait for"


def test_a_failed_campaign_is_not_repeated_at_once() -> None:
    me = replace(ME, campaign_failed_at=NOW - 0.04)
    assert act(view(A), me).wait_until == pytest.approx(NOW + 0.06)
    assert act(view(A), me, NOW + 0.07).action is Action.CAMPAIGN


def test_a_leader_that_cannot_be_read_is_a_leader() -> None:
    decision = act(view(A, leader_unreadable="/rabbitkeeper/g/leader does not hold a LeaderRecord"))
    assert decision.action is Action.WAIT
    assert "cannot be read" in decision.reason


@pytest.mark.parametrize(
    ("state", "cause"),
    [
        (None, "agent lost"),
        (MemberStatus.UNREACHABLE, "broker unreachable"),
        (MemberStatus.STOPPED, "broker stopped"),
        (MemberStatus.DRAINING, "broker draining"),
        (RUNNING, "resigned"),
    ],
)
def test_the_new_leader_says_why_the_old_one_went(state: MemberStatus | None, cause: str) -> None:
    members = (A,) if state is None else (A, member("b", OTHER, state))
    decision = act(view(*members, last_change=change("b")), now=NOW + 1)
    assert (decision.action, decision.cause) == (Action.CAMPAIGN, cause)


TIMES = st.one_of(st.none(), st.floats(NOW - 100, NOW))
VIEWS = st.builds(
    lambda members, lead, unreadable, paused, last: view(
        *members,
        leader=None if unreadable else lead,
        leader_unreadable="unreadable" if unreadable else None,
        pause=PauseRecord(by="ann", since="") if paused else None,
        last_change=last,
    ),
    members=st.lists(
        st.builds(
            lambda name, owner, state, priority, tag: member(
                name, owner, state, priority=priority, no_failover=tag
            ),
            st.sampled_from("abcd"),
            st.integers(1, 4),
            st.sampled_from(MemberStatus),
            st.integers(0, 2),
            st.booleans(),
        ),
        max_size=4,
    ),
    lead=st.one_of(st.none(), st.builds(leader, st.sampled_from("abcd"), st.integers(1, 4))),
    unreadable=st.booleans(),
    paused=st.booleans(),
    last=st.one_of(st.none(), st.builds(change, st.sampled_from("abcd"))),
)
STATES = st.builds(
    MemberState,
    name=st.just("a"),
    instance=st.just("a-1"),
    session=st.integers(0, 2),
    status=st.sampled_from(MemberStatus),
    reasons=st.sampled_from([(), ("why",)]),
    status_since=st.just(0.0),
    connected=st.booleans(),
    lease_valid=st.booleans(),
    session_established_at=TIMES,
    disconnected_since=TIMES,
    registered=st.booleans(),
    tags=st.builds(Tags, no_failover=st.booleans()),
    vacant_since=TIMES,
    campaign_failed_at=TIMES,
    connected_since=TIMES,
)


@given(group=st.one_of(st.none(), VIEWS), me=STATES)
def test_whatever_is_seen_the_decision_keeps_the_rules(group: GroupView | None, me: MemberState) -> None:
    decision = decide(group, me, NOW)
    assert decision.reason
    certain = me.connected and me.lease_valid
    if not certain:
        assert decision.action in {Action.HOLD, Action.WAIT}
    if decision.action in {Action.CAMPAIGN, Action.RESIGN}:
        assert certain
        assert decision.cause
    if decision.action in {Action.LEAD, Action.RESIGN, Action.HOLD}:
        assert group is not None
        assert group.leader is not None
        assert group.leader.owner == me.session
    if decision.action is Action.CAMPAIGN:
        assert group is not None
        assert group.leader is None
        assert group.leader_unreadable is None
        assert group.pause is None
        assert me.registered
        assert me.status is RUNNING
        assert not me.tags.no_failover
    if decision.wait_until is not None:
        assert decision.action is Action.WAIT
        assert decision.wait_until > NOW


@given(group=VIEWS, me=STATES)
def test_a_candidate_campaigns_in_bounded_time(group: GroupView, me: MemberState) -> None:
    """Followed from one ``wait_until`` to the next, whatever the others do not do."""
    me = replace(me, connected=True, lease_valid=True, status=RUNNING, tags=Tags(), registered=True)
    members = dict(group.members) | {"a": A}
    group = replace(group, leader=None, leader_unreadable=None, pause=None, members=MappingProxyType(members))
    timing, now = ElectionTiming(), NOW
    me = replace(me, vacant_since=me.vacant_since or NOW)
    for _ in range(5):
        decision = decide(group, me, now, timing)
        if decision.action is Action.CAMPAIGN:
            break
        assert decision.wait_until is not None
        assert decision.wait_until > now
        now = decision.wait_until
    assert decision.action is Action.CAMPAIGN
    assert now - NOW <= timing.settle + len(members) * timing.stagger + timing.retry


@given(group=VIEWS)
def test_all_agents_rank_alike(group: GroupView) -> None:
    """From their records alone; each once, candidates only."""
    order = rank(group)
    assert len(set(order)) == len(order)
    assert set(order) == {
        name
        for name, one in group.members.items()
        if one.record.state is RUNNING and not one.record.tags.no_failover
    }

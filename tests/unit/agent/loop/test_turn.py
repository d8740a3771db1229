"""A turn's two pure stages: what the facts mean, and what is to be done."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.agent_states import NOW, OUR_SESSION, SINCE, leader, member, view

from rabbitkeeper.agent.config import AgentConfig
from rabbitkeeper.agent.group.announcement import Announcer
from rabbitkeeper.agent.loop.turn import (
    Assessment,
    BrokerSideFacts,
    Facts,
    GroupFacts,
    Intent,
    decide,
    judge,
    policy_of,
)
from rabbitkeeper.agent.model.errors import WrongCredentials
from rabbitkeeper.agent.model.observation import (
    ConnectFailure,
    ConnectionFacts,
    FormationFacts,
    MajorityFacts,
    NodeFacts,
    NodeState,
    Observation,
    ProcessFacts,
)
from rabbitkeeper.agent.model.state import SessionFacts
from rabbitkeeper.coordinator.model.records import (
    ClusterNode,
    ClusterRecord,
    MemberStatus,
    OperationKind,
    SwitchoverRecord,
    TakenConfig,
)
from rabbitkeeper.coordinator.model.view import ClusterView, GroupView, SwitchoverView
from rabbitkeeper.coordinator.policy.election import Action

CONFIG = AgentConfig.model_validate(
    {
        "group": "orders",
        "name": "node1",
        "zookeeper": {"hosts": "nowhere:2181"},
        "broker": {
            "driver": "process",
            "node": "rabbit@node1",
            "amqp": {"host": "node1", "username": "rk", "password": "x"},
            "process": {"directory": "/nowhere"},
        },
    },
    context={"directory": Path("/nowhere")},
)
ANNOUNCER = Announcer(CONFIG, instance="node1-1")
CONNECTED = ConnectionFacts(up_since=NOW - 8, answered_at=NOW - 8, confirmed=3, version="3.10.8")
WELL = Observation(
    watched_since=NOW - 10,
    connection=CONNECTED,
    process=ProcessFacts(running=True),
    formation=FormationFacts(formed=True),
    been_up=True,
)
SESSION = SessionFacts(
    id=OUR_SESSION,
    connected_since=NOW - 9,
    disconnected_since=None,
    lease_until=NOW + 4,
    timeout=5.5,
    registered=True,
    established_at=NOW - 9,
)
LEADS = view(leader("node1"))
MINORITY = replace(WELL, majority=MajorityFacts(failed=1, error="no majority answers"))


def facts(
    observation: Observation = WELL,
    view: GroupView | None = LEADS,
    *,
    now: float = NOW,
    session: SessionFacts = SESSION,
    busy: bool = False,
    holds_lead: bool = True,
) -> Facts:
    return Facts(
        now=now,
        wall=now,
        at=f"at {now:g}",
        config=CONFIG,
        policy=policy_of(CONFIG),
        broker=BrokerSideFacts(
            connection=observation.connection,
            observation=observation,
            load={"connections": 3},
            busy=busy,
            settled_since=NOW - 9,
        ),
        group=GroupFacts(
            view=view,
            session=session,
            vacant_since=None,
            switchover_since=None,
            taken=TakenConfig(version=None),
            campaign_failed_at=None,
            holds_lead=holds_lead,
        ),
    )


def intent(one: Facts, before: Intent | None = None) -> Intent:
    return decide(one, judge(one, None), ANNOUNCER, before)


def test_since_is_carried_on_while_the_status_stays() -> None:
    first = judge(facts(), None)
    assert (first.verdict.status, first.since) == (MemberStatus.RUNNING, "at 1000")
    assert judge(facts(now=NOW + 5), first).since == "at 1000"
    hung = replace(WELL, connection=replace(CONNECTED, silent=9.0))
    assert judge(facts(hung, now=NOW + 6), first).since == "at 1006"


def test_credentials_that_have_never_worked_are_a_mistake_unless_something_is_under_way() -> None:
    denied = ConnectionFacts(failure=ConnectFailure.DENIED, answered_at=NOW - 1, error="refused")
    observed = replace(WELL, connection=denied)
    with pytest.raises(WrongCredentials, match="refused by the broker at node1:5672"):
        judge(facts(observed), None)
    assert judge(facts(observed, busy=True), None).verdict.status is MemberStatus.UNREACHABLE
    worked_once = replace(denied, version="3.10.8")
    judge(facts(replace(WELL, connection=worked_once)), None)


def test_credentials_that_are_refused_where_they_have_worked_before_are_waited_for() -> None:
    """An agent that was started while LDAP was down ended with exit status 2, and was not started again."""
    denied = ConnectionFacts(failure=ConnectFailure.DENIED, answered_at=NOW - 1, error="refused")
    observed = replace(WELL, connection=denied)
    recorded = ClusterNode(member="node1", joined=SINCE)

    def formed(node: str, its: ClusterNode) -> GroupView:
        record = ClusterRecord(founder=node, formed=SINCE, nodes={node: its})
        return replace(LEADS, cluster=ClusterView(record, 0))

    verdict = judge(facts(observed, formed("rabbit@node1", recorded)), None).verdict
    assert verdict.status is MemberStatus.UNREACHABLE
    assert verdict.reasons[0] == "refused"
    assert "cannot ask its authentication backend; the agent goes on trying" in verdict.reasons[1]
    judge(facts(observed, None), None)  # not known yet
    for other in (
        formed("rabbit@other", recorded),
        formed("rabbit@node1", ClusterNode(member="node2", joined=SINCE)),
    ):
        with pytest.raises(WrongCredentials):
            judge(facts(observed, other), None)


def test_the_record_and_the_decision_are_of_the_same_turn() -> None:
    done = intent(facts())
    assert done.decision.action is Action.LEAD
    assert done.leads
    assert (done.record.state, done.record.since) == (MemberStatus.RUNNING, "at 1000")
    assert (done.record.versions.rabbitmq, done.record.load) == ("3.10.8", {"connections": 3})


def test_who_has_no_lease_does_not_lead_and_a_mode_says_whether_the_lead_is_held() -> None:
    expired = replace(SESSION, lease_until=NOW)
    one = facts(session=expired)
    assert not one.current
    assert not intent(one).leads
    assert intent(one).decision.action is Action.HOLD
    assert intent(facts(session=expired, holds_lead=False)).decision.action is Action.WAIT


def test_the_switchover_that_is_decided_on_is_the_one_that_is_handed_on() -> None:
    record = SwitchoverRecord(
        id="op1",
        kind=OperationKind.SWITCHOVER,
        by="ann",
        requested=SINCE,
        epoch=7,
        previous="node1",
        to="node2",
    )
    done = intent(facts(view=replace(LEADS, switchover=SwitchoverView(record, version=0))))
    assert done.switchover is not None
    assert done.switchover.candidate == "node2"
    assert done.decision.action is Action.RESIGN
    assert done.decision.operation is record
    assert intent(facts()).switchover is None


def test_since_when_the_majority_is_missing_here_alone_is_kept_from_turn_to_turn() -> None:
    first = intent(facts(MINORITY))
    assert first.me.majority_elsewhere_since == NOW
    later = intent(facts(MINORITY, now=NOW + 3), first)
    assert later.me.majority_elsewhere_since == NOW
    unread = intent(facts(MINORITY, None, now=NOW + 4), later)
    assert unread.me.majority_elsewhere_since == NOW, "nothing is known to have changed"
    alone = view(leader("node1"), member("node1"))
    assert intent(facts(MINORITY, alone, now=NOW + 5), unread).me.majority_elsewhere_since is None


def test_listeners_that_an_agent_has_closed_are_told_from_others() -> None:
    def drained(state: NodeState) -> bool:
        return intent(facts(replace(WELL, node=NodeFacts(state, NOW)))).left_drained

    assert drained(NodeState.DRAINED_BY_AGENT)
    assert not drained(NodeState.DRAINED)


def test_stages_change_nothing_that_they_are_given() -> None:
    one = facts()
    before = Assessment(judge(one, None).verdict, SINCE)
    assert judge(one, before) == judge(one, before)
    assert decide(one, before, ANNOUNCER, None) == decide(one, before, ANNOUNCER, None)

"""One turn of the loop as values: what was collected, what it means, what is to be done. Pure.

The loop collects :class:`Facts`; :func:`judge` makes of them an :class:`Assessment`, :func:`decide` an
:class:`Intent`, and the loop acts on that. Both functions look at nothing but their arguments, among which is
what they returned a turn ago.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from rabbitkeeper.agent.config import AgentConfig
from rabbitkeeper.agent.group.announcement import Announcer
from rabbitkeeper.agent.health.judge import HealthPolicy
from rabbitkeeper.agent.health.judge import judge as judge_health
from rabbitkeeper.agent.health.majority_check import elsewhere_since
from rabbitkeeper.agent.model.errors import WrongCredentials
from rabbitkeeper.agent.model.observation import (
    NOTHING_TOLD,
    ConnectFailure,
    ConnectionFacts,
    NodeState,
    Observation,
    ToldOfOthers,
)
from rabbitkeeper.agent.model.state import SessionFacts
from rabbitkeeper.agent.model.verdict import Verdict
from rabbitkeeper.coordinator.model.records import (
    ClusterNode,
    MemberRecord,
    MemberStatus,
    TakenConfig,
)
from rabbitkeeper.coordinator.model.view import GroupView
from rabbitkeeper.coordinator.policy.election import Decision, MemberState
from rabbitkeeper.coordinator.policy.election import decide as decide_election
from rabbitkeeper.coordinator.policy.ranking import rank
from rabbitkeeper.coordinator.policy.switchover import SwitchoverPlan, plan_switchover


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """The group and our part in it. Times are monotonic seconds.

    Attributes:
        view: the last snapshot; None while nothing certain is known.
        session: ours.
        vacant_since: since when no leader has been seen; None while there is one.
        switchover_since: since when the pending request has been seen.
        taken: the configuration that this agent goes by, for its record.
        campaign_failed_at: when our last campaign came to nothing.
        holds_lead: a leader stays what it is while there is no ZooKeeper.
        held_until: by when whoever led before ZooKeeper forgot it knows that it leads no more.
        told_of_others: what their agents are to be told of their nodes.
    """

    view: GroupView | None
    session: SessionFacts
    vacant_since: float | None
    switchover_since: float | None
    taken: TakenConfig
    campaign_failed_at: float | None
    holds_lead: bool
    held_until: float = 0.0
    told_of_others: ToldOfOthers = NOTHING_TOLD


@dataclass(frozen=True, slots=True)
class BrokerSideFacts:
    """Our broker, and what is being done to it.

    Attributes:
        connection: what the probe says, be it of an earlier process.
        observation: everything that a verdict is founded on.
        load: what it carries, for the member's record.
        busy: a step of its supervisor's is under way.
        settled_since: when the last one ended, monotonic seconds.
    """

    connection: ConnectionFacts
    observation: Observation
    load: Mapping[str, int]
    busy: bool
    settled_since: float


@dataclass(frozen=True, slots=True)
class Facts:
    """All that one turn is founded on.

    Attributes:
        now: seconds, monotonic.
        wall: seconds since 1970.
        at: the time for people, UTC.
        config: what the agent goes by.
        policy: of that, what is tolerated of a broker.
    """

    now: float
    wall: float
    at: str
    config: AgentConfig
    policy: HealthPolicy
    broker: BrokerSideFacts
    group: GroupFacts

    @property
    def current(self) -> bool:
        """Whether the snapshot is not out of date: ZooKeeper is there, and our session lives for certain."""
        return self.group.session.connected and self.group.session.lease_valid(self.now)


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the facts mean: how the broker is, and since when, for people."""

    verdict: Verdict
    since: str


@dataclass(frozen=True, slots=True)
class Intent:
    """What is to be done.

    Attributes:
        me: the agent itself, as the election sees it.
        decision: about the lead.
        switchover: what is to become of the pending request; None if there is none.
        record: the member's, as it should stand in ZooKeeper.
        leads: whether we lead, with a valid lease.
        left_drained: our broker says that an agent, by now a dead one, has drained it.
    """

    me: MemberState
    decision: Decision
    switchover: SwitchoverPlan | None
    record: MemberRecord
    leads: bool
    left_drained: bool


def judge(facts: Facts, before: Assessment | None) -> Assessment:
    """Say what the facts mean.

    Args:
        facts: of this turn.
        before: a turn ago; None in the first.

    Raises:
        WrongCredentials: the broker has refused them, and they have never worked.
    """
    observation = facts.broker.observation
    verdict = judge_health(observation, facts.now, facts.policy, None if before is None else before.verdict)
    _refuse_wrong_credentials(facts)
    same = before is not None and before.verdict.status is verdict.status
    return Assessment(verdict, before.since if before is not None and same else facts.at)


def decide(facts: Facts, assessment: Assessment, announcer: Announcer, before: Intent | None) -> Intent:
    """Say what is to be done.

    Args:
        facts, assessment: of this turn.
        announcer: who this agent is.
        before: a turn ago; None in the first.
    """
    view, verdict = facts.group.view, assessment.verdict
    me = _me(facts, verdict, announcer, None if before is None else before.me.majority_elsewhere_since)
    switchover = None if view is None else plan_switchover(view, me.wall, me.waited(facts.now))
    timing = replace(facts.config.election.timing, minority=facts.policy.minority_patience)
    decision = decide_election(
        view, me, facts.now, timing, switchover=switchover, hold=facts.group.holds_lead
    )
    node = facts.broker.observation.node
    return Intent(
        me=me,
        decision=decision,
        switchover=switchover,
        record=announcer.member(
            verdict,
            assessment.since,
            facts.broker.connection.version,
            facts.group.taken,
            facts.broker.load,
            facts.group.told_of_others,
        ),
        leads=view is not None and view.leads(me.session) and me.lease_valid,
        left_drained=node is not None and node.state is NodeState.DRAINED_BY_AGENT,
    )


def strained(facts: Facts, *, late: bool, starved: bool) -> bool:
    """Whether something speaks for a broker that is slow rather than hung.

    Args:
        facts: of this turn.
        late: the loop has come round late of late.
        starved: the kernel says that this host is.
    """
    view = facts.group.view
    members = () if view is None else view.members.values()
    alarmed = any(member.record.state is MemberStatus.ALARMED for member in members)
    return late or starved or alarmed or facts.broker.connection.blocked is not None


def policy_of(config: AgentConfig) -> HealthPolicy:
    """What a configuration tolerates of a broker."""
    health = config.health
    return HealthPolicy(
        hung_after=health.hung_after,
        fall=health.fall,
        rise=health.rise,
        start_grace=health.start_grace,
        majority_interval=health.majority_interval,
        majority_timeout=health.majority_timeout,
    )


def wrong_credentials(config: AgentConfig, facts: ConnectionFacts) -> WrongCredentials:
    """The error for credentials that the broker refuses."""
    amqp = config.broker.amqp
    return WrongCredentials(
        f"broker.amqp.username {amqp.username!r} and its password are refused by the broker at "
        f"{amqp.host}:{amqp.port}: set the ones that it knows, or give it this user ({facts.error})"
    )


def worked_before(config: AgentConfig, nodes: Mapping[str, ClusterNode]) -> bool:
    """Whether a broker has let its agent in once, be it an earlier run of it: it was formed by that.

    Args:
        config: the agent's.
        nodes: of the recorded cluster, by Erlang name.
    """
    recorded = nodes.get(config.broker.node)
    return recorded is not None and recorded.member == config.name


def _refuse_wrong_credentials(facts: Facts) -> None:
    """Credentials that have never worked are a mistake; later on they are a state like any other.

    RabbitMQ refuses right ones by the same words while it cannot ask its authentication backend. While the
    node joins the cluster it may lack its user for a moment, so that does not count.
    """
    broker, connection = facts.broker, facts.broker.connection
    never_worked = connection.failure is ConnectFailure.DENIED and connection.version is None
    view = facts.group.view
    if view is None or worked_before(facts.config, view.nodes):
        return
    if never_worked and not broker.busy and (connection.answered_at or 0.0) > broker.settled_since:
        raise wrong_credentials(facts.config, connection)


def _me(facts: Facts, verdict: Verdict, announcer: Announcer, elsewhere: float | None) -> MemberState:
    group, session = facts.group, facts.group.session
    me = MemberState(
        name=facts.config.name,
        instance=announcer.instance,
        session=session.id,
        status=verdict.status,
        reasons=verdict.reasons,
        status_since=verdict.since,
        connected=session.connected,
        lease_valid=session.lease_valid(facts.now),
        session_established_at=session.established_at,
        disconnected_since=session.disconnected_since,
        registered=session.registered,
        tags=facts.config.tags.record,
        vacant_since=group.vacant_since,
        campaign_failed_at=group.campaign_failed_at,
        connected_since=session.connected_since,
        switchover_since=group.switchover_since,
        wall=facts.wall,
        held_until=group.held_until,
    )
    if group.view is not None:
        others = bool(set(rank(group.view, me)) - {me.name})
        elsewhere = elsewhere_since(elsewhere, facts.now, me.status, others=others)
    return replace(me, majority_elsewhere_since=elsewhere)

"""The agent's loop: one thread that looks, judges, decides and acts, over and over.

Each turn is the same: keep the lease, read the group if it has changed, see how the broker is, judge, decide,
say in one sentence what that is and why, act on it, and take the next step with the broker. What
decides is elsewhere and pure (``judge.judge``, ``election.decide``, ``policy.plan``); what takes
seconds is a job or a thread of its own, whose end rings this loop's bell. Between turns it waits for that
bell, or for the next moment at which time alone changes something.

It leads only while its lease is valid, and renews the lease itself: a loop that hangs loses the lead, and
the watchdog then ends the process.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from rabbitkeeper.agent.broker.supervisor import BrokerSupervisor
from rabbitkeeper.agent.cluster.peer_monitor import PeerMonitor
from rabbitkeeper.agent.cluster.suspects import PeerSighting
from rabbitkeeper.agent.config import AgentConfig
from rabbitkeeper.agent.group.announcement import Announcer
from rabbitkeeper.agent.group.effective_config import EffectiveConfig
from rabbitkeeper.agent.group.membership import TROUBLED_PAUSE, Membership
from rabbitkeeper.agent.group.operation_runner import OperationRunner
from rabbitkeeper.agent.health.judge import HealthPolicy, judge
from rabbitkeeper.agent.health.majority_check import MajorityCheck
from rabbitkeeper.agent.health.probe import Probe
from rabbitkeeper.agent.loop.housekeeping import Housekeeping
from rabbitkeeper.agent.model.errors import WrongCredentials
from rabbitkeeper.agent.model.observation import ConnectFailure, ConnectionFacts, NodeState, Observation
from rabbitkeeper.agent.model.state import AgentState, Board, SessionFacts
from rabbitkeeper.agent.model.verdict import Verdict
from rabbitkeeper.agent.notify.status_log import StatusLog
from rabbitkeeper.agent.runtime.wakeup import Wakeup
from rabbitkeeper.coordinator.backend.interface import Session
from rabbitkeeper.coordinator.model.records import (
    ClusterRecord,
    HistoryEntry,
    MaintenanceRecord,
    MemberRecord,
    MemberStatus,
    utcnow,
)
from rabbitkeeper.coordinator.model.view import GroupView
from rabbitkeeper.coordinator.policy.election import Action, Decision, MemberState, decide
from rabbitkeeper.coordinator.policy.ranking import rank

LOG = logging.getLogger("rabbitkeeper.agent")

LONGEST_WAIT = 0.5  # seconds between turns: a process that ends rings no bell
RENEWALS = 6  # of the lease, in one session timeout
_UP = frozenset(
    {MemberStatus.RUNNING, MemberStatus.ALARMED, MemberStatus.MINORITY, MemberStatus.DRAINING}
)  # states in which a broker takes questions
_IMPATIENT_RENEWAL = 0.1  # seconds between renewals while there is no lease


class Loop:
    """One agent's loop over parts that are made elsewhere (``assembly.py``).

    Args:
        settings: the agent's.
        session: started.
        membership: its part in the group.
        broker: its broker.
        probe: started.
        announcer: who it is.
        wakeup: its bell.
        operations: what operators have asked for.
        housekeeping: what is done beside it and not often.
        board: where each turn's state is put up, for everybody else.
        peer_monitor: its eye on the other nodes.
        beat: tells the watchdog that the loop comes round.
        adopt: called with the configuration whenever the group's has changed it, for the parts that go by it
            and are not the loop's.
        clock: monotonic seconds.
        wall: seconds since 1970; for an operator's appointed time and for nothing else.
    """

    def __init__(
        self,
        settings: EffectiveConfig,
        *,
        session: Session,
        membership: Membership,
        broker: BrokerSupervisor,
        probe: Probe,
        announcer: Announcer,
        wakeup: Wakeup,
        operations: OperationRunner,
        housekeeping: Housekeeping,
        board: Board,
        peer_monitor: PeerMonitor,
        beat: Callable[[], None],
        adopt: Callable[[AgentConfig], None] = lambda config: None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._config = settings.effective
        self._policy = _policy(self._config)
        self._session = session
        self._membership = membership
        self._broker = broker
        self._probe = probe
        self._announcer = announcer
        self._wakeup = wakeup
        self._operations = operations
        self._housekeeping = housekeeping
        self._board = board
        self._peer_monitor = peer_monitor
        self._beat = beat
        self._adopt = adopt
        self._clock = clock
        self._wall = wall
        self._majority_check = MajorityCheck(probe.confirm_majority)
        self._status_log = StatusLog()
        self._renewed_at = 0.0
        self._verdict: Verdict | None = None
        self._cluster: ClusterRecord | None = None  # as it was read last
        self._cause: str | None = None  # of the campaign under way
        self._since = utcnow()  # of the verdict's status, for people
        self._draining: str | None = None
        self._turns = 0
        self._lead: HistoryEntry | None = None  # the one taken last

    @property
    def draining(self) -> bool:
        return self._draining is not None

    def drain(self, reason: str) -> None:
        """From the next turn on, do not lead any more. Can be called from any thread.

        Args:
            reason: for the member's record.
        """
        self._draining = reason
        self._wakeup.ring()

    def wait(self, until: float) -> None:
        """Wait for the bell, or for ``until`` (monotonic seconds)."""
        self._wakeup.wait(until - self._clock())

    def turn(self) -> float:
        """Go round once.

        Returns:
            When the next turn is due if the bell does not ring before, monotonic seconds.

        Raises:
            WrongCredentials, ConfigurationError, DuplicateMember: this agent cannot run as it is configured.
        """
        now = self._clock()
        self._beat()
        due: list[float | None] = [now + LONGEST_WAIT, self._renew(now), self._membership.read(now)]
        if self._settings.effective is not self._config:
            self._reconfigure(self._settings.effective)
        facts = self._probe.facts
        verdict, record = self._look(now, facts)
        self._refuse_wrong_credentials(facts)
        me = self._me(now, verdict)
        timing = replace(self._config.election.timing, minority=self._policy.minority_patience)
        decision = decide(self._membership.view, me, now, timing)
        view = self._membership.view
        sentence = self._status_log.tell(verdict, decision, view.problems if view is not None else ())
        self._operations.turn(
            now,
            view if me.connected and me.lease_valid else None,
            me,
            leads=self._leads(now),
            left_drained=self._housekeeping.node_state is NodeState.DRAINED_BY_AGENT,
            failback=self._config.failback.after,
        )
        due.append(self._act(now, decision, record))
        if self._membership.been_registered:
            due.append(self._tend(now, facts, verdict))
            if self._config.health.fast_nodedown:
                due.append(self._peer_monitor.turn(now, self._sighting(verdict)))
        self._put_up(now, facts, verdict, decision, sentence)
        return min(moment for moment in due if moment is not None)

    def _reconfigure(self, config: AgentConfig) -> None:
        """Go by settings that have changed while it runs."""
        self._config = config
        self._policy = _policy(config)
        self._adopt(config)

    # -- look

    def _renew(self, now: float) -> float:
        session = self._session
        period = session.timeout / RENEWALS if session.lease.valid(now) else _IMPATIENT_RENEWAL
        if now >= self._renewed_at + period:
            session.renew()
            self._renewed_at = now
        return self._renewed_at + period

    def _look(self, now: float, facts: ConnectionFacts) -> tuple[Verdict, MemberRecord]:
        process, formation = self._broker.look(now, facts)
        self._majority_check.collect(now, self._policy, blocked=facts.blocked is not None)
        observation = Observation(
            watched_since=self._broker.watched_since,
            connection=facts.since(self._broker.watched_since),
            process=process,
            formation=formation,
            been_up=self._broker.been_up,
            majority=self._majority_check.facts,
            draining=self._draining or self._operations.draining,
        )
        observation = self._housekeeping.look(
            now, observation, self._policy, self._broker.process, self._membership.view
        )
        verdict = judge(observation, now, self._policy, self._verdict)
        current = self._session.connected and self._session.lease.valid(now)
        self._housekeeping.tend(now, verdict, self._membership.view, formed=formation.formed, current=current)
        if self._verdict is None or verdict.status is not self._verdict.status:
            self._since = utcnow()
        self._verdict = verdict
        return verdict, self._announcer.member(
            verdict, self._since, facts.version, self._settings.taken, self._housekeeping.load
        )

    def _refuse_wrong_credentials(self, facts: ConnectionFacts) -> None:
        """Credentials that have never worked are a mistake; later on they are a state like any other.

        While the node joins the cluster it may lack its user for a moment, so that does not count.
        """
        never_worked = facts.failure is ConnectFailure.DENIED and facts.version is None
        if never_worked and not self._broker.busy and (facts.answered_at or 0.0) > self._broker.settled_since:
            raise wrong_credentials(self._config, facts)

    def _put_up(
        self, began: float, facts: ConnectionFacts, verdict: Verdict, decision: Decision, sentence: str
    ) -> None:
        session, now = self._session, self._clock()
        self._turns += 1
        self._board.put_up(
            AgentState(
                group=self._config.group,
                name=self._config.name,
                instance=self._announcer.instance,
                node=self._config.broker.node,
                turn=self._turns,
                at=now,
                took=now - began,
                verdict=verdict,
                since=self._since,
                decision=decision,
                sentence=sentence,
                session=SessionFacts(
                    id=session.session_id,
                    connected_since=session.connected_since,
                    disconnected_since=session.disconnected_since,
                    lease_until=now + session.lease.remaining(now),
                    timeout=session.timeout,
                    registered=self._membership.registered,
                ),
                connection=facts,
                broker=self._broker.facts,
                view=self._membership.view,
                lead=self._lead,
            )
        )

    # -- decide

    def _leads(self, now: float) -> bool:
        view = self._membership.view
        leader = None if view is None else view.leader
        return (
            leader is not None and leader.owner == self._session.session_id and self._session.lease.valid(now)
        )

    def _me(self, now: float, verdict: Verdict) -> MemberState:
        session, membership = self._session, self._membership
        me = MemberState(
            name=self._config.name,
            instance=self._announcer.instance,
            session=session.session_id,
            status=verdict.status,
            reasons=verdict.reasons,
            status_since=verdict.since,
            connected=session.connected,
            lease_valid=session.lease.valid(now),
            session_established_at=session.established_at,
            disconnected_since=session.disconnected_since,
            registered=membership.registered,
            tags=self._config.tags.record,
            vacant_since=membership.vacant_since,
            campaign_failed_at=self._majority_check.failed_at,
            connected_since=session.connected_since,
            switchover_since=membership.switchover_since,
            wall=self._wall(),
        )
        if membership.view is not None:
            self._majority_check.compare(
                now, me.status, others=bool(set(rank(membership.view, me)) - {me.name})
            )
        return replace(me, majority_elsewhere_since=self._majority_check.elsewhere_since)

    def _sighting(self, verdict: Verdict) -> PeerSighting:
        session, membership = self._session, self._membership
        if membership.view is not None and membership.view.cluster is not None:
            self._cluster = membership.view.cluster.record
        return PeerSighting(
            node=self._config.broker.node,
            cluster=self._cluster,
            view=membership.view,
            broker_up=verdict.status in _UP,
            registered=membership.registered,
            connected_since=session.connected_since if session.connected else None,
            lease_valid=session.lease.valid(self._clock()),
        )

    # -- act

    def _act(self, now: float, decision: Decision, record: MemberRecord) -> float | None:
        membership = self._membership
        if decision.action is Action.RESIGN and membership.registered:
            # One transaction says why and gives up the lead. What is then done to the broker comes after it.
            if not membership.resign(record):
                return now + TROUBLED_PAUSE
            LOG.info("resigned")
            return now
        if self._session.connected and self._session.session_id:
            membership.announce(now, record)
        if decision.action is not Action.CAMPAIGN:
            self._cause = None
            idle = self._majority_check.idle(now, record.state, self._policy)
            return _earliest(idle, decision.wait_until)
        self._run_campaign(decision)
        return None

    def _run_campaign(self, decision: Decision) -> None:
        # What had happened when the campaign began: until it ends the old leader's state may have moved on.
        cause = self._cause = self._cause or decision.cause or "campaign"
        result = self._majority_check.run(self._policy)
        if result is None:
            return
        now, membership = self._clock(), self._membership
        if not self._session.lease.valid(now):
            self._majority_check.ended(now, won=False)
            return
        view = membership.view
        last = view.last_change if view is not None else None
        operation = decision.operation or (None if view is None else _maintained(view, last))
        vacant_since = membership.vacant_since
        epoch = membership.take_lead(cause)
        now = self._clock()
        self._majority_check.ended(now, won=epoch is not None)
        if epoch is None:
            return
        vacant = now - vacant_since if vacant_since is not None else 0.0
        LOG.info(
            "took the lead: epoch %d, %s; vacant for %.3f s, of which %.3f s until a majority confirmed "
            "(attempt %d)",
            epoch,
            cause,
            vacant,
            result.took,
            result.attempts,
        )
        self._lead = self._announcer.change(
            epoch,
            last.to if last is not None else None,
            cause,
            utcnow(),
            {"vacant": vacant, "canary": result.took},
            operation,
        )
        membership.record_change(self._lead)

    def _tend(self, now: float, facts: ConnectionFacts, verdict: Verdict) -> float | None:
        if self.draining:
            return None
        return self._broker.act(
            now,
            facts,
            verdict.status,
            verdict.since if verdict.well else None,
            paused=self._membership.paused,
            cut_off=self._peer_monitor.cut_off,
            can_form=self._session.connected,
            node=self._housekeeping.node_facts,
        )


def _policy(config: AgentConfig) -> HealthPolicy:
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


def _maintained(view: GroupView, last: HistoryEntry | None) -> MaintenanceRecord | None:
    """The maintenance for which the member that led last has given up its lead."""
    pending = None if view.maintenance is None else view.maintenance.record
    if pending is None or last is None or last.to not in pending.members[:1]:
        return None
    return pending


def _earliest(*moments: float | None) -> float | None:
    return min((moment for moment in moments if moment is not None), default=None)

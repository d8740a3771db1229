"""The agent's loop: one thread that collects, judges, decides and acts, over and over.

Each turn has four stages. *Collect* (``collect.py``) keeps the lease, reads the group if it has changed and
sees how the broker is; it begins nothing. *Judge* and *decide* (``turn.py``) are pure: they say how the
broker is and what is to be done. *Act* does it: writes to ZooKeeper, campaigns, carries operations on, takes
the next step with the broker, puts the state up for everybody else. What takes seconds is a job or a thread
of its own, whose end rings this loop's bell. Between turns it waits for that bell, or for the next moment at
which time alone changes something.

What depends on how the group's brokers back one another up is asked of the mode (``mode.py``).

It leads only while its lease is valid, and renews the lease itself: a loop that hangs loses the lead, and
the watchdog then ends the process.
"""

import logging
from collections.abc import Callable

from rabbitkeeper.agent.cluster.suspects import PeerSighting
from rabbitkeeper.agent.config import AgentConfig
from rabbitkeeper.agent.group.effective_config import EffectiveConfig
from rabbitkeeper.agent.group.membership import TROUBLED_PAUSE
from rabbitkeeper.agent.loop.campaign import Campaign
from rabbitkeeper.agent.loop.collect import Collector
from rabbitkeeper.agent.loop.mode import Mode
from rabbitkeeper.agent.loop.sides import BrokerSide, GroupSide
from rabbitkeeper.agent.loop.turn import Assessment, Facts, Intent, decide, judge, strained
from rabbitkeeper.agent.model.observation import STARTS_AGAIN, NodeState
from rabbitkeeper.agent.model.state import AgentState, Board
from rabbitkeeper.agent.notify.events import EventKind, own_id
from rabbitkeeper.agent.notify.status_log import StatusLog
from rabbitkeeper.agent.runtime.clocks import Clocks
from rabbitkeeper.agent.runtime.lag import Lag
from rabbitkeeper.agent.runtime.wakeup import Wakeup
from rabbitkeeper.coordinator.model.event_ids import lead_lost
from rabbitkeeper.coordinator.model.records import MemberStatus
from rabbitkeeper.coordinator.model.view import GroupView
from rabbitkeeper.coordinator.policy.election import Action

LOG = logging.getLogger("rabbitkeeper.agent")

LONGEST_WAIT = 0.5  # seconds between turns: a process that ends rings no bell


class Loop:
    """One agent's loop over parts that are made elsewhere (``assembly.py``).

    Args:
        settings: the agent's.
        broker: our broker's side; the probe is started.
        group: the group's side; the backend is started.
        mode: how the brokers back one another up.
        wakeup: the loop's bell.
        board: where each turn's state is put up, for everybody else.
        beat: tells the watchdog that the loop comes round.
        adopt: called with the configuration whenever the group's has changed it, for the parts that go by it
            and are not the loop's.
        clocks: monotonic and wall.
        starved: whether this host is, asked while the broker hangs or its node is silent.
    """

    def __init__(
        self,
        settings: EffectiveConfig,
        broker: BrokerSide,
        group: GroupSide,
        mode: Mode,
        *,
        wakeup: Wakeup,
        board: Board,
        beat: Callable[[], None],
        adopt: Callable[[AgentConfig], None] = lambda config: None,
        clocks: Clocks | None = None,
        starved: Callable[[], bool] = lambda: False,
    ) -> None:
        self._config = settings.effective  # as it has been adopted
        self._broker = broker
        self._group = group
        self._mode = mode
        self._wakeup = wakeup
        self._board = board
        self._beat = beat
        self._adopt = adopt
        self._starved = starved
        self._clocks = clocks or Clocks()
        self._collector = Collector(settings, broker, group, mode, self._clocks)
        self._campaign = Campaign(
            mode.lead_check,
            group.membership,
            group.announcer,
            clock=self._clocks.monotonic,
            lease_valid=lambda now: group.backend.lease.valid(now),
        )
        self._status_log = StatusLog()
        self._draining: str | None = None
        self._turns = 0
        self._lag = Lag()
        self._assessment: Assessment | None = None  # of the turn before
        self._intent: Intent | None = None  # of the turn before

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
        self._wakeup.wait(until - self._clocks.monotonic())

    def turn(self) -> float:
        """Go round once.

        Returns:
            When the next turn is due if the bell does not ring before, monotonic seconds.

        Raises:
            WrongCredentials, ConfigurationError, DuplicateMember: this agent cannot run as it is configured.
        """
        now = self._clocks.monotonic()
        self._lag.began(now)
        self._beat()
        due = [now + LONGEST_WAIT, self._collector.renew(now), self._group.membership.read(now)]
        facts = self._collector.collect(now, self._draining)
        assessment = self._assessment = judge(facts, self._assessment)
        intent = self._intent = decide(facts, assessment, self._group.announcer, self._intent)
        due += self._act(facts, assessment, intent)
        self._lag.planned(min(due))
        return min(due)

    # -- act

    def _act(self, facts: Facts, assessment: Assessment, intent: Intent) -> list[float]:
        """Do what is intended.

        Returns:
            When time alone can change something, monotonic seconds.
        """
        verdict, view = assessment.verdict, facts.group.view
        if facts.config is not self._config:
            self._config = facts.config
            self._adopt(facts.config)
        problems = view.problems if view is not None else ()
        event_id = own_id(self._group.announcer.instance, self._turns + 1, EventKind.STATE)
        sentence = self._status_log.tell(verdict, intent.decision, problems, event_id=event_id)
        self._mode.tend(
            facts.now,
            verdict,
            view,
            formed=facts.broker.observation.formation.formed,
            current=facts.current,
            node=facts.broker.observation.node,
            stood_still=self._lag.last,
        )
        self._broker.housekeeping.tend(facts.now)
        self._group.operations.turn(
            facts.now,
            view if facts.current else None,
            intent.me,
            intent.switchover,
            leads=intent.leads,
            left_drained=intent.left_drained,
            failback=facts.config.failback.after,
        )
        due = [self._tell_group(facts, intent)]
        if self._group.membership.been_registered:
            due.append(self._tend_broker(facts, assessment))
            due.append(self._mode.watch_peers(facts.now, self._sighting(facts, assessment)))
        self._put_up(facts, assessment, intent, sentence)
        return [moment for moment in due if moment is not None]

    def _tell_group(self, facts: Facts, intent: Intent) -> float | None:
        """Write what is new about us, and give up or take the lead."""
        now, membership = facts.now, self._group.membership
        if intent.decision.action is Action.RESIGN and membership.registered:
            # One transaction says why and gives up the lead. What is then done to the broker comes after it.
            if not membership.resign(intent.record):
                return now + TROUBLED_PAUSE
            LOG.info("resigned", extra=_lost(facts.group.view))
            return now
        if self._group.backend.connected and self._group.backend.session_id:
            membership.announce(now, intent.record)
        if intent.decision.action is Action.CAMPAIGN:
            alarmed = intent.me.status is MemberStatus.ALARMED
            self._campaign.run(intent.decision, facts.policy, alarmed=alarmed)
            return None
        idle = self._campaign.rest(now, intent.record.state, facts.policy)
        return _earliest(idle, intent.decision.wait_until)

    def _tend_broker(self, facts: Facts, assessment: Assessment) -> float | None:
        if self.draining:
            return None
        verdict, node = assessment.verdict, facts.broker.observation.node
        silent = node is not None and node.state is NodeState.SILENT
        return self._broker.supervisor.act(
            facts.now,
            facts.broker.connection,
            verdict.status,
            verdict.since if verdict.well else None,
            paused=self._group.membership.paused,
            cut_off=self._mode.cut_off,
            dropped=self._mode.dropped,
            mute_since=self._mode.mute_since,
            can_form=self._group.backend.connected,
            node=node,
            strained=strained(
                facts,
                late=self._lag.late(facts.now),
                starved=(silent or verdict.status is MemberStatus.HUNG) and self._starved(),
            ),
        )

    def _sighting(self, facts: Facts, assessment: Assessment) -> PeerSighting:
        """The others as they are known now, after what this turn has written."""
        session, membership = self._group.backend, self._group.membership
        status, node = assessment.verdict.status, facts.broker.observation.node
        view = membership.view
        return PeerSighting(
            node=facts.config.broker.node,
            cluster=None if view is None or view.cluster is None else view.cluster.record,
            view=view,
            broker_up=status.serves or status is MemberStatus.DRAINING,
            registered=membership.registered,
            connected_since=session.connected_since if session.connected else None,
            lease_valid=session.lease.valid(self._clocks.monotonic()),
            minority=status is MemberStatus.MINORITY,
            starts_again=node is not None and node.state in STARTS_AGAIN,
        )

    def _put_up(self, facts: Facts, assessment: Assessment, intent: Intent, sentence: str) -> None:
        now, config, status = self._clocks.monotonic(), facts.config, assessment.verdict.status
        self._turns += 1
        self._board.put_up(
            AgentState(
                group=config.group,
                name=config.name,
                instance=self._group.announcer.instance,
                node=config.broker.node,
                turn=self._turns,
                at=now,
                took=now - facts.now,
                verdict=assessment.verdict,
                since=assessment.since,
                decision=intent.decision,
                sentence=sentence,
                session=self._collector.session_facts(now),
                connection=facts.broker.connection,
                broker=self._broker.supervisor.facts,
                view=self._group.membership.view,
                serves=self._mode.admits(status, leads=True),
                serves_beside=self._mode.admits(status, leads=False),
                lead=self._campaign.lead,
            )
        )


def _earliest(*moments: float | None) -> float | None:
    return min((moment for moment in moments if moment is not None), default=None)


def _lost(view: GroupView | None) -> dict[str, object]:
    """What the line about the end of our lead is about."""
    if view is None or view.leader is None:
        return {}
    epoch = view.leader.epoch
    lost = lead_lost(epoch, view.incarnation)
    return {"epoch": epoch, "event": EventKind.LEADER_LOST.value, "event_id": lost}

"""The loop's first stage: the lease is kept, the broker and the group are looked at. It begins nothing."""

from rabbitkeeper.agent.group.effective_config import EffectiveConfig
from rabbitkeeper.agent.health.judge import HealthPolicy
from rabbitkeeper.agent.loop.mode import Mode
from rabbitkeeper.agent.loop.sides import BrokerSide, GroupSide
from rabbitkeeper.agent.loop.turn import BrokerSideFacts, Facts, GroupFacts, policy_of
from rabbitkeeper.agent.model.observation import Observation
from rabbitkeeper.agent.model.state import SessionFacts
from rabbitkeeper.agent.runtime.clocks import Clocks
from rabbitkeeper.coordinator.model.records import utcnow

RENEWALS = 6  # of the lease, in one session timeout
_IMPATIENT_RENEWAL = 0.1  # seconds between renewals while there is no lease


class Collector:
    """Belongs to the loop's thread.

    Args:
        settings: the agent's.
        broker, group, mode, clocks: the loop's.
    """

    def __init__(
        self, settings: EffectiveConfig, broker: BrokerSide, group: GroupSide, mode: Mode, clocks: Clocks
    ) -> None:
        self._settings = settings
        self._broker = broker
        self._group = group
        self._mode = mode
        self._clocks = clocks
        self._renewed_at = 0.0

    def renew(self, now: float) -> float:
        """Renew the lease if it is time to.

        Returns:
            When it will be time again, monotonic seconds.
        """
        session = self._group.backend
        period = session.timeout / RENEWALS if session.lease.valid(now) else _IMPATIENT_RENEWAL
        if now >= self._renewed_at + period:
            session.renew()
            self._renewed_at = now
        return self._renewed_at + period

    def collect(self, now: float, draining: str | None) -> Facts:
        """All that this turn is founded on, from the group as it was read last.

        Args:
            now: seconds, monotonic.
            draining: why this member is being taken out of service, if it is.

        Raises:
            ConfigurationError: the broker cannot ever be started the way it is configured.
        """
        config, membership = self._settings.effective, self._group.membership
        policy = policy_of(config)
        broker = self._look(now, policy, draining)  # first: what has become of a campaign is seen there
        return Facts(
            now=now,
            wall=self._clocks.wall(),
            at=utcnow(),
            config=config,
            policy=policy,
            broker=broker,
            group=GroupFacts(
                view=membership.view,
                session=self.session_facts(now),
                vacant_since=membership.vacant_since,
                switchover_since=membership.switchover_since,
                taken=self._settings.taken,
                campaign_failed_at=self._mode.lead_check.failed_at,
                holds_lead=self._mode.holds_lead(now),
                held_until=membership.held_until,
                told_of_others=self._mode.told_of_others,
            ),
        )

    def session_facts(self, now: float) -> SessionFacts:
        """The session as it is at this moment."""
        session = self._group.backend
        return SessionFacts(
            id=session.session_id,
            connected_since=session.connected_since,
            disconnected_since=session.disconnected_since,
            lease_until=now + session.lease.remaining(now),
            timeout=session.timeout,
            registered=self._group.membership.registered,
            established_at=session.established_at,
        )

    def _look(self, now: float, policy: HealthPolicy, draining: str | None) -> BrokerSideFacts:
        supervisor, housekeeping = self._broker.supervisor, self._broker.housekeeping
        connection = self._broker.probe.facts
        process, formation = supervisor.look(now, connection)
        observation = Observation(
            watched_since=supervisor.watched_since,
            connection=connection.since(supervisor.watched_since),
            process=process,
            formation=formation,
            been_up=supervisor.been_up,
            let_in=connection.let_in_since(supervisor.watched_since),
            draining=draining or self._group.operations.draining,
        )
        view, blocked = self._group.membership.view, connection.blocked is not None
        observation = self._mode.observe(now, observation, policy, view, blocked=blocked)
        return BrokerSideFacts(
            connection=connection,
            observation=housekeeping.observe(now, observation, policy, supervisor.process),
            load=housekeeping.load,
            busy=supervisor.busy,
            settled_since=supervisor.settled_since,
        )

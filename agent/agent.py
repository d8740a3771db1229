"""One run of an agent: from the first connection to the orderly end.

Nothing is written anywhere before ZooKeeper has answered and, for a broker that may run already, before its
credentials have been tried; and nothing is done to the broker before the member's name is ours.
"""

import logging
import time
from collections.abc import Callable

from rabbitkeeper.agent.broker.supervisor import BrokerSupervisor
from rabbitkeeper.agent.config import AgentConfig
from rabbitkeeper.agent.group.membership import Membership
from rabbitkeeper.agent.health.probe import Probe
from rabbitkeeper.agent.loop.housekeeping import Housekeeping
from rabbitkeeper.agent.loop.loop import Loop, wrong_credentials
from rabbitkeeper.agent.model.errors import WrongCredentials
from rabbitkeeper.agent.model.observation import ConnectFailure
from rabbitkeeper.agent.notify.sinks import Sinks
from rabbitkeeper.agent.runtime.wakeup import Wakeup
from rabbitkeeper.agent.runtime.watchdog import Watchdog
from rabbitkeeper.coordinator.backend.interface import Backend
from rabbitkeeper.coordinator.model.errors import ConfigurationError, RabbitKeeperError
from rabbitkeeper.coordinator.model.records import GroupConfig, MemberStatus
from rabbitkeeper.coordinator.store.store import Store

LOG = logging.getLogger("rabbitkeeper.agent")

DRAIN_TIMEOUT = 5.0  # seconds to wait for another leader when this one is stopped
MOVE_TIME = 1.0  # seconds that clients have to move to it before the broker is stopped
BROKER_STOP_TIMEOUT = 30.0  # seconds for an orderly end of the broker
MOST_FAILURES = 10  # turns in a row that may fail


class Agent:
    """Runs the loop until it is told to stop. Made by ``assembly.py``.

    Args:
        config: the agent's.
        session: not started yet.
        store: of the group, through ``session``.
        membership, broker, loop: see there.
        probe, housekeeping: not started yet.
        wakeup: the loop's bell.
        watchdog: not started yet.
        sinks: who is told of the agent's states; not started yet.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        config: AgentConfig,
        *,
        session: Backend,
        store: Store,
        membership: Membership,
        broker: BrokerSupervisor,
        loop: Loop,
        probe: Probe,
        housekeeping: Housekeeping,
        wakeup: Wakeup,
        watchdog: Watchdog,
        sinks: Sinks,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._session = session
        self._store = store
        self._membership = membership
        self._broker = broker
        self._loop = loop
        self._probe = probe
        self._housekeeping = housekeeping
        self._wakeup = wakeup
        self._watchdog = watchdog
        self._sinks = sinks
        self._clock = clock
        self._stopping: str | None = None

    def stop(self, reason: str = "the agent is being stopped") -> None:
        """Have :meth:`run` end in an orderly way. From any thread, or a signal handler; returns at once."""
        self._stopping = reason
        self._wakeup.ring()

    def run(self) -> None:
        """Run until :meth:`stop`.

        Raises:
            ZooKeeperUnreachable: no ZooKeeper answered at the start.
            WrongCredentials: the broker refuses the credentials.
            DuplicateMember: another agent has this name.
            ConfigurationError: something else is wrong with the settings.
        """
        zookeeper = self._config.zookeeper
        self._sinks.start()  # first: a port that is taken must not leave a trace in ZooKeeper
        try:
            self._session.start(timeout=zookeeper.connect_timeout)
            self._probe.start()
            self._housekeeping.start()
            if self._config.broker.driver != "process":
                self._try_credentials()
            self._store.create_group(GroupConfig())
            self._watchdog.start()
            try:
                self._go_round()
                self._give_up_lead()
            finally:
                self._watchdog.stop()
            self._membership.leave()
            self._stop_broker()
        except ConfigurationError:
            self._membership.leave()
            if self._broker.started_here:
                self._broker.stop(BROKER_STOP_TIMEOUT)
            raise
        finally:
            self._sinks.stop()
            self._housekeeping.stop()
            self._probe.stop()
            self._session.close()

    # -- inside

    def _try_credentials(self) -> None:
        """Let the probe's first attempt end: wrong credentials must not leave a trace in ZooKeeper."""
        deadline = self._clock() + self._config.health.connect_timeout + 1.0
        while self._clock() < deadline:
            facts = self._probe.facts
            if facts.failure is ConnectFailure.DENIED:
                raise wrong_credentials(self._config, facts)
            if facts.up_since is not None or facts.failures:
                return
            self._session.renew()
            self._wakeup.wait(0.1)

    def _go_round(self) -> None:
        failures = 0
        while self._stopping is None:
            try:
                self._loop.wait(self._loop.turn())
                failures = 0
            except RabbitKeeperError:
                raise
            except Exception:
                # The lease is renewed in each turn, so one that goes on failing loses the lead as well.
                failures += 1
                if failures >= MOST_FAILURES:
                    raise
                LOG.exception("a turn of the loop has failed")
                self._wakeup.wait(0.1)

    def _give_up_lead(self) -> None:
        """Give up the lead, and wait until another leads and clients have had time to move."""
        LOG.info("stopping: %s", self._stopping)
        self._sinks.stopping()
        led = self._leads()
        self._loop.drain(self._stopping or "")
        deadline = self._clock() + DRAIN_TIMEOUT
        while self._clock() < deadline:
            due = self._loop.turn()
            if not self._session.connected or not led or self._succeeded():
                break
            self._loop.wait(min(due, deadline))
        if led and self._succeeded() and self._stops_broker():
            until = self._clock() + MOVE_TIME
            while self._clock() < until:
                self._loop.wait(min(self._loop.turn(), until))

    def _leads(self) -> bool:
        view = self._membership.view
        leader = view.leader if view is not None else None
        return leader is not None and leader.owner == self._session.session_id

    def _succeeded(self) -> bool:
        """Whether another leads, or nobody else could."""
        view = self._membership.view
        if view is None:
            return False
        if view.leader is not None:
            return view.leader.owner != self._session.session_id or view.pause is not None
        others = (member.record for name, member in view.members.items() if name != self._config.name)
        return not any(other.state is MemberStatus.RUNNING and not other.tags.no_failover for other in others)

    def _stops_broker(self) -> bool:
        return self._config.broker.stop_with_agent

    def _stop_broker(self) -> None:
        if self._stops_broker():
            self._broker.stop(BROKER_STOP_TIMEOUT)


__all__ = ["Agent", "WrongCredentials"]

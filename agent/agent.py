"""One run of an agent: from the first connection to the orderly end.

Nothing is written anywhere before ZooKeeper has answered and, for a broker that may run already, before its
credentials have been tried; and nothing is done to the broker before the member's name is ours.
"""

import logging

from rabbitkeeper.agent.config import AgentConfig
from rabbitkeeper.agent.group.await_zookeeper import await_zookeeper
from rabbitkeeper.agent.group.entry import enter_group
from rabbitkeeper.agent.loop.loop import Loop
from rabbitkeeper.agent.loop.reload import Reload
from rabbitkeeper.agent.loop.sides import BrokerSide, GroupSide
from rabbitkeeper.agent.loop.turn import worked_before, wrong_credentials
from rabbitkeeper.agent.model.errors import AddressTaken
from rabbitkeeper.agent.model.observation import ConnectFailure
from rabbitkeeper.agent.notify.sinks import Sinks
from rabbitkeeper.agent.runtime.clocks import Clocks
from rabbitkeeper.agent.runtime.wakeup import Wakeup
from rabbitkeeper.agent.runtime.watchdog import Watchdog
from rabbitkeeper.coordinator.model.errors import ConfigurationError, RabbitKeeperError, RecordError
from rabbitkeeper.coordinator.model.view import ClusterView

LOG = logging.getLogger("rabbitkeeper.agent")

DRAIN_TIMEOUT = 5.0  # seconds to wait for another leader when this one is stopped
MOVE_TIME = 1.0  # seconds that clients have to move to it before the broker is stopped
BROKER_STOP_TIMEOUT = 30.0  # seconds for an orderly end of the broker
PORT_RETRY = 1.0  # seconds until a port that is taken is tried again
RETRY = 0.2  # seconds until ZooKeeper is asked again while there is no connection to it
MOST_FAILURES = 10  # turns in a row that may fail


class Agent:
    """Runs the loop until it is told to stop. Made by ``assembly.py``.

    Args:
        config: the agent's.
        broker: our broker's side; nothing of it is started yet.
        group: the group's side; the backend is not started yet.
        loop: over both.
        wakeup: the loop's bell.
        watchdog: not started yet.
        sinks: who is told of the agent's states; not started yet.
        clocks: monotonic and wall.
        reload: takes what is new in the agent's file; not started yet. None: nobody does.
    """

    def __init__(
        self,
        config: AgentConfig,
        broker: BrokerSide,
        group: GroupSide,
        loop: Loop,
        *,
        wakeup: Wakeup,
        watchdog: Watchdog,
        sinks: Sinks,
        clocks: Clocks | None = None,
        reload: Reload | None = None,
    ) -> None:
        self._config = config
        self._backend = group.backend
        self._store = group.store
        self._membership = group.membership
        self._supervisor = broker.supervisor
        self._probe = broker.probe
        self._housekeeping = broker.housekeeping
        self._loop = loop
        self._wakeup = wakeup
        self._watchdog = watchdog
        self._sinks = sinks
        self._clock = (clocks or Clocks()).monotonic
        self._reload = reload
        self._stopping: str | None = None

    def reload(self) -> None:
        """Take passwords, certificates and ZooKeeper's address anew. From any thread, or a signal handler."""
        if self._reload is not None:
            self._reload.ask()

    def stop(self, reason: str = "the agent is being stopped") -> None:
        """Have :meth:`run` end in an orderly way. From any thread, or a signal handler; returns at once."""
        self._stopping = reason
        self._wakeup.ring()

    def run(self) -> None:
        """Run until :meth:`stop`.

        Raises:
            WrongCredentials: the broker refuses the credentials.
            DuplicateMember: another agent has this name.
            ConfigurationError: something else is wrong with the settings.
        """
        zookeeper = self._config.zookeeper
        if not self._takes_its_port():  # first: one that is taken must not leave a trace in ZooKeeper
            return
        self._sinks.start()
        try:
            for exposure in self._config.exposures:
                LOG.warning("%s", exposure)
            if self._reload is not None:
                self._reload.start()
            await_zookeeper(
                lambda: self._backend.start(timeout=zookeeper.connect_timeout),
                stopped=self._is_stopping,
                tell=self._sinks.wait_for,
            )
            if self._stopping is not None:
                return
            self._probe.start()
            self._housekeeping.start()
            if not self._config.broker.made_by_agent and self._denied() and not self._worked_before():
                raise wrong_credentials(self._config, self._probe.facts)
            await_zookeeper(
                lambda: enter_group(self._config, self._backend, self._membership),
                stopped=self._is_stopping,
                pause=lambda: self._wakeup.wait(RETRY),
                tell=self._sinks.wait_for,
            )
            if self._is_stopping():
                return
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
            if self._supervisor.started_here:
                self._supervisor.stop(BROKER_STOP_TIMEOUT)
            raise
        finally:
            if self._reload is not None:
                self._reload.stop()
            self._sinks.stop()
            self._housekeeping.stop()
            self._probe.stop()
            self._backend.close()

    # -- inside

    def _takes_its_port(self) -> bool:
        """Wait for it; False if told to stop. An earlier run may have it, or the host no address yet."""
        told = False
        while self._stopping is None:
            try:
                self._sinks.listen()
            except AddressTaken as error:
                if not told:
                    LOG.warning("waiting for the address of the HTTP API; nothing is done before: %s", error)
                told = True
                self._wakeup.wait(PORT_RETRY)
            else:
                return True
        return False

    def _is_stopping(self) -> bool:
        return self._stopping is not None

    def _worked_before(self) -> bool:
        """Whether the broker has let an earlier run in; it may be its authentication backend that is down."""
        found: list[ClusterView | None] = []
        try:
            await_zookeeper(
                lambda: found.append(self._store.cluster()),
                stopped=self._is_stopping,
                pause=lambda: self._wakeup.wait(RETRY),
                tell=self._sinks.wait_for,
            )
        except RecordError:
            return True  # somebody has been here, and it is for the loop to say
        if not found:
            return True  # told to stop before there was an answer
        return found[0] is not None and worked_before(self._config, found[0].record.nodes)

    def _denied(self) -> bool:
        """Let the probe's first attempt end: wrong credentials must not leave a trace in ZooKeeper."""
        deadline = self._clock() + self._config.health.connect_timeout + 1.0
        while self._clock() < deadline:
            facts = self._probe.facts
            if facts.up_since is not None or facts.failures or facts.failure is not None:
                return facts.failure is ConnectFailure.DENIED
            self._backend.renew()
            self._wakeup.wait(0.1)
        return False

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
        view = self._membership.view
        led = view is not None and view.leads(self._backend.session_id)
        self._loop.drain(self._stopping or "")
        deadline = self._clock() + DRAIN_TIMEOUT
        while self._clock() < deadline:
            due = self._loop.turn()
            if not self._backend.connected or not led or self._succeeded():
                break
            self._loop.wait(min(due, deadline))
        if led and self._succeeded() and self._stops_broker():
            until = self._clock() + MOVE_TIME
            while self._clock() < until:
                self._loop.wait(min(self._loop.turn(), until))

    def _succeeded(self) -> bool:
        """Whether another leads, or nobody else could."""
        view = self._membership.view
        if view is None:
            return False
        if view.leader is not None:
            return not view.leads(self._backend.session_id) or view.pause is not None
        others = (member.record for name, member in view.members.items() if name != self._config.name)
        return not any(other.state.may_lead and not other.tags.no_failover for other in others)

    def _stops_broker(self) -> bool:
        return self._config.broker.stop_with_agent

    def _stop_broker(self) -> None:
        if self._stops_broker():
            self._supervisor.stop(BROKER_STOP_TIMEOUT)

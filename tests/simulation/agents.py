"""Whole agents in virtual time: the real loop, membership, formation and supervisor on a simulated world.

Simulated are ZooKeeper and the session (the coordinator's tests'), the broker with its driver and tools, and
the probe. What the loop would do beside itself is done a moment later.
"""

from collections.abc import Callable
from typing import Protocol

from support.jobs import Done, Later

from rabbitkeeper.agent.broker.last_question import LastQuestion
from rabbitkeeper.agent.broker.stillness import Activity, Stillness
from rabbitkeeper.agent.broker.supervisor import BrokerSupervisor
from rabbitkeeper.agent.cluster.agreement import Agreement
from rabbitkeeper.agent.cluster.canary_repair import CanaryRepair
from rabbitkeeper.agent.cluster.formation import Identity, form
from rabbitkeeper.agent.cluster.formation_plan import cluster_seen
from rabbitkeeper.agent.cluster.peer_monitor import PeerMonitor
from rabbitkeeper.agent.cluster.record_keeper import RecordKeeper
from rabbitkeeper.agent.cluster.replicas import Replicas, give
from rabbitkeeper.agent.config import AgentConfig
from rabbitkeeper.agent.group.announcement import Announcer
from rabbitkeeper.agent.group.disruption import Disruption
from rabbitkeeper.agent.group.effective_config import EffectiveConfig
from rabbitkeeper.agent.group.membership import Membership
from rabbitkeeper.agent.group.operation_runner import OperationRunner
from rabbitkeeper.agent.health.inspection import Inspection
from rabbitkeeper.agent.health.majority_check import MajorityCheck
from rabbitkeeper.agent.loop.cluster_mode import ClusterHousekeeping, ClusterMode
from rabbitkeeper.agent.loop.housekeeping import Housekeeping
from rabbitkeeper.agent.loop.loop import Loop
from rabbitkeeper.agent.loop.sides import BrokerSide, GroupSide
from rabbitkeeper.agent.model.state import Board
from rabbitkeeper.agent.runtime.clocks import Clocks
from rabbitkeeper.agent.runtime.wakeup import Wakeup
from rabbitkeeper.coordinator.model.errors import DuplicateMember, RabbitKeeperError, ZooKeeperUnreachable
from rabbitkeeper.coordinator.store.store import Store
from simulation.backend import SimulatedBackend
from simulation.rabbitmq.broker import BrokerGroup, SimulatedBroker
from simulation.rabbitmq.probe import SimulatedProbe
from simulation.rabbitmq.tools import SimulatedTools
from simulation.world import Crashed, World
from simulation.zookeeper import SimulatedZooKeeper

GROUP = "orders"


class AgentGroup(BrokerGroup, Protocol):
    """What an agent lives in."""

    world: World
    zookeeper: SimulatedZooKeeper


class SimulatedAgent:
    """One member: an agent, one run after the other, and its broker."""

    def __init__(self, group: AgentGroup, config: AgentConfig) -> None:
        self.group = group
        self.world = group.world
        self.config = config
        self.name = config.name
        self.broker = SimulatedBroker(self.world, group, config.name, config.broker.node)
        self.tools = SimulatedTools(self.broker)
        self.runs = 0
        self.starved = False  # its host is, by the kernel's word
        self.stopped: int | None = None  # its broker's process that has been stopped, as by SIGSTOP
        self.refused: RabbitKeeperError | None = None
        self.start()

    def start(self) -> None:
        self.runs += 1
        self._busy = False
        self._planned = 0.0
        run = self.runs
        bell = Wakeup()

        def ring() -> None:
            bell.ring()
            self._soon(run)

        def ring_group() -> None:
            bell.ring_group()
            self._soon(run)

        clock = self._clock
        self.session = SimulatedBackend(self.group.zookeeper, self.config.zookeeper.asked_timeout, ring_group)
        session = self.session
        self.board = board = Board(clock)

        board.lease = lambda: (session.session_id, clock() + session.lease.remaining(clock()))

        def answered() -> None:
            board.beat()
            session.renew()

        store = Store(session, GROUP, clock=clock, answered=answered)
        announcer = Announcer(self.config, instance=f"{self.name}-{run}")
        draw = self.world.chance.random
        self.settings = EffectiveConfig(self.config)
        self.settings.run()
        self.membership = Membership(
            session,
            store,
            announcer,
            bell,
            board.beat,
            clock=clock,
            wall=clock,
            draw=draw,
            launch=self._history,
            see=self.settings.see,
        )
        self.broker.probe_anew(ring)
        mode = ClusterMode(
            self.name,
            self._form,
            MajorityCheck(self.broker.confirm_majority, draw),
            ClusterHousekeeping(
                Replicas(self._grow, wake=ring, launch=self._beside),
                CanaryRepair(self.name, "rabbitkeeper", self.tools, wake=ring, launch=self._beside),
                RecordKeeper(
                    self.name,
                    self.tools.node,
                    self.tools,
                    lambda: Store(session, GROUP, clock=clock),
                    wake=ring,
                    launch=self._beside,
                ),
                Agreement(self.tools.node, self.tools, session_timeout=6.0, wake=ring, launch=self._beside),
                PeerMonitor(self.tools, wake=ring, clock=clock, launch=self._beside),
            ),
        )
        disruption = Disruption(
            self.name, lambda: Store(session, GROUP, clock=clock), wake=ring, clock=clock, launch=self._later
        )
        stillness = Stillness(self._activity, clock=clock)
        self.supervisor = BrokerSupervisor(
            self.broker,
            mode.join,
            boot_timeout=60.0,
            restart_limit=10,
            wake=ring,
            clock=clock,
            draw=draw,
            launch=self._step,
            permit=LastQuestion(
                self.tools.says,
                lambda: self.broker.facts,
                disruption,
                stillness.lasts,
                self.tools.finds_vhosts,
            ),
            stillness=stillness,
        )
        operations = OperationRunner(
            self.name,
            store=lambda: Store(session, GROUP),
            ctl=self.tools,
            broker=self.supervisor,
            disruption=disruption,
            wake=ring_group,
            clock=clock,
            launch=self._later,
        )
        inspection = Inspection(self.tools.node_state, wake=ring, launch=self._beside)
        self.loop = Loop(
            self.settings,
            BrokerSide(
                self.supervisor,
                SimulatedProbe(self.broker),
                Housekeeping(inspection, node=self.config.broker.node),
            ),
            GroupSide(session, store, self.membership, operations, announcer),
            mode,
            wakeup=bell,
            board=board,
            beat=board.beat,
            clocks=Clocks(clock, clock),
            starved=lambda: self.starved,
        )
        self._created = False
        self._soon(run)

    @property
    def sentence(self) -> str:
        """What came of the last turn."""
        return self.board.state.sentence if self.board.state is not None else "has not come round yet"

    @property
    def alive(self) -> bool:
        return self.session.alive

    @property
    def acts_as_leader(self) -> bool:
        """Whether it says, when it is asked now, that it leads for certain."""
        state = self.board.current
        return self.alive and state is not None and not self.session.suspended and state.leads(self.world.now)

    def crash(self) -> None:
        """SIGKILL the agent; its broker goes on."""
        self.session.alive = False
        self.broker.wake = lambda: None

    def stop_broker(self) -> None:
        """As by SIGSTOP: its process does not run at all, until it is told to go on."""
        self.broker.hang()
        self.stopped = self.broker.pid

    def _activity(self, pid: int) -> Activity:
        stands = self.broker.hung and self.stopped == pid
        return {"1": "" if stands else f"{self.world.now}"}

    def _clock(self) -> float:
        return self.world.now

    def _history(self, name: str, work: Callable[[], object], wake: Callable[[], None]) -> Done:
        """The history's entry, some time later, as by a thread of its own."""
        run = self.runs

        def write() -> None:
            if self.alive and run == self.runs and self.session.connected:
                Done(name, work, wake)

        self.world.after(0.01, write)
        return Done("planned", lambda: None, lambda: None)

    def _later(self, name: str, work: Callable[[], object], wake: Callable[[], None]) -> Later:
        return self._launched(work, wake, 0.01)

    def _beside(self, name: str, work: Callable[[], object], wake: Callable[[], None]) -> Later:
        return self._launched(work, wake, 1.0)

    def _step(self, name: str, work: Callable[[], object], wake: Callable[[], None]) -> Later:
        return self._launched(work, wake, 1.0 if name == "kill" else 0.001)  # one asks first

    def _launched(self, work: Callable[[], object], wake: Callable[[], None], takes: float) -> Later:
        run, session = self.runs, self.session
        return Later(
            self.world,
            lambda: self.alive and run == self.runs,
            work,
            wake,
            takes=takes,
            suspended=lambda: session.suspended,
        )

    def _form(self) -> None:
        if not self.session.connected:
            raise ZooKeeperUnreachable("not connected")
        amqp = self.config.broker.amqp
        store = Store(self.session, GROUP, clock=self._clock)
        form(
            store,
            self.tools,
            Identity(self.name, self.config.broker.node, self.config.broker.vhost, (amqp.username, "x")),
            logged_in=lambda: self.broker.facts.up_since is not None,
            seen=lambda: cluster_seen(store.snapshot(watch=False), self.name),
            lock_timeout=0.0,  # who waits inside a call holds up everybody else here
        )

    def _grow(self) -> str | None:
        self.group.note(self.name, "looks at replicas")
        store = Store(self.session, GROUP, clock=self._clock)
        return give(self.tools, self.config.replicas.target, lambda: store.formation_lock(self.name, 0.0))

    def _soon(self, run: int) -> None:
        self.world.after(0.001, lambda: self._turn(run))

    def _turn(self, run: int) -> None:
        if run != self.runs or not self.alive or self.refused:
            return
        if self._busy or self.session.suspended:
            if self.session.suspended:
                self.world.after(0.1, lambda: self._turn(run))
            else:
                self._again = True
            return
        self._busy, self._again = True, False
        try:
            due = self._go_round()
        except Crashed:
            return
        except DuplicateMember as error:
            self.refused = error
            return
        finally:
            self._busy = False
        if self._again:
            due = self.world.now
        if due < self._planned or self._planned <= self.world.now:
            self._planned = max(due, self.world.now + 0.001)
            self.world.at(self._planned, lambda: self._turn(run))

    def _go_round(self) -> float:
        if not self._created and self.session.connected:
            try:
                self.membership.create_group()
                self._created = True
            except ZooKeeperUnreachable:
                return self.world.now + 0.1
        return self.loop.turn()

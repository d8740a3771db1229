"""Whole agents in virtual time: the real loop, membership and broker supervisor on a simulated world.

Simulated are ZooKeeper and the session (the coordinator's tests'), the broker with its driver, and the
probe. What the loop would do beside itself is done on the spot.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from support.jobs import Done, Later

from rabbitkeeper.agent.broker.supervisor import BrokerSupervisor
from rabbitkeeper.agent.cluster.canary_repair import CanaryRepair
from rabbitkeeper.agent.cluster.peer_monitor import PeerMonitor
from rabbitkeeper.agent.cluster.replicas import Replicas
from rabbitkeeper.agent.config import AgentConfig
from rabbitkeeper.agent.group.announcement import Announcer
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
from rabbitkeeper.coordinator.model.paths import GroupPaths
from rabbitkeeper.coordinator.model.records import GroupConfig, LeaderRecord, MemberRecord
from rabbitkeeper.coordinator.store.store import Store
from simulation.backend import SimulatedBackend
from simulation.managed_broker import SimulatedBroker, SimulatedProbe
from simulation.world import Crashed, World
from simulation.zookeeper import SimulatedZooKeeper, Tree

GROUP = "orders"


class SimulatedAgent:
    """One member: an agent, one run after the other, and its broker."""

    def __init__(self, group: "Group", config: AgentConfig) -> None:
        self.group = group
        self.world = group.world
        self.config = config
        self.name = config.name
        self.broker = SimulatedBroker(self.world, group, config.name)
        self.runs = 0
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
        store = Store(session, GROUP, clock=clock)
        announcer = Announcer(self.config, instance=f"{self.name}-{run}")
        draw = self.world.chance.random
        self.settings = EffectiveConfig(self.config)
        self.settings.run()
        self.membership = Membership(
            session,
            store,
            announcer,
            bell,
            lambda: None,
            clock=clock,
            draw=draw,
            launch=self._history,
            see=self.settings.see,
        )
        self.broker.probe_anew(ring)
        mode = ClusterMode(
            self._form,
            MajorityCheck(self.broker.confirm_majority, draw),
            ClusterHousekeeping(
                Replicas(lambda: self.group.note(self.name, "grow"), wake=ring, launch=self._beside),
                CanaryRepair(self.name, "rabbitkeeper", self.broker, wake=ring, launch=self._beside),
                PeerMonitor(self.broker, wake=ring, clock=clock, launch=self._beside),
            ),
        )
        self.supervisor = BrokerSupervisor(
            self.broker,
            mode.join,
            boot_timeout=60.0,
            restart_limit=10,
            wake=ring,
            clock=clock,
            draw=draw,
            launch=Done,
        )
        operations = OperationRunner(
            self.name,
            store=lambda: Store(session, GROUP),
            ctl=self.broker,
            broker=self.supervisor,
            wake=ring_group,
            clock=clock,
            launch=self._later,
        )
        inspection = Inspection(self.broker.node_state, wake=ring, launch=self._beside)
        self.board = Board(clock)
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
            board=self.board,
            beat=lambda: None,
            clocks=Clocks(clock, clock),
        )
        self._created = False
        self._store = store
        self._soon(run)

    @property
    def sentence(self) -> str:
        """What came of the last turn."""
        return self.board.state.sentence if self.board.state is not None else "has not come round yet"

    @property
    def alive(self) -> bool:
        return self.session.alive

    def crash(self) -> None:
        """SIGKILL the agent; its broker goes on."""
        self.session.alive = False
        self.broker.wake = lambda: None

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
        run = self.runs
        return Later(
            self.world, lambda: self.alive and run == self.runs and self.session.connected, work, wake
        )

    def _beside(self, name: str, work: Callable[[], object], wake: Callable[[], None]) -> Later:
        run = self.runs
        return Later(self.world, lambda: self.alive and run == self.runs, work, wake, takes=1.0)

    def _form(self) -> None:
        if not self.session.connected:
            raise ZooKeeperUnreachable("not connected")

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
                self._store.create_group(GroupConfig())
                self._created = True
            except ZooKeeperUnreachable:
                return self.world.now + 0.1
        return self.loop.turn()


@dataclass
class Group:
    """Three members and a ZooKeeper; what must hold at every moment is checked at every moment."""

    seed: int
    names: tuple[str, ...] = ("node1", "node2", "node3")
    agents: dict[str, SimulatedAgent] = field(default_factory=dict)
    leaderless: bool = False  # the canary's queue has no leader, and never will
    replicas: tuple[str, ...] = ("node1", "node2", "node3")  # who has one of the canary's queue
    log: list[tuple[float, str, str]] = field(default_factory=list)  # time, member, what

    def __post_init__(self) -> None:
        self.world = World(self.seed)
        self.zookeeper = SimulatedZooKeeper(self.world)
        self.zookeeper.on_commit = self._committed
        self.paths = GroupPaths(GROUP)
        self.epochs: list[int] = []
        for name in self.names:
            self.agents[name] = SimulatedAgent(self, _config(name))

    def note(self, member: str, what: str) -> None:
        self.log.append((self.world.now, member, what))

    def noted(self, member: str, what: str, since: float = 0.0) -> list[float]:
        return [at for at, who, said in self.log if who == member and said == what and at >= since]

    @property
    def brokers(self) -> Mapping[str, SimulatedBroker]:
        return {agent.config.broker.node: agent.broker for agent in self.agents.values()}

    @property
    def replica_nodes(self) -> frozenset[str]:
        return frozenset(self.agents[name].config.broker.node for name in self.replicas)

    @property
    def majority(self) -> bool:
        well = sum(agent.broker.well and not agent.broker.cut_off for agent in self.agents.values())
        return well > len(self.agents) // 2 and not self.leaderless

    @property
    def leader(self) -> str | None:
        znode = self.zookeeper.tree.get(self.paths.leader)
        return None if znode is None else LeaderRecord.from_bytes(znode.path, znode.data).name

    def member(self, name: str) -> MemberRecord | None:
        znode = self.zookeeper.tree.get(self.paths.member(name))
        return None if znode is None else MemberRecord.from_bytes(znode.path, znode.data)

    @property
    def whole(self) -> bool:
        """Everybody is registered and runs, and one leads."""
        members = [self.member(name) for name in self.names]
        return self.leader is not None and all(member and member.state == "running" for member in members)

    def run(self, seconds: float) -> None:
        self.world.advance(self.world.now + seconds)

    def run_until(self, condition: Callable[[], bool], within: float) -> float | None:
        """Seconds until it was so; None if it never was."""
        started = self.world.now
        while not condition():
            if self.world.now - started >= within:
                return None
            self.run(0.01)
        return self.world.now - started

    def heal(self) -> None:
        if not self.zookeeper.up:
            self.zookeeper.start()
        for agent in self.agents.values():
            agent.broker.cut_off = False
            agent.session.link = True
            agent.session.suspended = False
            agent.session.trouble = 0.0
            if not agent.alive:
                agent.start()

    def _committed(self, before: Tree, after: Tree, session: int) -> None:
        old, new = before.get(self.paths.leader), after.get(self.paths.leader)
        if old == new:
            return
        if old is not None and session:
            assert session == old.owner, "a lead was ended by another session than its own"
            self.note(LeaderRecord.from_bytes(old.path, old.data).name, "resigned")
        if new is not None:
            name = LeaderRecord.from_bytes(new.path, new.data).name
            assert not self.epochs or new.created > self.epochs[-1], "the epoch went back"
            self.epochs.append(new.created)
            now = self.world.now
            assert self.noted(name, "confirmed", now - 10.0), f"{name} leads without a confirmed canary"
            self.note(name, "leads")


def _config(name: str) -> AgentConfig:
    return AgentConfig.model_validate(
        {
            "group": GROUP,
            "name": name,
            "zookeeper": {"hosts": "simulated:2181"},
            "broker": {
                "driver": "process",
                "node": f"rabbit@{name}",
                "amqp": {"host": name, "username": "rk", "password": "x"},
                "process": {"directory": "/nowhere"},
            },
        },
        context={"directory": Path("/nowhere")},
    )

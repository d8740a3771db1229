"""Whole agents in virtual time: the real loop, membership and broker supervisor on a simulated world.

Simulated are ZooKeeper and the session (the coordinator's tests'), the broker with its driver, and the
probe. What the loop would do beside itself is done on the spot.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from support.jobs import Done, Later

from rabbitkeeper.agent.broker.drivers import BrokerProcess
from rabbitkeeper.agent.broker.supervisor import BrokerSupervisor
from rabbitkeeper.agent.cluster.canary_repair import CanaryRepair
from rabbitkeeper.agent.cluster.draining import DrainRefused
from rabbitkeeper.agent.cluster.peer_monitor import PeerMonitor
from rabbitkeeper.agent.cluster.replicas import Replicas
from rabbitkeeper.agent.config import AgentConfig
from rabbitkeeper.agent.group.announcement import Announcer
from rabbitkeeper.agent.group.effective_config import EffectiveConfig
from rabbitkeeper.agent.group.membership import Membership
from rabbitkeeper.agent.group.operation_runner import OperationRunner
from rabbitkeeper.agent.health.inspection import Inspection
from rabbitkeeper.agent.health.majority_check import MajorityCheck
from rabbitkeeper.agent.health.majority_request import MajorityRequest, MajorityResult
from rabbitkeeper.agent.loop.cluster_mode import ClusterHousekeeping, ClusterMode
from rabbitkeeper.agent.loop.housekeeping import Housekeeping
from rabbitkeeper.agent.loop.loop import Loop
from rabbitkeeper.agent.loop.sides import BrokerSide, GroupSide
from rabbitkeeper.agent.model.observation import ConnectFailure, ConnectionFacts, NodeState
from rabbitkeeper.agent.model.state import Board
from rabbitkeeper.agent.rabbitmq.ctl import ClusterStatus, DroppedNodes
from rabbitkeeper.agent.runtime.clocks import Clocks
from rabbitkeeper.agent.runtime.wakeup import Wakeup
from rabbitkeeper.coordinator.model.errors import DuplicateMember, RabbitKeeperError, ZooKeeperUnreachable
from rabbitkeeper.coordinator.model.paths import GroupPaths
from rabbitkeeper.coordinator.model.records import GroupConfig, LeaderRecord, MemberRecord
from rabbitkeeper.coordinator.store.store import Store
from simulation.backend import SimulatedBackend
from simulation.world import Crashed, World
from simulation.zookeeper import SimulatedZooKeeper, Tree

GROUP = "orders"
BOOT = 8.0  # seconds
HUNG_AFTER = 2.0
REFUSED = ConnectionFacts(failures=1, failure=ConnectFailure.REFUSED, error="cannot connect")


class SimulatedBroker:
    """A broker's process, its driver, and the probe's view of it. It outlives its agent."""

    name = "process"
    can_start = True
    can_stop = True
    can_kill = True

    def __init__(self, world: World, watch: "Group", member: str) -> None:
        self.world = world
        self.group = watch
        self.member = member
        self.pid: int | None = None
        self.hung = False
        self.up = False
        self.refuses: NodeState | None = None
        self.cut_off = False  # from the other brokers, not from clients or ZooKeeper
        self.facts = REFUSED
        self.exited: str | None = None
        self.critical: str | None = None
        self.broken = False  # ends a second after its start
        self.wake: Callable[[], None] = lambda: None
        self._pids = 0

    @property
    def well(self) -> bool:
        return self.up and not self.hung and self.refuses is None

    # the driver

    def observe(self) -> BrokerProcess:
        identity = None if self.pid is None else str(self.pid)
        return BrokerProcess(self.pid is not None, self.pid, None, self.exited, identity=identity)

    def start(self, reason: str = "") -> None:
        assert self.pid is None, "a second broker was started"
        self._pids += 1
        self.pid = pid = self._pids
        self.hung = False
        if self.broken:
            self.world.after(1.0, lambda: self.die("ended with exit code 1"))
        self.world.after(BOOT, lambda: self._booted(pid))

    def kill(self, reason: str = "") -> None:
        self.group.note(self.member, "kill")
        assert self.hung or self.refuses is NodeState.STOPPED, "a broker that answers was killed"
        self.die("was ended by SIGKILL")

    def stop(self, timeout: float) -> None:
        self.group.note(self.member, "stop")
        self.die("ended with exit code 0")

    # its tools

    def quorum_critical(self) -> str | None:
        if self.critical is not None:  # asked again and again by a real clock; here it fails at once
            why = f"queues would lose their majority without this broker: {self.critical}"
            raise DrainRefused(why)
        return None

    def await_quorum_plus_one(self, timeout: float) -> None:
        pass

    def claim_drain(self) -> None:
        self.group.note(self.member, "claim")

    def drain(self) -> None:
        self.group.note(self.member, "drain")
        self.refuse(NodeState.DRAINED_BY_AGENT)

    def revive(self) -> None:
        self.group.note(self.member, "revive")
        self.refuse(None)

    def drop_silent_nodes(self, nodes: Iterable[str], *, timeout: float) -> DroppedNodes:
        brokers = {agent.config.broker.node: agent.broker for agent in self.group.agents.values()}
        silent = {node for node in nodes if brokers[node].hung}
        for node in silent:
            self.group.note(self.member, f"drop {node}")
        return DroppedNodes(frozenset(silent), frozenset(node for node in nodes if brokers[node].well))

    def node_state(self) -> NodeState:
        return self.refuses or NodeState.SERVING

    def cluster_status(self) -> ClusterStatus:
        brokers = {agent.config.broker.node: agent.broker for agent in self.group.agents.values()}
        seen = {node for node, broker in brokers.items() if broker.well and not broker.cut_off}
        return ClusterStatus(frozenset(brokers), frozenset(seen), {})

    def replicas(self, vhost: str, queue: str) -> frozenset[str] | None:
        return frozenset(self.group.agents[name].config.broker.node for name in self.group.replicas)

    @property
    def node(self) -> str:
        return self.group.agents[self.member].config.broker.node

    def shrink(self, gone: str) -> None:
        self.group.note(self.member, f"shrink {gone}")

    def forget_cluster_node(self, other: str, *, node: str) -> None:
        self.group.note(self.member, f"forget {other}")

    def delete_queue(self, vhost: str, queue: str) -> None:
        self.group.note(self.member, f"delete {queue}")
        self.group.leaderless = False  # the next canary declares it

    # what happens to it

    def refuse(self, state: NodeState | None) -> None:
        """Close the listeners, the broker's process going on; None: open them again."""
        self.refuses, pid = state, self.pid
        if state is not None:
            self.world.after(0.03, lambda: self._see(REFUSED))
        elif pid is not None:
            self.world.after(0.3, lambda: self._connected(pid))

    def die(self, how: str = "was ended by SIGKILL") -> None:
        if self.pid is not None:
            self.pid, self.up, self.hung, self.refuses = None, False, False, None
            self.exited = how
            self.world.after(0.03, lambda: self._see(REFUSED))

    def hang(self) -> None:
        if self.pid is None or self.hung:
            return
        self.hung = True
        pid = self.pid

        def notice() -> None:
            if self.pid == pid and self.hung:
                self._see(replace(self.facts, silent=HUNG_AFTER))

        self.world.after(HUNG_AFTER + self.world.chance.uniform(0, 0.5), notice)

    def probe_anew(self, wake: Callable[[], None]) -> None:
        """A new agent's probe looks at it."""
        self.wake = wake
        self.facts = REFUSED
        if self.well and self.pid is not None:
            pid = self.pid
            self.world.after(0.02, lambda: self._connected(pid))

    def _booted(self, pid: int) -> None:
        if self.pid == pid and not self.hung:  # a hung one would boot on when it goes on, which it does not
            self.up = True
            self._connected(pid)

    def _connected(self, pid: int) -> None:
        if self.pid != pid or self.hung:
            return
        now = self.world.now
        self._see(ConnectionFacts(up_since=now, answered_at=now, version="3.10.8"))
        self.world.after(0.01, lambda: self._confirmed(pid))

    def _confirmed(self, pid: int) -> None:
        if self.pid == pid and not self.hung:
            self._see(replace(self.facts, confirmed=1))

    def _see(self, facts: ConnectionFacts) -> None:
        if self.up or facts.up_since is None:
            self.facts = facts
            self.wake()

    # the probe

    def confirm_majority(self, timeout: float) -> MajorityRequest:
        request = MajorityRequest(lambda request: None)
        started = self.world.now

        def ask() -> None:
            passed = self.world.now - started
            if self.well and self.group.majority and not self.cut_off:
                self.group.note(self.member, "confirmed")
                request.result = MajorityResult(True, passed, 1)
                self.wake()
            elif passed >= timeout:
                request.result = MajorityResult(False, passed, 1, "no majority answers")
                self.wake()
            else:
                self.world.after(0.1, ask)

        self.world.after(self.world.chance.uniform(0.005, 0.3), ask)
        return request


@dataclass(frozen=True)
class SimulatedProbe:
    """What a probe says of a simulated broker. It needs no thread."""

    broker: SimulatedBroker

    @property
    def facts(self) -> ConnectionFacts:
        return self.broker.facts

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass


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

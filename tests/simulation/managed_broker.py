"""A broker as its agent sees it, in virtual time: its process and driver, its tools, and the probe's view."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from rabbitkeeper.agent.broker.drivers import BrokerProcess
from rabbitkeeper.agent.cluster.draining import DrainRefused
from rabbitkeeper.agent.health.majority_request import MajorityRequest, MajorityResult
from rabbitkeeper.agent.model.observation import ConnectFailure, ConnectionFacts, NodeState
from rabbitkeeper.agent.rabbitmq.ctl import ClusterStatus, DroppedNodes
from simulation.world import World

BOOT = 8.0  # seconds
HUNG_AFTER = 2.0
REFUSED = ConnectionFacts(failures=1, failure=ConnectFailure.REFUSED, error="cannot connect")


class BrokerGroup(Protocol):
    """The brokers of a group, and what is noted of them."""

    leaderless: bool

    @property
    def brokers(self) -> "Mapping[str, SimulatedBroker]":
        """By node."""

    @property
    def replica_nodes(self) -> frozenset[str]:
        """Who has a replica of the canary's queue."""

    @property
    def majority(self) -> bool: ...

    def note(self, member: str, what: str) -> None: ...


class SimulatedBroker:
    """A broker's process, its driver, and the probe's view of it. It outlives its agent."""

    name = "process"
    can_start = True
    can_stop = True
    can_kill = True

    def __init__(self, world: World, group: BrokerGroup, member: str) -> None:
        self.world = world
        self.group = group
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
        brokers = self.group.brokers
        silent = {node for node in nodes if brokers[node].hung}
        for node in silent:
            self.group.note(self.member, f"drop {node}")
        return DroppedNodes(frozenset(silent), frozenset(node for node in nodes if brokers[node].well))

    def node_state(self) -> NodeState:
        return self.refuses or NodeState.SERVING

    def cluster_status(self) -> ClusterStatus:
        brokers = self.group.brokers
        seen = {node for node, broker in brokers.items() if broker.well and not broker.cut_off}
        return ClusterStatus(frozenset(brokers), frozenset(seen), {})

    def replicas(self, vhost: str, queue: str) -> frozenset[str] | None:
        return self.group.replica_nodes

    @property
    def node(self) -> str:
        return f"rabbit@{self.member}"

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

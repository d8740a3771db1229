"""A group of whole agents, their brokers and a ZooKeeper, in virtual time, and what must hold of it.

What must hold at every moment is checked at the moment that it could break: one leader, epochs that grow, a
broker that is taken down only when it may be. ``group_history.py`` has what is asked of longer stretches of
time.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from rabbitkeeper.agent.config import AgentConfig
from rabbitkeeper.agent.model.observation import NodeState
from rabbitkeeper.coordinator.backend.node import Node
from rabbitkeeper.coordinator.model.errors import RecordError
from rabbitkeeper.coordinator.model.paths import GroupPaths
from rabbitkeeper.coordinator.model.records import (
    ClusterRecord,
    IncarnationRecord,
    LeaderRecord,
    MemberRecord,
)
from simulation.agents import GROUP, SimulatedAgent
from simulation.rabbitmq.broker import SimulatedBroker
from simulation.rabbitmq.cluster import SimulatedCluster
from simulation.world import World
from simulation.zookeeper import SimulatedZooKeeper, Tree

__all__ = ["GROUP", "Group"]

LONGEST_ABSENCE = 120.0  # seconds in which a broker that was taken down should be back
NOTICED = 3.0  # seconds until all know of a broker that it is not well, if its agent can tell them
TURN = 25.0  # the same, in which no other is taken down that serves nobody
STUCK = 55.0  # seconds after which a broker that stands still is no part of anything


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
        self.rabbits = SimulatedCluster(self.world)
        self.paths = GroupPaths(GROUP)
        self.taken: dict[str, float] = {}  # members whose broker an agent has taken down, and when
        self.epochs: list[tuple[int, int]] = []  # with the incarnation before each
        self.deleted: dict[int, float] = {}  # epochs that were ended by hand, and when
        for name in self.names:
            self.agents[name] = SimulatedAgent(self, _config(name))

    @property
    def pids(self) -> dict[str, int | None]:
        """Of the members' brokers."""
        return {name: agent.broker.pid for name, agent in self.agents.items()}

    def note(self, member: str, what: str) -> None:
        self.log.append((self.world.now, member, what))

    def noted(self, member: str, what: str, since: float = 0.0) -> list[float]:
        return [at for at, who, said in self.log if who == member and said == what and at >= since]

    def note_who_is_back(self) -> None:
        """Of whom agents had taken down, those that were well since: what ails them now is another thing."""
        self.taken = {
            name: at
            for name, at in self.taken.items()
            if not self.agents[name].broker.well and self.world.now < at + LONGEST_ABSENCE
        }

    def taken_down(self, member: str, how: str) -> None:
        """An agent ends or drains its broker: one at a time, and never part of a majority that is needed."""
        now, broker = self.world.now, self.agents[member].broker
        self.note_who_is_back()
        self.taken.pop(member, None)
        stuck = broker.hung_since is not None and now >= broker.hung_since + STUCK
        useless = stuck or not broker.listens
        others = [name for name, at in self.taken.items() if not (useless and now >= at + TURN)]
        assert not others, f"{member} is taken down ({how}) while {', '.join(others)} is: {self.log}"
        self.taken[member] = now
        pauses = broker.refuses is NodeState.PAUSED and not (broker.hung or broker.stuck)
        assert not pauses, f"{member} has paused itself, and is taken down ({how}): {self.log}"
        if not broker.up or broker.refuses is not None:
            return
        if how == "kill":
            odd = broker.node in self.rabbits.disagreement() or self.rabbits.expelled(broker.node)
            ill = broker.feeding.starves or broker.mute or broker.denies or broker.serves_nobody
            assert broker.hung or broker.busy or odd or ill, f"{member} answers, and is killed: {self.log}"
        rest = [self.rabbits.nodes[node] for node in broker.disk.members - {broker.node}]
        well = sum(self._seems_well(other) for other in rest)
        assert stuck or 2 * well > len(rest) or not rest, (
            f"{member} is taken down ({how}), and of {len(rest)} others only {well} are well: {self.log}"
        )

    def _seems_well(self, broker: SimulatedBroker) -> bool:
        """Whether others take a broker for well: it is, was a moment ago, or its agent cannot tell them."""
        agent, member = self.agents[broker.member], self.member(broker.member)
        silent = not (agent.alive and agent.session.connected and agent.session.link)
        silent = silent or agent.session.suspended or agent.session.read_only
        znode = self.zookeeper.tree.get(self.paths.member(broker.member))
        silent = silent or (znode is not None and znode.owner != agent.session.session_id)  # of its last run
        unknown = silent and member is not None and member.state.serves
        return broker.well or self.world.now < broker.ill_since + NOTICED or unknown

    @property
    def replica_nodes(self) -> frozenset[str]:
        return frozenset(self.agents[name].config.broker.node for name in self.replicas)

    @property
    def leader(self) -> str | None:
        znode = self.zookeeper.tree.get(self.paths.leader)
        return None if znode is None else _leader_in(znode)

    @property
    def recorded(self) -> dict[str, str]:
        """The nodes of the cluster's record, and whose they are."""
        znode = self.zookeeper.tree.get(self.paths.cluster)
        if znode is None:
            return {}
        nodes = ClusterRecord.from_bytes(znode.path, znode.data).nodes
        return {node: its.member for node, its in nodes.items()}

    def member(self, name: str) -> MemberRecord | None:
        znode = self.zookeeper.tree.get(self.paths.member(name))
        with suppress(RecordError):
            return None if znode is None else MemberRecord.from_bytes(znode.path, znode.data)
        return None

    @property
    def whole(self) -> bool:
        """Everybody is registered and runs, and one of them leads, in the session that it has."""
        znode = self.zookeeper.tree.get(self.paths.leader)
        owners = {agent.session.session_id for agent in self.agents.values() if agent.alive}
        if znode is None or znode.owner not in owners:
            return False
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
        self.rabbits.heal()
        for agent in self.agents.values():
            agent.session.link = True
            agent.session.suspended = False
            agent.session.trouble = agent.session.slow = 0.0
            agent.session.read_only = False
            if not agent.alive:
                agent.start()

    def _committed(self, before: Tree, after: Tree, session: int) -> None:
        old, new = before.get(self.paths.leader), after.get(self.paths.leader)
        if old == new:
            return
        if old is not None and new is None and old.owner in self.zookeeper.sessions and not session:
            self.deleted[old.created] = self.world.now
        if old is not None and session:
            assert session == old.owner, "a lead was ended by another session than its own"
            self.note(_leader_in(old) or "?", "resigned" if new is None else "mends the leader's record")
        if new is not None and (old is None or old.created != new.created):
            name = _leader_in(new) or "?"
            epoch = _incarnation_in(after.get(self.paths.incarnation)), new.created
            assert not self.epochs or epoch > self.epochs[-1], "the epoch went back"
            self.epochs.append(epoch)
            now = self.world.now
            alarmed = self.rabbits.alarm_at(self.agents[name].broker.node) is not None
            assert alarmed or self.noted(name, "confirmed", now - 10.0), (
                f"{name} leads without a confirmed canary"
            )
            self.note(name, "leads")


def _incarnation_in(znode: Node | None) -> int:
    return 0 if znode is None else IncarnationRecord.from_bytes(znode.path, znode.data).number


def _leader_in(znode: Node) -> str | None:
    """The name in it, as far as it can be read."""
    with suppress(RecordError):
        return LeaderRecord.from_bytes(znode.path, znode.data).name
    return None


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

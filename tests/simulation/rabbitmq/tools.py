"""The command-line tools of a simulated broker: what agents ask of it and have it do."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from rabbitkeeper.agent.cluster.draining import DrainRefused
from rabbitkeeper.agent.model.observation import NodeState
from rabbitkeeper.agent.rabbitmq.ctl import (
    ClusterStatus,
    Inconsistent,
    NodeNotRunning,
    RabbitmqCtlError,
)
from rabbitkeeper.agent.rabbitmq.definitions import Definitions
from rabbitkeeper.agent.rabbitmq.quorum_queues import QuorumQueue
from rabbitkeeper.agent.rabbitmq.silent_nodes import SECOND_SAMPLE, DroppedNodes
from simulation.rabbitmq.broker import SimulatedBroker


class SimulatedTools:
    """See :class:`~rabbitkeeper.agent.rabbitmq.ctl.RabbitmqCtl`, whose methods these are; nothing takes time.

    Attributes:
        critical: queues that would lose their majority without this broker, in RabbitMQ's words.
        slow: they do not find an answer in time, as on a host that is starved.
        vhosts: they are found, whatever the broker refuses: it is the agent's password that is another one.
    """

    def __init__(self, broker: SimulatedBroker) -> None:
        self.broker = broker
        self.group = broker.group
        self.rabbits = broker.group.rabbits
        self.answered = False  # the node has, once
        self.critical: str | None = None
        self.slow = False
        self.vhosts = False

    @property
    def node(self) -> str:
        return self.broker.node

    def _reached(self) -> SimulatedBroker:
        if self.slow or self.broker.mute or not self.rabbits.answers(self.node):
            raise NodeNotRunning(f"{self.node} does not answer the tools")
        self.answered = True
        return self.broker

    # what it says

    def says(self, timeout: float) -> NodeState | None:
        found = self.rabbits.answers(self.node) and not (self.slow or self.broker.mute)
        return self.broker.state if found else None

    def finds_vhosts(self, timeout: float) -> bool | None:
        if self.says(timeout) is None:
            return None
        return self.vhosts or not self.broker.denies

    def node_state(self) -> NodeState:
        return self._reached().state

    def answers(self, node: str) -> bool:
        if node == self.node and self.broker.mute:
            return False
        self._reached()
        return self.rabbits.reaches(self.node, node)

    def cluster_status(self, *, node: str | None = None) -> ClusterStatus:
        broker = self._reached()
        running = {broker.node, *broker.peers} if broker.up else set()
        return ClusterStatus(
            frozenset(broker.disk.members),
            frozenset(running),
            dict.fromkeys(running, "3.10.8"),
            frozenset(broker.partitions),
        )

    def definitions(self) -> Definitions:
        return {kind: list(entries) for kind, entries in self._reached().disk.definitions.items()}

    def replicas(self, vhost: str, queue: str) -> frozenset[str] | None:
        return self.group.replica_nodes

    def quorum_critical(self) -> str | None:
        if self.critical is not None:  # asked again and again by a real clock; here it fails at once
            why = f"queues would lose their majority without this broker: {self.critical}"
            raise DrainRefused(why)
        return None

    def await_quorum_plus_one(self, timeout: float) -> None:
        pass

    # what it does

    def import_definitions(self, definitions: Definitions) -> None:
        for kind, entries in definitions.items():
            self._reached().disk.definitions[kind] += [dict(entry) for entry in entries]

    @contextmanager
    def app_stopped(self) -> Iterator[None]:
        broker = self._reached()
        pid = broker.pid
        self.rabbits.ended(broker.node)
        yield
        if broker.pid == pid:
            self.rabbits.joined(broker.node)

    def join_cluster(self, other: str) -> None:
        broker = self._reached()
        if not self.rabbits.reaches(self.node, other) or not self.rabbits.serves(other):
            raise NodeNotRunning(f"{other} does not answer {self.node}")
        theirs = self.rabbits.nodes[other].disk
        if self.node in theirs.members and theirs is not broker.disk:
            raise Inconsistent(f"{other} thinks that {self.node} is a member")
        assert not broker.disk.definitions["queues"], f"{self.node} joins, and its queues are lost"
        theirs.members.add(self.node)
        broker.disk = theirs
        self.group.note(broker.member, f"join {other}")

    def forget_cluster_node(self, other: str, *, node: str) -> None:
        self.group.note(self.broker.member, f"forget {other}")
        self._reached().disk.members.discard(other)

    def quorum_queues(self) -> tuple[QuorumQueue, ...]:
        return tuple(self._reached().disk.queues.values())

    def grow(self, member: str, vhost: str, queues: Sequence[str]) -> None:
        disk = self._reached().disk
        self.group.note(self.broker.member, "grow")
        for name in queues:
            queue = disk.queues[vhost, name]
            disk.queues[vhost, name] = replace(queue, members=queue.members | {member})

    def shrink(self, gone: str) -> None:
        self.group.note(self.broker.member, f"shrink {gone}")

    def delete_queue(self, vhost: str, queue: str) -> None:
        self.group.note(self.broker.member, f"delete {queue}")
        self.group.leaderless = False  # the next canary declares it

    def claim_drain(self) -> None:
        self._reached()
        self.group.note(self.broker.member, "claim")

    def drain(self) -> None:
        broker = self._reached()
        self.group.note(broker.member, "drain")
        self.group.taken_down(broker.member, "drain")
        broker.refuse(NodeState.DRAINED_BY_AGENT)

    def revive(self) -> None:
        broker = self._reached()
        self.group.note(broker.member, "revive")
        if broker.refuses in (NodeState.DRAINED, NodeState.DRAINED_BY_AGENT):
            broker.refuse(None)

    def drop_silent_nodes(self, nodes: Iterable[str], *, timeout: float) -> DroppedNodes:
        broker = self._reached()
        if not broker.up:
            raise RabbitmqCtlError(f"{self.node} is not running")
        asked = [node for node in nodes if node in broker.peers]
        once = [node for node in asked if not self.rabbits.reaches(self.node, node)]
        if once:
            world = broker.world
            world.advance(world.now + SECOND_SAMPLE)
        silent = frozenset(
            node for node in once if node in broker.peers and not self.rabbits.reaches(self.node, node)
        )
        there = [peer for peer in broker.peers - silent if self.rabbits.reaches(self.node, peer)]
        heard = frozenset(node for node in silent if any(self.rabbits.reaches(one, node) for one in there))
        for node in sorted(silent - heard):
            self.group.note(broker.member, f"drop {node}")
            self.rabbits.drop(self.node, node)
        return DroppedNodes(silent - heard, frozenset(asked) - silent, heard)

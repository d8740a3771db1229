"""RabbitMQ's cluster in virtual time: who is connected to whom, who has dropped whom, and what comes of it.

It is the truth that agents look at: the network between the nodes, Erlang's connections over it, and what
``pause_minority`` makes of a lost one. What nodes have on their disks is shared by those of one cluster.

What is modelled after measurements (RabbitMQ 3.10.8): a node that ends says so; one that is silent is waited
for for a minute, unless another node drops it. A node that has been dropped and has not noticed either pauses
and comes back in order, or goes on by itself, split from the others, though everybody reaches it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from rabbitkeeper.agent.model.observation import NodeState
from rabbitkeeper.agent.rabbitmq.quorum_queues import QuorumQueue
from simulation.world import World

if TYPE_CHECKING:
    from simulation.rabbitmq.broker import SimulatedBroker

NET_TICK = 60.0  # seconds after which a silent node counts as gone
LOOK = 1.0  # seconds between a paused node's looks
TABLES = 270.0  # seconds for which a node that starts after its pause waits for tables: 9 times 30
SPLIT = 0.4  # of the nodes that were dropped and go on: those that stay split
SILENCE = 0.2  # of those: the ones that answer no client, though their Erlang machine does

_numbers = count(1)


@dataclass
class Database:
    """What a cluster holds on its disks, shared by its members."""

    members: set[str]
    definitions: dict[str, list[dict[str, object]]] = field(
        default_factory=lambda: {
            "vhosts": [{"name": "/"}],
            "users": [{"name": "rk"}],
            "permissions": [],
            "queues": [],
        }
    )
    number: int = field(default_factory=lambda: next(_numbers))
    queues: dict[tuple[str, str], QuorumQueue] = field(default_factory=dict)  # by vhost and name


class SimulatedCluster:
    """All nodes there are, be they one cluster or not.

    Attributes:
        splits: of the nodes that were dropped and go on: those that stay split, from 0 to 1.
        silences: of those: the ones that answer no client, from 0 to 1.
        pauses: a node without a majority pauses, as with Mnesia; with Khepri it goes on.
        retries: seconds for which a node tries to reach each one that is gone before it pauses, and answers
            nobody: 7 from RabbitMQ 3.12 on.
        sticks: of the nodes that see a majority again after a pause: those that wait for their tables in
            vain, from 0 to 1.
        overlooks: of the nodes that are back: those that one other does not count, from 0 to 1.
        stop: seconds that a pause takes until the listeners are closed, at least and at most.
        rejoin: seconds from seeing a majority again until a paused node serves.
        blind: for how many of these its database has not found the others' yet.
        tells: one that starts after its pause apart from the others can tell that it does.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.nodes: dict[str, SimulatedBroker] = {}
        self.cuts: set[frozenset[str]] = set()
        self.splits = SPLIT
        self.silences = SILENCE
        self._dropped: set[tuple[str, str]] = set()  # who has dropped whom, who lived on
        self._droppers: dict[str, set[str]] = {}  # who has dropped a node since it has started
        self.pauses = True
        self.retries = 0.0
        self.sticks = 0.0
        self.overlooks = 0.0
        self.stop = (0.1, 4.0)
        self.rejoin = 3.0
        self.blind = 0.0
        self.tells = True

    # -- the network

    def reaches(self, one: str, other: str) -> bool:
        """Whether both nodes run, and their packets arrive."""
        return (
            self.answers(one) and self.answers(other) and frozenset((one, other)) not in self.cuts
        ) or one == other

    def answers(self, node: str) -> bool:
        broker = self.nodes.get(node)
        return broker is not None and broker.pid is not None and not broker.hung

    def cut(self, one: str, others: Iterable[str]) -> None:
        """No packet passes between the node and the others."""
        for other in others:
            pair = frozenset((one, other))
            if pair not in self.cuts and len(pair) > 1:
                self.cuts.add(pair)
                self.world.after(NET_TICK, partial(self._ticked, one, other))

    def heal(self, one: str | None = None) -> None:
        """Packets pass again, everywhere or from and to one node."""
        healed = {pair for pair in self.cuts if one is None or one in pair}
        self.cuts -= healed
        for pair in sorted(map(sorted, healed)):
            self.meet(*pair)

    # -- Erlang's connections

    def serves(self, node: str) -> bool:
        """Whether its part of the cluster's queues takes part: it is up, and has not paused or stopped."""
        broker = self.nodes.get(node)
        return (
            broker is not None and broker.up and broker.refuses not in (NodeState.PAUSED, NodeState.STOPPED)
        )

    def joined(self, node: str) -> None:
        """It has booted, or comes back after a pause: whom it reaches counts it in, and it them."""
        broker = self.nodes[node]
        broker.peers, broker.partitions = set(), set()
        self._forget_drops(node)
        self._droppers.pop(node, None)
        for other in sorted(broker.disk.members - {node}):
            if self.serves(other) and self.reaches(node, other) and self.nodes[other].disk is broker.disk:
                broker.peers.add(other)
                self.nodes[other].peers.add(node)
                self.nodes[other].partitions.discard(node)
        if self.overlooks and broker.peers and self.world.chance.random() < self.overlooks:
            self.forget(self.world.chance.choice(sorted(broker.peers)), node)
        self.tell_alarms()

    def ended(self, node: str) -> None:
        """Its process has ended, and says so to whom it reaches; a cut-off one is missed by the tick."""
        for other in self.nodes.values():
            if frozenset((node, other.node)) not in self.cuts:
                self._lost(other.node, node)
                other.partitions.discard(node)
        self._forget_drops(node)
        self.nodes[node].peers, self.nodes[node].partitions = set(), set()
        self.tell_alarms()

    def drop(self, node: str, other: str) -> None:
        """``node`` disconnects from ``other``, which learns of it when it can."""
        self._lost(node, other)
        if self.reaches(node, other):
            self.meet(node, other)

    def meet(self, one: str, other: str) -> None:
        """Packets pass between them, or one of them goes on: what each believes of the other comes out."""
        first, second = self.nodes[one], self.nodes[other]
        if not self.reaches(one, other) or not (self.serves(one) and self.serves(other)):
            return
        if first.disk is not second.disk:
            return
        knows, known = other in first.peers, one in second.peers
        if knows and known:
            return
        if not self.pauses or not {(one, other), (other, one)} & self._dropped:
            first.peers.add(other)
            second.peers.add(one)
            return
        # The one that was dropped finds that out now; if both have dropped each other, the smaller side.
        weak = first if knows or (not known and len(first.peers) <= len(second.peers)) else second
        strong = second if weak is first else first
        weak.peers.discard(strong.node)
        if weak.split is None:
            weak.split = self.world.chance.random() < self.splits
            self.world.after(0.2, lambda: self._notice_drop(weak))

    def _forget_drops(self, node: str) -> None:
        self._dropped = {pair for pair in self._dropped if node not in pair}

    def _notice_drop(self, broker: "SimulatedBroker") -> None:
        split, broker.split = broker.split, None
        if not broker.up or broker.hung:
            return
        away = {
            other
            for other in broker.disk.members - {broker.node}
            if self.serves(other) and broker.node not in self.nodes[other].peers
        }
        if not away:
            return
        broker.peers -= away
        if split:
            broker.partitions |= away
            if self.world.chance.random() < self.silences:
                broker.serves_nobody = True
                broker.retry(True)  # until it is started again
            return
        self._review(broker.node, always=True)

    def forget(self, node: str, other: str) -> None:
        """``node`` does not count ``other``, which counts it, until one of them has started again."""
        self.nodes[node].peers.discard(other)

    def resumed(self, node: str) -> None:
        """It goes on after it had stood still."""
        for other in sorted(self.nodes[node].disk.members - {node}):
            if other in self.nodes:
                self.meet(node, other)
        self._review(node)

    def stood_still(self, node: str) -> None:
        """It answers nobody; who has waited for a minute drops it."""
        broker = self.nodes[node]
        since = broker.hung_since

        def tick() -> None:
            if broker.hung and broker.hung_since == since:
                for other in sorted(broker.disk.members - {node}):
                    if self.serves(other):
                        self._lost(other, node)

        self.world.after(NET_TICK, tick)

    def _ticked(self, one: str, other: str) -> None:
        if frozenset((one, other)) in self.cuts:
            self._lost(one, other)
            self._lost(other, one)

    def _lost(self, node: str, other: str) -> None:
        broker = self.nodes.get(node)
        if broker is not None and other in broker.peers:
            broker.peers.discard(other)
            if self.serves(other):
                self._dropped.add((node, other))
                self._droppers.setdefault(other, set()).add(node)
            self.world.after(0.05, lambda: self._review(node))

    # -- pause_minority

    def _review(self, node: str, *, always: bool = False) -> None:
        broker = self.nodes[node]
        members = broker.disk.members
        if not always and (broker.split is not None or broker.partitions):
            return  # it is being seen what becomes of it, or it takes the others for back
        if not self.pauses or not self.serves(node) or broker.hung or len(members) <= 2:
            return
        if always or 2 * (1 + len(broker.peers)) <= len(members):
            if broker.retries:
                return
            pid, tries = broker.pid, self.retries * len(members - {node} - broker.peers)
            if tries:
                broker.retry(True)
            self.world.after(tries, lambda: self._pause(node, pid))

    def _pause(self, node: str, pid: int | None) -> None:
        """It has tried in vain to reach others, or found them again and is split from them."""
        broker = self.nodes[node]
        if broker.pid != pid or not self.serves(node):
            return
        if broker.hung:
            self.world.after(LOOK, lambda: self._pause(node, pid))
        elif broker.partitions or 2 * (1 + len(broker.peers)) > len(broker.disk.members):
            broker.retry(False)
        else:
            stop = broker.pause()
            self.world.after(max(LOOK, stop), lambda: self._look(node, pid))

    def _look(self, node: str, pid: int | None) -> None:
        broker = self.nodes[node]
        if broker.pid != pid or broker.refuses is not NodeState.PAUSED:
            return
        there = sum(self.reaches(node, other) for other in broker.disk.members)
        if 2 * there > len(broker.disk.members) and not broker.hung:
            broker.resumes = True
            if self.sticks and self.world.chance.random() < self.sticks:
                broker.stuck = True
                self.world.after(TABLES, lambda: broker.give_up_resuming(pid))
                return
            broker.apart_until = self.world.now + self.blind
            self.world.after(self.rejoin, lambda: broker.go_on_serving(pid))
            self.world.after(self.rejoin + LOOK, lambda: self._look(node, pid))
        else:
            broker.resumes = False
            self.world.after(LOOK, lambda: self._look(node, pid))

    # -- what all nodes see

    def tell_alarms(self) -> None:
        """An alarm blocks publishers on every node that is connected to the one that has it."""
        for broker in self.nodes.values():
            broker.notice_alarm()

    def alarm_at(self, node: str) -> str | None:
        """What blocks publishers there."""
        broker = self.nodes[node]
        for other in (node, *sorted(broker.peers)):
            if self.nodes[other].alarm is not None and self.serves(other):
                return self.nodes[other].alarm
        return None

    def confirms(self, node: str) -> bool:
        """Whether a majority of the node's cluster takes a message from it."""
        broker = self.nodes[node]
        there = [other for other in broker.disk.members if self.serves(other) and self.reaches(node, other)]
        return self.serves(node) and 2 * len(there) > len(broker.disk.members)

    def expelled(self, node: str) -> bool:
        """Whether a majority has dropped it since it has started, whatever has become of them."""
        droppers = self._droppers.get(node, set())
        return 2 * len(droppers) > len(self.nodes[node].disk.members)

    def disagreement(self) -> frozenset[str]:
        """Nodes that serve and are not counted by others that serve, or do not count them."""
        serving = [node for node in self.nodes if self.serves(node) and not self.nodes[node].hung]
        return frozenset(
            node
            for node in serving
            for other in self.nodes[node].disk.members & set(serving) - {node}
            if self.reaches(node, other)
            and (node not in self.nodes[other].peers or other not in self.nodes[node].peers)
        )

"""Which nodes may be gone without a word: one pure decision.

A process that dies says so: its kernel closes its connections. A node whose cable is cut, or whose host has
stopped, says nothing, and the other brokers wait for it for ``net_ticktime``, 60 s by default: until then
declares and new connections hang on *all* of them. ZooKeeper knows sooner: the session of the node's agent
ends within its timeout.

A session that has ended proves nothing of the broker: an agent alone can die, or be restarted. And to
disconnect a node that lives does harm: RabbitMQ takes it for a partial partition, and under
``pause_minority`` the node that disconnected pauses until *all* nodes are back. So a suspicion is only a
reason to ask; it is our own broker that is asked whether the node still answers it, and a node that does is
left alone (``peer_monitor.py``).

Suspects are:

- those of members whose znode is gone, and those that their own agent says hang, for so long that it should
  have ended them, if it could;
- those of members that say that no majority confirms anything there, or that they cannot be reached, as one
  that RabbitMQ has paused: their network to the others may be cut while their agents' to ZooKeeper is not;
- all others that serve by their own word, when no majority confirms anything *here*, for the same reason;
- all other nodes, when it is ourselves who have lost ZooKeeper, and with it the lease: this may be the side
  that is cut off. If it is, its broker had better know before the others drop it: with Mnesia it pauses then,
  and comes back in order whenever the network does. If only ZooKeeper is away, every node answers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from rabbitkeeper.agent.rabbitmq.node_name import NODE_NAME
from rabbitkeeper.coordinator.model.records import ClusterRecord, MemberStatus
from rabbitkeeper.coordinator.model.view import GroupView

SETTLE = 3.0  # seconds after a connection to ZooKeeper, in which others may have yet to register again
HUNG = 3.0  # seconds that an agent may take to end its hung broker
UNREACHABLE = 2.0  # seconds in which one that was restarted, or whose connection broke, may be back
AGAIN = 15.0  # seconds until a node that answered is asked after again, if it is still suspect
LONGEST = 240.0  # seconds, to which that grows
FAILED = 2.0  # seconds until a question that could not be asked is asked again


@dataclass(frozen=True, slots=True)
class PeerSighting:
    """What this agent knows at one moment. Times are monotonic seconds.

    Attributes:
        node: our own.
        cluster: as it was read last.
        view: the last snapshot; None if nothing certain is known.
        broker_up: our broker takes questions.
        registered: in the session there is now.
        connected_since: the connection to ZooKeeper; None while there is none.
        lease_valid: our session is certain to live.
        minority: our broker is well by itself, and no majority confirms anything.
        starts_again: our broker says that it pauses or boots: it meets whom it has dropped afresh then.
    """

    node: str
    cluster: ClusterRecord | None
    view: GroupView | None
    broker_up: bool
    registered: bool
    connected_since: float | None
    lease_valid: bool
    starts_again: bool = False
    minority: bool = False


@dataclass(frozen=True, slots=True)
class Suspect:
    """Of one node: why, since when, and when it is to be asked after: None once that is settled."""

    reason: str
    since: float
    due: float | None
    pause: float = AGAIN


@dataclass(frozen=True, slots=True)
class Suspects:
    """The suspect nodes, from one look to the next. Immutable: each step gives the next state."""

    nodes: Mapping[str, Suspect] = field(default_factory=lambda: MappingProxyType({}))

    def seen(self, sighting: PeerSighting, now: float) -> "Suspects":
        """Take in what is known now.

        Args:
            sighting: of this moment.
            now: seconds, monotonic.
        """
        suspicions = _suspicions(sighting, now)
        if suspicions is None:
            return self
        return Suspects(
            {
                node: replace(self.nodes[node], reason=reason)
                if node in self.nodes
                else Suspect(reason, now, now + grace)
                for node, (reason, grace) in suspicions.items()
            }
        )

    def due(self, now: float) -> tuple[str, ...]:
        """The nodes to be asked after now."""
        return tuple(
            node for node, its in sorted(self.nodes.items()) if its.due is not None and its.due <= now
        )

    @property
    def next_due(self) -> float | None:
        """When there will be one, monotonic seconds."""
        return min((its.due for its in self.nodes.values() if its.due is not None), default=None)

    def settled(self, nodes: frozenset[str]) -> "Suspects":
        """These are disconnected, or were: nothing more is to be done until they have been back."""
        return self._changed(nodes, lambda suspect: replace(suspect, due=None))

    def answered(self, nodes: frozenset[str], now: float) -> "Suspects":
        """These answer, for now."""
        return self._changed(
            nodes,
            lambda suspect: replace(suspect, due=now + suspect.pause, pause=min(2 * suspect.pause, LONGEST)),
        )

    def failed(self, nodes: frozenset[str], now: float) -> "Suspects":
        """These could not be asked after."""
        return self._changed(nodes, lambda suspect: replace(suspect, due=now + FAILED))

    def _changed(self, nodes: frozenset[str], change: Callable[[Suspect], Suspect]) -> "Suspects":
        return Suspects({node: change(its) if node in nodes else its for node, its in self.nodes.items()})


def _suspicions(sighting: PeerSighting, now: float) -> dict[str, tuple[str, float]] | None:
    """Each suspect node, why, and seconds until it is asked after; None: it cannot be told now."""
    if not sighting.broker_up or sighting.cluster is None:
        return {}
    others = {
        node: its.member
        for node, its in sighting.cluster.nodes.items()
        if node != sighting.node and NODE_NAME.fullmatch(node)  # a name from a hand is nobody's
    }
    view = sighting.view
    if view is not None and view.pause is not None:
        return {}
    if sighting.connected_since is None:
        if sighting.lease_valid:
            return None
        return dict.fromkeys(others, ("ZooKeeper is away, and this may be the side that is cut off", 0.0))
    if view is None or not sighting.registered or now < sighting.connected_since + SETTLE:
        return None
    found: dict[str, tuple[str, float]] = {}
    for node, name in others.items():
        member = view.members.get(name)
        if member is None:
            found[node] = (f"{name} is gone from ZooKeeper", 0.0)
        elif member.record.state is MemberStatus.HUNG:
            found[node] = (f"the broker of {name} hangs, and its agent has not ended it", HUNG)
        elif sighting.minority and member.record.state.serves:
            found[node] = ("no majority confirms anything, and this may be the side that is cut off", 0.0)
        elif member.record.state is MemberStatus.MINORITY:
            found[node] = (f"no majority confirms anything at {name}, which may be cut off", 0.0)
        elif member.record.state is MemberStatus.UNREACHABLE:
            found[node] = (f"the broker of {name} is unreachable, and may be cut off", UNREACHABLE)
    return found

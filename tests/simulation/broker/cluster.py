"""A cluster of simulated brokers in virtual time, and everything that can go wrong with it.

It behaves as RabbitMQ 3.10 was seen to, as far as a client can tell: see :mod:`queues` for what a queue does
without a leader. What there is of faults is below; chance comes from one seed.
"""

from collections.abc import Callable, Iterable
from random import Random

from rabbitkeeper.client.amqp.transport import ChannelLost, ConnectionLost
from rabbitkeeper.client.model.topology import Entity, Queue
from simulation.broker.confirms import Style
from simulation.broker.connection_end import ConnectionEnd
from simulation.broker.journal import Journal
from simulation.broker.messages import Exchanges, StoredMessage
from simulation.broker.node import Node
from simulation.broker.queues import SimulatedQueue, SimulatedStream
from simulation.loop import VirtualTime

TRANSIENT = 3.0  # seconds after a node's end until the others have deleted the last queues that went with it
NOTICED = 0.03  # seconds until a client notices that its broker was killed
HEARTBEAT_LOST = 20.0  # seconds until a client gives up a broker that says nothing

CREDENTIALS = ConnectionLost(
    "the broker refused the user name or password: ACCESS_REFUSED - Login was refused", refused=True
)
VIRTUAL_HOST = ConnectionLost(
    "the broker refused the virtual host: NOT_ALLOWED - vhost / not found", refused=True
)
BOOTING = ConnectionLost("the connection broke while it was being opened")
CONNECTION_LIMIT = ConnectionLost(
    "the broker refused the virtual host: NOT_ALLOWED - access to vhost '/' refused for user 'app': "
    "connection limit (0) is reached"
)


class SimulatedCluster:
    """See the module.

    Attributes:
        latency: seconds of each way between client and broker, asked for each call.
        confirm_delay: seconds for which a channel gathers answers, asked for each burst.
        confirm_style: in which of AMQP's ways messages are confirmed.
        handshake_time: seconds of a node's work for each connection, in equal parts for each answer; those of
            all connections one after the other, also of clients that have gone meanwhile.
        handshake_answers: so many parts.
        commit_time: seconds until a message is on a majority.
        election_time, hung_election_time: seconds until a queue has another leader, when the node of the
            last one has died or hangs.
        alarm: why publishers are blocked, while they are.
        forbidden: names of exchanges and queues to which access is refused.
        refusals: what is answered to declarations, by name.
        fatal: what a channel is closed with over a message, by the routing key of that.
        silent_declarations, silent_consumes: names for which no answer comes.
        overtakes_cancels: consumers that are cancelled have had a message on its way to them; see
            :meth:`SimulatedQueue.overtake`.
        lost_consumes: names of queues; the next that asks for a consumer of one is never answered.
        silent_channels: nodes that open no channel, and do not say so.
        leaves_stuck: channels that are stuck in a call to a node that is gone stay so, when all else is well.
    """

    def __init__(self, time: VirtualTime, names: Iterable[str] = "abc", seed: int = 0) -> None:
        self.time = time
        self.random = Random(seed)
        self.journal = Journal()
        self.nodes = {name: Node(name) for name in names}
        self.exchanges = Exchanges()
        self.queues: dict[str, SimulatedQueue] = {}
        self.latency: Callable[[], float] = lambda: 0.0002
        self.confirm_delay: Callable[[], float] = lambda: 0.0005
        self.confirm_style = Style.SINGLE
        self.holds_confirms = False
        self.handshake_time = 0.0
        self.handshake_answers = 3
        self.commit_time = 0.001
        self.election_time = 0.3
        self.hung_election_time = 7.0
        self.password: str | None = None  # that is good, if it was changed
        self.tokens: dict[
            str, float
        ] = {}  # that are good, until when (virtual time); if any, nothing else is
        self.alarm: str | None = None
        self.forbidden: set[str] = set()
        self.refusals: dict[str, ChannelLost] = {}
        self.fatal: dict[str, ChannelLost] = {}
        self.silent_declarations: set[str] = set()
        self.silent_consumes: set[str] = set()
        self.lost_consumes: set[str] = set()
        self.silent_channels: set[str] = set()
        self.stuck: list[Callable[[], None]] = []
        self.leaves_stuck = False
        self.channel_max = 2047  # channels of a connection
        self.overtakes_cancels = False  # see SimulatedQueue.overtake
        self.version = (3, 10)
        self.counts_given_back = False  # towards a delivery limit, as before RabbitMQ 4.3
        self._connections = 0
        self._queue_names = 0
        self._later: list[Callable[[], None]] = []

    # -- what queues and connections ask

    @property
    def names(self) -> list[str]:
        return list(self.nodes)

    def is_up(self, node: str) -> bool:
        return self.nodes[node].is_up

    def answers(self, node: str) -> bool:
        return self.nodes[node].answers

    def choose(self, candidates: list[str]) -> str:
        return self.random.choice(candidates)

    def up_to(self, most: int) -> int:
        return self.random.randint(0, most)

    def new_queue_name(self) -> str:
        self._queue_names += 1
        return f"amq.gen-{self._queue_names}"

    def new_connection_number(self) -> int:
        self._connections += 1
        return self._connections

    def node_at(self, address: str) -> Node | None:
        return next((node for node in self.nodes.values() if node.address == address), None)

    def route(self, exchange: str, routing_key: str, node: Node | None = None) -> list[SimulatedQueue]:
        """The queues that a message goes to, by what ``node`` knows; None: by all that there is."""
        lacks = set[str]() if node is None else node.lacks
        known = [name for name in self.queues if name not in lacks]
        names = self.exchanges.route(exchange, routing_key, known)
        return [self.queues[name] for name in names if self.queues[name].is_reachable]

    def answers_declaration(self, again: Callable[[], None], entity: Entity) -> bool:
        """Whether a declaration is answered now; if not, ``again`` is called when that may have changed."""
        name = getattr(entity, "queue", None) or getattr(entity, "name", "")
        is_awaited = any(node.is_hung and not node.is_dropped for node in self.nodes.values())
        if name in self.silent_declarations or is_awaited:
            self.later(again)
            return False
        return True

    def later(self, call: Callable[[], None]) -> None:
        """Have ``call`` made when something has changed."""
        self._later.append(call)

    def look(self) -> None:
        """Something has changed."""
        for queue in list(self.queues.values()):
            queue.look()
        later, self._later = self._later, []
        for call in later:
            call()

    def move(self, message: StoredMessage, exchange: str, routing_key: str) -> None:
        """From a queue to wherever this leads: a dead letter."""
        for queue in self.route(exchange, routing_key):
            queue.store(StoredMessage(exchange, routing_key, *message.content))
            queue.dispatch()

    def stored(self, queue: SimulatedQueue, message: StoredMessage) -> None:
        """A queue has taken a message: it may have to go after a time."""
        ttl = queue.declared.arguments.get("x-message-ttl")
        if isinstance(ttl, int):
            self.time.after(ttl / 1000, lambda: self._expire(queue, message))

    def _expire(self, queue: SimulatedQueue, message: StoredMessage) -> None:
        if message in queue.ready and queue.serves:
            queue.ready.remove(message)
            queue.dead_letter(message)
        elif message in queue.ready:
            self.time.after(0.1, lambda: self._expire(queue, message))

    def remove_queue(self, queue: SimulatedQueue) -> None:
        """It is deleted; its consumers are told."""
        if self.queues.get(queue.name) is not queue:
            return
        del self.queues[queue.name]
        self.exchanges.forget_queue(queue.name)
        for end in self.connections:
            for channel in end.channels:
                channel.consumer.forget(queue)

    # -- what there is

    @property
    def connections(self) -> list[ConnectionEnd]:
        """All that the brokers have."""
        return [end for node in self.nodes.values() for end in node.connections]

    @property
    def consumers(self) -> list[str]:
        """The queue of each consumer that the brokers have."""
        return sorted(queue.name for queue in self.queues.values() for _ in queue.consumers)

    @property
    def kept(self) -> set[str]:
        """Ids of all messages in queues, also of what is delivered and not answered."""
        return {message_id for queue in self.queues.values() for message_id in queue.holds}

    # -- what goes wrong

    def kill(self, *names: str) -> None:
        """The nodes are gone at once, with their connections."""
        for name in names:
            node = self.nodes[name]
            node.is_up, node.is_hung = False, False
            for end in list(node.connections):
                end.break_off("connection reset by peer", NOTICED)
            self.time.after(TRANSIENT, lambda gone=name: self._forget_transient(gone))  # type: ignore[misc]
        self.look()

    def _forget_transient(self, name: str) -> None:
        """What was not durable has gone with the node. Until now it could be declared, in vain."""
        for queue in list(self.queues.values()):
            if queue.leader == name and not queue.declared.durable and not queue.is_quorum:
                self.remove_queue(queue)

    def start(self, name: str) -> None:
        """The node is back."""
        self.nodes[name].is_up = True
        self.look()

    def hang(self, name: str) -> None:
        """The node stands still (SIGSTOP). Clients notice by their heartbeats, late."""
        node = self.nodes[name]
        node.is_hung = True
        for end in node.connections:
            end.hang()
            self.time.after(HEARTBEAT_LOST, lambda end=end: self._miss_heartbeats(end))  # type: ignore[misc]
        self.look()

    def wake(self, name: str) -> None:
        """It goes on, with what it had been sent meanwhile."""
        node = self.nodes[name]
        node.is_hung = node.is_dropped = False
        for end in list(node.connections):
            end.wake()
        self.look()

    def answer_again(self) -> None:
        """Whatever had no answer has one, from now on."""
        self.refusals.clear()
        self.fatal.clear()
        self.silent_declarations.clear()
        self.silent_consumes.clear()
        self.silent_channels.clear()
        for queue in self.queues.values():
            queue.is_stale_at.clear()
        stuck, self.stuck = self.stuck, []
        for go_on in () if self.leaves_stuck else stuck:
            go_on()
        self.look()

    def heal(self) -> None:
        """Everything is well again."""
        self.clear_alarm()
        self.answer_again()
        self.release_confirms()
        for node in self.nodes.values():
            node.refusal, node.ends_connections = None, False
            if not node.is_up:
                self.start(node.name)
            elif node.is_hung:
                self.wake(node.name)

    def _miss_heartbeats(self, end: ConnectionEnd) -> None:
        if end.is_open and end.node.is_hung:
            end.wire.down.send(lambda: end.client.lost(ConnectionLost("no heartbeat for 20 s")))

    def close_connections(self, name: str, code: int = 320, text: str = "CONNECTION_FORCED") -> None:
        """The node ends its connections in an orderly way, as when it is drained or asked to."""
        if self.answers(name):
            for end in list(self.nodes[name].connections):
                end.close_by_broker(code, text)

    def raise_alarm(self, why: str = "low on memory") -> None:
        """All nodes block those who publish."""
        self.alarm = why
        for end in self.connections:
            end.look_for_alarm()

    def clear_alarm(self) -> None:
        self.alarm = None
        for end in self.connections:
            end.look_for_alarm()

    def hold_confirms(self) -> None:
        """Messages are taken and not confirmed, on all channels, until :meth:`release_confirms`."""
        self.holds_confirms = True
        for end in self.connections:
            for channel in end.channels:
                channel.confirms.is_held = True

    def release_confirms(self) -> None:
        self.holds_confirms = False
        for end in self.connections:
            for channel in end.channels:
                channel.confirms.release()

    def close_channels(self, code: int, why: str, *, consuming: bool) -> None:
        """End all channels with a consumer, or all that confirm."""
        for end in self.connections:
            for channel in end.channels:
                if end.node.answers and channel.is_open and (channel.consumes is not None) == consuming:
                    channel.refuse(ChannelLost(code, why))

    def stall_consumers(self, name: str) -> None:
        """The consumers that a queue has now get nothing any more, as was seen after a full disk."""
        for consumer in self.queues[name].consumers:
            consumer.is_stalled = True

    def declared_by_others(self, queue: Queue) -> None:
        """Somebody else declares it."""
        kind = SimulatedStream if queue.is_stream else SimulatedQueue
        self.queues[queue.name] = kind(self, queue, queue.name, self.names[0], None)

    def delete_queue(self, name: str) -> None:
        """Somebody else deletes it."""
        self.remove_queue(self.queues[name])

    def delete_exchange(self, name: str) -> None:
        del self.exchanges.declared[name]
        self.exchanges.bindings = {key: one for key, one in self.exchanges.bindings.items() if key[0] != name}

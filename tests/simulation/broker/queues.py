"""A queue of the simulated brokers: what it takes, holds and hands out, and where it can be reached.

A quorum queue has a replica on each node and a leader on one of them. It takes messages while the leader
answers and a majority is up. When the leader's node is gone the others elect another after a while; what was
offered over a channel that lives on is kept and taken then. Of what was offered over one that died the first
so many are there: chance says how many. A channel that knew the queue before can go on offering meanwhile.
One whose first message for it comes now is refused, and goes on being refused until the dead node is back
(RabbitMQ 3.10).

A classic queue is on one node, and away with it. Without that node it is neither routed to nor consumed from.

A node's record of a queue can be stale and name a dead node: a channel of it that has not published there
waits for that node, for seconds, and takes the message then.
"""

import struct
from bisect import insort
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from rabbitkeeper.client.amqp.frames import MESSAGE_ID
from rabbitkeeper.client.amqp.properties import decode_properties, encode_properties
from rabbitkeeper.client.model.topology import Queue
from simulation.broker.journal import Journal
from simulation.broker.messages import StoredMessage
from simulation.loop import VirtualTime


class Publisher(Protocol):
    """The broker's end of a channel that messages come from."""

    is_open: bool
    known_queues: set[str]
    poisoned: dict[str, str]

    @property
    def node(self) -> str: ...


class Consumer(Protocol):
    """The broker's end of a channel with a consumer."""

    is_stalled: bool
    offset: object

    @property
    def is_exclusive(self) -> bool: ...
    @property
    def has_room(self) -> bool: ...
    @property
    def priority(self) -> int: ...
    def deliver(self, queue: "SimulatedQueue", messages: list[StoredMessage]) -> None: ...
    def cancel_by_broker(self) -> None: ...


class Nodes(Protocol):
    """What a queue asks of its cluster."""

    time: VirtualTime
    journal: Journal
    commit_time: float
    election_time: float
    hung_election_time: float

    def is_up(self, node: str) -> bool: ...
    def answers(self, node: str) -> bool: ...
    @property
    def names(self) -> list[str]: ...
    def choose(self, candidates: list[str]) -> str: ...
    def up_to(self, most: int) -> int: ...
    def remove_queue(self, queue: "SimulatedQueue") -> None: ...
    def move(self, message: StoredMessage, exchange: str, routing_key: str) -> None: ...
    def look(self) -> None: ...
    def stored(self, queue: "SimulatedQueue", message: StoredMessage) -> None: ...


@dataclass(slots=True)
class _Offer:
    message: StoredMessage
    publisher: Publisher
    done: Callable[[bool], None]
    not_before: float


class SimulatedQueue:
    """See the module.

    Args:
        declared: as it was declared.
        name: the broker's.
        home: the node that it is declared on.
        owner: the connection that alone may use it, if it is exclusive.
    """

    def __init__(self, nodes: Nodes, declared: Queue, name: str, home: str, owner: object | None) -> None:
        self.declared = declared
        self.name = name
        self.owner = owner
        self.leader: str | None = home  # of a classic queue: its node, for ever
        self.is_quorum = declared.declared_arguments.get("x-queue-type") == "quorum"
        self.ready: list[StoredMessage] = []
        self.in_hand: list[StoredMessage] = []  # delivered and not answered
        self.consumers: deque[Consumer] = deque()
        self.refuses = False  # whatever is published
        self.held_by: str | None = None  # somebody has it for "exclusive use"
        self.is_stale_at: set[str] = set()  # nodes whose record of it names a dead node
        self._nodes = nodes
        self._offers: deque[_Offer] = deque()
        self._commit_due = False
        self._election = 0  # number of the present wait for one; an older one is off
        self._is_electing = False
        self._dead_leader = ""
        self._positions = 0
        self._had_consumer = False
        self._next_is_overtaken = False  # the next message is on its way to a consumer that is gone
        self._overtaken: list[StoredMessage] = []

    # -- where it is

    @property
    def is_reachable(self) -> bool:
        """Whether it is routed to."""
        return self.is_quorum or (self.leader is not None and self._nodes.is_up(self.leader))

    @property
    def serves(self) -> bool:
        """Whether it takes and hands out messages at the moment."""
        if self.leader is None or not self._nodes.answers(self.leader):
            return False
        return not self.is_quorum or self._has_majority

    @property
    def _has_majority(self) -> bool:
        names = self._nodes.names
        return 2 * sum(self._nodes.answers(node) for node in names) > len(names)

    def look(self) -> None:
        """A node has changed."""
        if self.is_quorum:
            if self.leader is not None and not self._nodes.is_up(self.leader):
                self.lose_leader()
            elif self.leader is not None and not self._nodes.answers(self.leader):
                self._elect_in(self._nodes.hung_election_time)
            elif self.leader is not None:
                self._is_electing = False
                self._election += 1
            if self.leader is None and self._has_majority:
                self._elect_in(self._nodes.election_time)
        elif not self.is_reachable:
            self._drop_offers(lambda _offer: False)
            for consumer in list(self.consumers):
                consumer.cancel_by_broker()
        self._commit_soon()
        self.dispatch()

    def lose_leader(self, seconds: float | None = None) -> None:
        """There is no leader from now on; for ``seconds``, or as long as an election takes."""
        self._dead_leader, self.leader = self.leader or self._dead_leader, None
        self._is_electing = False
        orphans = [offer for offer in self._offers if not offer.publisher.is_open]
        # the log of whoever leads next begins as the log of the one that died
        replicated = set(map(id, orphans[: self._nodes.up_to(len(orphans))]))
        self._drop_offers(lambda offer: offer.publisher.is_open or id(offer) in replicated)
        if self._has_majority:
            self._elect_in(self._nodes.election_time if seconds is None else seconds)

    def _elect_in(self, seconds: float) -> None:
        if self._is_electing:
            return
        self._is_electing = True
        self._election += 1
        election = self._election

        def elect() -> None:
            if election != self._election:
                return
            self._is_electing = False
            candidates = [node for node in self._nodes.names if self._nodes.answers(node)]
            if self._has_majority:
                if self.leader is not None:
                    self._dead_leader = self.leader
                self.leader = self._nodes.choose(candidates)
                self._nodes.look()

        self._nodes.time.after(seconds, elect)

    # -- what comes in

    def offer(self, message: StoredMessage, publisher: Publisher, done: Callable[[bool], None]) -> None:
        """Publish a message to it; ``done`` is told once whether it was taken, or never."""
        poison = publisher.poisoned.get(self.name)
        if poison is not None and not self._nodes.is_up(poison):
            done(False)
            return
        publisher.poisoned.pop(self.name, None)
        if self.is_quorum and self.leader is None and self.name not in publisher.known_queues:
            publisher.poisoned[self.name] = self._dead_leader
            done(False)
            return
        publisher.known_queues.add(self.name)
        self._offers.append(_Offer(message, publisher, done, self._nodes.time.now + self._nodes.commit_time))
        self._commit_soon()

    @property
    def is_full(self) -> bool:
        arguments = self.declared.arguments
        limit = arguments.get("x-max-length")
        return (
            isinstance(limit, int)
            and arguments.get("x-overflow") == "reject-publish"
            and len(self.ready) >= limit
        )

    def _commit_soon(self) -> None:
        if not self._commit_due and self._offers and self.serves:
            self._commit_due = True
            self._nodes.time.after(self._offers[0].not_before - self._nodes.time.now, self._commit)

    def _commit(self) -> None:
        self._commit_due = False
        taken = False
        while self._offers and self.serves and self._offers[0].not_before <= self._nodes.time.now:
            offer = self._offers.popleft()
            if self.is_full or self.refuses:
                offer.done(False)
                continue
            self.store(offer.message)
            taken = True
            offer.done(True)
        if taken:
            self.dispatch()
        self._commit_soon()

    def store(self, message: StoredMessage) -> None:
        """Take it; from another queue, or from a publisher who has waited for that."""
        self._positions += 1
        message.position = self._positions
        if self._next_is_overtaken:
            self._next_is_overtaken = False
            self.in_hand.append(message)
            self._overtaken.append(message)
        else:
            self.ready.append(message)
        self._nodes.journal.stored[self.name].append(message.message_id)
        self._nodes.stored(self, message)

    def _drop_offers(self, is_kept: Callable[[_Offer], bool]) -> None:
        kept: deque[_Offer] = deque()
        for offer in self._offers:
            if is_kept(offer):
                kept.append(offer)
            else:
                offer.done(False)
        self._offers = kept

    # -- what goes out

    def add_consumer(self, consumer: Consumer) -> None:
        self._had_consumer = True
        self.consumers.append(consumer)
        self.dispatch()
        self._next_is_overtaken = False
        overtaken, self._overtaken = self._overtaken, []
        if overtaken:
            self.put_back(overtaken)

    def overtake(self) -> None:
        """A consumer's cancel is answered while its node's replica has not seen yet that it was given the
        next message; it does with the start of the next consumer, and the message comes back behind that
        (RabbitMQ 3.10.8).
        """
        self._next_is_overtaken = True

    def remove_consumer(self, consumer: Consumer) -> None:
        if consumer in self.consumers:
            self.consumers.remove(consumer)
            if not self.consumers and self.declared.auto_delete and self._had_consumer:
                self._nodes.remove_queue(self)

    def dispatch(self) -> None:
        """Hand out what is ready, in turn to those who have room."""
        while self.ready and self.serves:
            with_room = [one for one in self.consumers if one.has_room]
            if not with_room:
                return
            consumer = max(with_room, key=lambda one: one.priority)  # of equals, the one that waits longest
            self.consumers.remove(consumer)
            self.consumers.append(consumer)
            message = self.take_first()
            assert message is not None
            consumer.deliver(self, [message])

    def take_first(self) -> StoredMessage | None:
        """The next message, which is delivered now."""
        if not self.ready:
            return None
        message = self.ready.pop(0)
        message.deliveries += 1
        self.in_hand.append(message)
        return message

    def refuses_beside(self, *, exclusive: bool) -> bool:
        """Whether a consumer is refused over those that it has; a quorum queue does not look at that."""
        if self.is_quorum or not self.consumers:
            return False
        return exclusive or any(consumer.is_exclusive for consumer in self.consumers)

    @property
    def is_behind(self) -> bool:
        """Whether there is something that its consumers have not got."""
        return bool(self.consumers and self.ready)

    def settled(self, message: StoredMessage) -> None:
        """It was acked, or is not wanted back."""
        self.in_hand.remove(message)

    def put_back(self, messages: list[StoredMessage]) -> None:
        """Deliver them again, in their places."""
        for message in messages:
            self.in_hand.remove(message)
            message.redelivered = True
            if self.delivery_limit is not None and message.failures > self.delivery_limit:
                self._nodes.journal.dropped.append(message.message_id)
                self.dead_letter(message)
                continue
            insort(self.ready, message, key=lambda known: known.position)
        self.dispatch()

    @property
    def delivery_limit(self) -> int | None:
        """How often a message may have failed and be delivered again."""
        limit = self.declared.arguments.get("x-delivery-limit")
        return limit if self.is_quorum and isinstance(limit, int) and limit >= 0 else None

    def dead_letter(self, message: StoredMessage) -> None:
        """It is refused, or has failed too often: to the queue's place for that, if it has one."""
        exchange = self.declared.arguments.get("x-dead-letter-exchange")
        if exchange is not None:
            key = self.declared.arguments.get("x-dead-letter-routing-key", message.routing_key)
            self._nodes.move(message, str(exchange), str(key))

    @property
    def holds(self) -> set[str]:
        """Ids of all its messages."""
        offered = [offer.message for offer in self._offers]
        return {message.message_id for message in (*self.ready, *self.in_hand, *offered)}


class SimulatedStream(SimulatedQueue):
    """A log that each consumer reads from where it says.

    Nothing is taken out by reading, and nothing comes again: an answer only makes room for more. Otherwise it
    is a replicated queue (https://www.rabbitmq.com/docs/streams). ``ready`` is the log.
    """

    def __init__(self, nodes: Nodes, declared: Queue, name: str, home: str, owner: object | None) -> None:
        super().__init__(nodes, declared, name, home, owner)
        self.is_quorum = True  # as far as elections go
        self._read: dict[Consumer, int] = {}  # offsets of what comes next

    def add_consumer(self, consumer: Consumer) -> None:
        offset = consumer.offset
        if isinstance(offset, int):
            self._read[consumer] = offset
        elif offset in (None, "next"):
            self._read[consumer] = len(self.ready)
        else:  # "first", or a time: RabbitMQ would begin with a chunk from some time before
            self._read[consumer] = 0
        super().add_consumer(consumer)

    def dispatch(self) -> None:
        for consumer in list(self.consumers):
            while self.serves and consumer.has_room and self._read[consumer] < len(self.ready):
                offset = self._read[consumer]
                self._read[consumer] += 1
                consumer.deliver(self, [_with_offset(self.ready[offset], offset)])

    @property
    def is_behind(self) -> bool:
        return any(self._read[consumer] < len(self.ready) for consumer in self.consumers)

    def settled(self, message: StoredMessage) -> None:
        """It stays."""

    def put_back(self, messages: list[StoredMessage]) -> None:
        """They are there."""


def _with_offset(message: StoredMessage, offset: int) -> StoredMessage:
    properties = decode_properties(message.properties)
    properties.headers = {**(properties.headers or {}), "x-stream-offset": offset}
    flags, before, after = encode_properties(properties)
    name = message.message_id.encode()
    encoded = struct.pack(">H", flags | MESSAGE_ID) + before + bytes([len(name)]) + name + after
    return StoredMessage(message.exchange, message.routing_key, message.message_id, encoded, message.body)

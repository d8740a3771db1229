"""The broker's end of a channel with a consumer: what is delivered on it, and what is answered."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from rabbitkeeper.client.amqp.decoding import Delivery, encode_envelope
from rabbitkeeper.client.amqp.transport import ChannelLost
from simulation.broker.messages import StoredMessage
from simulation.broker.queues import SimulatedQueue, SimulatedStream

if TYPE_CHECKING:
    from simulation.broker.channel_end import ChannelEnd


class ConsumingClient(Protocol):
    """The client's end: what a broker can say about a consumer."""

    def limited(self) -> None: ...
    def consuming(self) -> None: ...
    def delivered(self, deliveries: list[Delivery]) -> None: ...
    def got(self, delivery: Delivery | None, no_ack: bool) -> None: ...
    def cancelled(self) -> None: ...
    def stopped(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Wish:
    """How a consumer is asked for."""

    arguments: Mapping[str, object]
    exclusive: bool = False
    no_ack: bool = False


@dataclass(slots=True)
class _InHand:
    queue: SimulatedQueue
    message: StoredMessage


class ConsumerEnd:
    """See the module. Each channel has one, which consumes when it is asked to.

    Args:
        client: the other end.
    """

    def __init__(self, channel: "ChannelEnd", client: ConsumingClient) -> None:
        self.consumes: SimulatedQueue | None = None
        self.offset: object = None  # where to begin in a stream
        self.wish = Wish({})
        self.is_stalled = False  # it gets nothing any more, for reasons of the broker's own
        self._channel = channel
        self._client = client
        self._cluster = channel.cluster
        self._is_wanted = False
        self._prefetch = 0
        self._delivered = 0
        self._in_hand: dict[int, _InHand] = {}

    def end(self) -> None:
        """The channel has ended: what was not answered goes back."""
        self._drop_consumer()
        by_queue: dict[SimulatedQueue, list[StoredMessage]] = {}
        for one in self._in_hand.values():
            one.message.failures += 1
            by_queue.setdefault(one.queue, []).append(one.message)
        self._in_hand.clear()
        for queue, messages in by_queue.items():
            queue.put_back(messages)

    def limit(self, prefetch: int) -> None:
        self._prefetch = prefetch
        self._channel.send(self._client.limited)

    @property
    def is_exclusive(self) -> bool:
        return self.wish.exclusive

    @property
    def priority(self) -> int:
        priority = self.wish.arguments.get("x-priority", 0)
        assert isinstance(priority, int)
        return priority

    def consume(self, name: str, wish: Wish) -> None:
        if not self._channel.is_open or self._channel.is_stuck(partial(self.consume, name, wish), name):
            return
        self._is_wanted = True
        if name in self._cluster.lost_consumes:
            self._cluster.lost_consumes.discard(name)
            return
        queue = self._cluster.queues.get(name)
        lost = self._refusal_to_consume(name, queue)
        if isinstance(queue, SimulatedStream) and wish.no_ack:
            self._channel.connection.close_by_broker(540, "NOT_IMPLEMENTED - consumer needs acks")
            return
        if lost is None and queue is not None and queue.refuses_beside(exclusive=wish.exclusive):
            lost = ChannelLost(403, f"ACCESS_REFUSED - queue '{name}' in vhost '/' in exclusive use")
        if lost is None and "x-stream-offset" in wish.arguments and not isinstance(queue, SimulatedStream):
            why = f"PRECONDITION_FAILED - invalid arg 'x-stream-offset' for queue '{name}' in vhost '/'"
            lost = ChannelLost(406, why)
        if lost is not None:
            self._channel.refuse(lost)
            return
        assert queue is not None
        if name in self._cluster.silent_consumes or not queue.serves:  # answered when it is there
            self._cluster.later(lambda: self.consume(name, wish) if self._is_wanted else None)
            return
        self.consumes, self.wish = queue, wish
        self.offset = wish.arguments.get("x-stream-offset")
        self._channel.send(self._client.consuming)
        queue.add_consumer(self)

    def _refusal_to_consume(self, name: str, queue: SimulatedQueue | None) -> ChannelLost | None:
        if queue is None:
            return ChannelLost(404, f"NOT_FOUND - no queue '{name}' in vhost '/'")
        if name in self._cluster.forbidden:
            return ChannelLost(403, f"ACCESS_REFUSED - access to queue '{name}' in vhost '/' refused")
        if queue.held_by is not None:
            return ChannelLost(403, f"ACCESS_REFUSED - queue '{name}' in vhost '/' in exclusive use")
        if queue.owner not in (None, self._channel.connection):
            return ChannelLost(
                405, f"RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{name}' in vhost '/'"
            )
        if not queue.is_reachable:
            return ChannelLost(
                404,
                f"NOT_FOUND - home node 'rabbit@{queue.leader}' of durable queue '{name}' in vhost '/' "
                "is down or inaccessible",
            )
        return None

    def cancel(self) -> None:
        if self._channel.is_open and not self._channel.is_stuck(self.cancel):
            if self.consumes is not None and self._cluster.overtakes_cancels:
                self.consumes.overtake()
            self._drop_consumer()
            self._channel.send(self._client.stopped)

    def cancel_by_broker(self) -> None:
        self._drop_consumer()
        self._channel.send(self._client.cancelled)

    def _drop_consumer(self) -> None:
        queue, self.consumes, self._is_wanted = self.consumes, None, False
        if queue is not None:
            queue.remove_consumer(self)

    @property
    def has_room(self) -> bool:
        return (
            self._channel.is_open
            and not self.is_stalled
            and len(self._in_hand) < self._prefetch
            and not self._channel.connection.node.is_hung
        )

    def deliver(self, queue: SimulatedQueue, messages: list[StoredMessage]) -> None:
        deliveries: list[Delivery] = []
        for message in messages:
            self._delivered += 1
            deliveries.append(self._delivery_of(queue, message, no_ack=self.wish.no_ack))
        self._channel.send(partial(self._client.delivered, deliveries))

    def _delivery_of(self, queue: SimulatedQueue, message: StoredMessage, *, no_ack: bool) -> Delivery:
        self._cluster.journal.delivered.append((queue.name, message.message_id))
        if no_ack:
            self._cluster.journal.acked[message.message_id] += 1
            queue.settled(message)
        else:
            self._in_hand[self._delivered] = _InHand(queue, message)
        envelope = encode_envelope(message.exchange, message.routing_key)
        return self._delivered, message.redelivered, envelope, message.properties, message.body

    def get(self, name: str, no_ack: bool) -> None:
        """One message, if there is one. A queue without a leader says nothing until it has one."""
        if not self._channel.is_open or self._channel.is_stuck(partial(self.get, name, no_ack), name):
            return
        queue = self._cluster.queues.get(name)
        lost = self._refusal_to_consume(name, queue)
        if lost is not None:
            self._channel.refuse(lost)
        elif isinstance(queue, SimulatedStream):
            self._channel.connection.close_by_broker(540, "NOT_IMPLEMENTED - basic.get of a stream")
        elif queue is not None and queue.serves:
            message = queue.take_first()
            delivery = None
            if message is not None:
                self._delivered += 1
                delivery = self._delivery_of(queue, message, no_ack=no_ack)
            self._channel.send(partial(self._client.got, delivery, no_ack))
        else:
            self._cluster.later(partial(self.get, name, no_ack))

    def ack(self, tag: int, multiple: bool) -> None:
        for one in self._named(tag, multiple):
            self._cluster.journal.acked[one.message.message_id] += 1
            one.queue.settled(one.message)
            one.queue.dispatch()

    def nack(self, tag: int, requeue: bool) -> None:
        for one in self._named(tag, multiple=False):
            if requeue:
                one.message.failures += 1
                one.queue.put_back([one.message])
            else:
                self._cluster.journal.rejected[one.message.message_id] += 1
                one.queue.settled(one.message)
                one.queue.dead_letter(one.message)
                one.queue.dispatch()

    def give_back(self, tag: int) -> None:
        """As RabbitMQ from 4.3 on: it does not count. Before it does."""
        for one in self._named(tag, multiple=False):
            one.message.failures += self._cluster.counts_given_back
            self._cluster.journal.given_back.append(one.message.message_id)
            one.queue.put_back([one.message])

    def _named(self, tag: int, multiple: bool) -> list[_InHand]:
        if not self._channel.is_open:
            return []
        if tag not in self._in_hand:
            self._channel.refuse(ChannelLost(406, f"PRECONDITION_FAILED - unknown delivery tag {tag}"))
            return []
        tags = [known for known in self._in_hand if known <= tag] if multiple else [tag]
        return [self._in_hand.pop(known) for known in tags]

    def forget(self, queue: SimulatedQueue) -> None:
        """The queue is deleted: what it had delivered cannot be given back."""
        self._in_hand = {tag: one for tag, one in self._in_hand.items() if one.queue is not queue}
        if self.consumes is queue:
            self.cancel_by_broker()

"""The broker's end of a channel: takes what the client sends, in order, and answers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol

from rabbitkeeper.client.amqp.decoding import Delivery, encode_envelope
from rabbitkeeper.client.amqp.frames import Outgoing
from rabbitkeeper.client.amqp.transport import ChannelLost
from rabbitkeeper.client.model.topology import Entity
from simulation.broker.confirms import Confirms
from simulation.broker.declarations import Refused, declare
from simulation.broker.journal import Publish
from simulation.broker.messages import StoredMessage
from simulation.broker.queues import SimulatedQueue

if TYPE_CHECKING:
    from simulation.broker.connection_end import ConnectionEnd


class ClientChannel(Protocol):
    """The client's end: what a broker can say."""

    def opened(self) -> None: ...
    def closed(self, lost: ChannelLost) -> None: ...
    def confirming(self) -> None: ...
    def answered(self, tag: int, multiple: bool, ack: bool, ids: list[str]) -> None: ...
    def returned(self, message_id: str, exchange: str, routing_key: str, why: str) -> None: ...
    def declared(self, name: str | None) -> None: ...
    def limited(self) -> None: ...
    def consuming(self) -> None: ...
    def delivered(self, deliveries: list[Delivery]) -> None: ...
    def cancelled(self) -> None: ...
    def stopped(self) -> None: ...


@dataclass(slots=True)
class _InHand:
    queue: SimulatedQueue
    message: StoredMessage


@dataclass(slots=True)
class _Wish:
    """A consumer that the client has asked for."""

    queue: str
    is_cancelled: bool = field(default=False)


class ChannelEnd:
    """See the module.

    Args:
        number: of the channel in its connection.
        client: the other end.
    """

    def __init__(self, connection: "ConnectionEnd", number: int, client: ClientChannel) -> None:
        self.connection = connection
        self.number = number
        self.client = client
        self.cluster = connection.cluster
        self.is_open = False
        self.known_queues: set[str] = set()
        self.poisoned: dict[str, str] = {}
        self.consumes: SimulatedQueue | None = None
        self._wish: _Wish | None = None
        self._prefetch = 0
        self._published = 0
        self._ids: dict[int, str] = {}  # of what is not answered, by tag
        self._delivered = 0
        self._in_hand: dict[int, _InHand] = {}
        cluster = self.cluster
        self.confirms = Confirms(
            cluster.time, cluster.random, cluster.confirm_delay, lambda: cluster.confirm_style, self._answer
        )
        self.confirms.is_held = cluster.holds_confirms

    @property
    def node(self) -> str:
        return self.connection.node.name

    def send(self, call: Callable[[], None]) -> None:
        """Say something to the client."""
        if self.is_open:
            self.connection.send(call)

    def open(self) -> None:
        self.is_open = True
        self.send(self.client.opened)

    def close(self) -> None:
        """The client has given it up, or the connection has ended."""
        if not self.is_open:
            return
        self.is_open = False
        self._drop_consumer()
        by_queue: dict[SimulatedQueue, list[StoredMessage]] = {}
        for one in self._in_hand.values():
            by_queue.setdefault(one.queue, []).append(one.message)
        self._in_hand.clear()
        for queue, messages in by_queue.items():
            queue.put_back(messages)

    def refuse(self, lost: ChannelLost) -> None:
        """End it with an error."""
        self.send(partial(self.client.closed, lost))
        self.close()

    # -- publishing

    def select(self) -> None:
        self.send(self.client.confirming)

    def publish(self, message: Outgoing) -> None:
        if not self.is_open:
            return
        self._published += 1
        tag, template = self._published, message.template
        self.connection.has_published()
        self.cluster.journal.arrived.append(
            Publish(
                self.cluster.time.now,
                self.node,
                self.connection.number,
                self.number,
                tag,
                template.exchange,
                template.routing_key,
                message.message_id,
            )
        )
        if not self.cluster.exchanges.has(template.exchange):
            self.refuse(ChannelLost(404, f"NOT_FOUND - no exchange '{template.exchange}' in vhost '/'"))
            return
        if template.exchange in self.cluster.forbidden:
            self.refuse(
                ChannelLost(403, f"ACCESS_REFUSED - access to exchange '{template.exchange}' refused")
            )
            return
        self._ids[tag] = message.message_id
        self.confirms.expect(tag)
        queues = self.cluster.route(template.exchange, template.routing_key)
        if not queues:
            if template.mandatory:
                self.send(
                    partial(
                        self.client.returned,
                        message.message_id,
                        template.exchange,
                        template.routing_key,
                        "312 NO_ROUTE",
                    )
                )
            self.confirms.resolve(tag, ack=True)
            return
        self._offer(tag, message, queues)

    def _offer(self, tag: int, message: Outgoing, queues: list[SimulatedQueue]) -> None:
        open_offers, all_taken = len(queues), True

        def done(taken: bool) -> None:
            nonlocal open_offers, all_taken
            open_offers -= 1
            all_taken = all_taken and taken
            if not open_offers:
                self.confirms.resolve(tag, ack=all_taken)

        template = message.template
        properties = template.encoded_properties(message.message_id)
        for queue in queues:
            queue.offer(
                StoredMessage(
                    template.exchange, template.routing_key, message.message_id, properties, message.body
                ),
                self,
                done,
            )

    def _answer(self, tag: int, multiple: bool, ack: bool) -> None:
        if multiple:
            ids = [self._ids.pop(known) for known in sorted(self._ids) if known <= tag]
        else:
            ids = [self._ids.pop(tag)]
        if not ack and self.is_open:
            self.cluster.journal.nacked.update(ids)
        self.send(partial(self.client.answered, tag, multiple, ack, ids))

    # -- declaring

    def declare(self, entity: Entity, queue: str) -> None:
        """``queue``: the broker's name of the queue that ``entity`` is, or binds."""
        if self.is_open and not self.cluster.answers_declaration(lambda: self.declare(entity, queue), entity):
            return
        if not self.is_open:
            return
        try:
            name = declare(self.cluster, self, entity, queue)
        except Refused as refused:
            if refused.ends_connection:
                self.connection.close_by_broker(refused.lost.code, refused.lost.why)
            else:
                self.refuse(refused.lost)
        else:
            self.send(partial(self.client.declared, name))

    # -- consuming

    def limit(self, prefetch: int) -> None:
        self._prefetch = prefetch
        self.send(self.client.limited)

    def consume(self, name: str) -> None:
        if not self.is_open:
            return
        if self._wish is None:
            self._wish = _Wish(name)
        queue = self.cluster.queues.get(name)
        lost = self._refusal_to_consume(name, queue)
        if lost is not None:
            self.refuse(lost)
            return
        assert queue is not None
        if name in self.cluster.silent_consumes or not queue.serves:  # answered when it is there
            self.cluster.later(lambda: None if self._wish is None else self.consume(name))
            return
        self.consumes = queue
        self.send(self.client.consuming)
        queue.add_consumer(self)

    def _refusal_to_consume(self, name: str, queue: SimulatedQueue | None) -> ChannelLost | None:
        if queue is None:
            return ChannelLost(404, f"NOT_FOUND - no queue '{name}' in vhost '/'")
        if name in self.cluster.forbidden:
            return ChannelLost(403, f"ACCESS_REFUSED - access to queue '{name}' in vhost '/' refused")
        if queue.held_by is not None:
            return ChannelLost(403, f"ACCESS_REFUSED - queue '{name}' in vhost '/' in exclusive use")
        if queue.owner not in (None, self.connection):
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
        if self.is_open:
            self._drop_consumer()
            self.send(self.client.stopped)

    def cancel_by_broker(self) -> None:
        self._drop_consumer()
        self.send(self.client.cancelled)

    def _drop_consumer(self) -> None:
        queue, self.consumes, self._wish = self.consumes, None, None
        if queue is not None:
            queue.remove_consumer(self)

    @property
    def has_room(self) -> bool:
        return self.is_open and len(self._in_hand) < self._prefetch and not self.connection.node.is_hung

    def deliver(self, queue: SimulatedQueue, messages: list[StoredMessage]) -> None:
        deliveries: list[Delivery] = []
        for message in messages:
            self._delivered += 1
            self._in_hand[self._delivered] = _InHand(queue, message)
            self.cluster.journal.delivered.append((queue.name, message.message_id))
            envelope = encode_envelope(message.exchange, message.routing_key)
            deliveries.append(
                (self._delivered, message.redelivered, envelope, message.properties, message.body)
            )
        self.send(partial(self.client.delivered, deliveries))

    def ack(self, tag: int, multiple: bool) -> None:
        for one in self._named(tag, multiple):
            self.cluster.journal.acked[one.message.message_id] += 1
            one.queue.settled(one.message)
            one.queue.dispatch()

    def nack(self, tag: int, requeue: bool) -> None:
        for one in self._named(tag, multiple=False):
            if requeue:
                one.queue.put_back([one.message])
            else:
                self.cluster.journal.rejected[one.message.message_id] += 1
                one.queue.settled(one.message)
                one.queue.dispatch()

    def _named(self, tag: int, multiple: bool) -> list[_InHand]:
        if not self.is_open:
            return []
        if tag not in self._in_hand:
            self.refuse(ChannelLost(406, f"PRECONDITION_FAILED - unknown delivery tag {tag}"))
            return []
        tags = [known for known in self._in_hand if known <= tag] if multiple else [tag]
        return [self._in_hand.pop(known) for known in tags]

    def forget(self, queue: SimulatedQueue) -> None:
        """The queue is deleted: what it had delivered cannot be given back."""
        self._in_hand = {tag: one for tag, one in self._in_hand.items() if one.queue is not queue}
        if self.consumes is queue:
            self.cancel_by_broker()

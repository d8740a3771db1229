"""A channel of a simulated connection: the client's end. See :class:`transport.Channel`."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from rabbitkeeper.client.amqp import transport
from rabbitkeeper.client.amqp.decoding import Answer, Delivery
from rabbitkeeper.client.amqp.frames import Outgoing
from rabbitkeeper.client.amqp.transport import ChannelLost
from rabbitkeeper.client.model.requests import Request
from rabbitkeeper.client.model.topology import Binding, Entity, Queue
from simulation.broker.connection_end import ConnectionEnd
from simulation.broker.consumer_end import Wish
from simulation.broker.journal import Publish

if TYPE_CHECKING:
    from simulation.broker.transport import SimulatedConnection

HIGH_WATER = 1 << 20  # bytes that may wait for the socket


class SimulatedChannel:
    """See the module; Args as :meth:`transport.Connection.channel`."""

    def __init__(
        self,
        connection: "SimulatedConnection",
        end: ConnectionEnd,
        number: int,
        on_open: Callable[[transport.Channel], None],
        on_lost: Callable[[transport.Channel, ChannelLost], None],
    ) -> None:
        self.number = number
        self.is_open = False
        self.is_over = False  # nothing is reported any more
        self._connection = connection
        self._journal = connection.cluster.journal
        self._on_open = on_open
        self._on_lost = on_lost
        self._on_ready: Callable[[], None] | None = None
        self._is_confirming = False
        self._published = 0
        self._answered: set[int] = set()
        self._on_declared: Callable[[str | None], None] | None = None
        self._consumes: str | None = None  # asked for
        self._has_consumer = False  # asked for past the prefetch, and not cancelled
        self._is_stopping = False
        self._on_stopped: Callable[[], None] | None = None
        self._in_hand: set[int] = set()
        self._end = end.channel(number, self)

    def open(self) -> None:
        self._connection.send(self._end.open)

    def close(self) -> None:
        if not self.is_over:
            self.silence()
            self._connection.send(self._end.close)

    def silence(self) -> None:
        """Report nothing any more."""
        self.is_over = True
        self.is_open = False

    # -- publishing

    def confirm(
        self,
        on_ready: Callable[[], None],
        on_answers: Callable[[list[Answer]], None],
        on_returned: Callable[[str | None, str, str, str], None],
    ) -> None:
        self._expect(self.is_open, "confirm on a channel that is not open")
        self._expect(self._on_ready is None, "confirm called twice")
        self._on_ready, self._on_answers, self._on_returned = on_ready, on_answers, on_returned
        self._connection.send(self._end.select)

    @property
    def room(self) -> int:
        return max(0, HIGH_WATER - self._connection.unread) if self.is_open else 0

    def publish(self, messages: Sequence[Outgoing]) -> None:
        self._expect(self.is_open, "publish on a channel that is not open")
        self._expect(self._is_confirming, "publish before the channel is in confirm mode")
        for message in messages:
            self._published += 1
            template = message.template
            self._journal.sent.append(
                Publish(
                    self._connection.cluster.time.now,
                    self._connection.node,
                    self._connection.number,
                    self.number,
                    self._published,
                    template.exchange,
                    template.routing_key,
                    message.message_id,
                )
            )
            self._connection.send(partial(self._end.publish, message), len(message.body) + 64)

    # -- declaring

    def declare(
        self, entity: Entity, resolve: Callable[[str], str], on_done: Callable[[str | None], None] | None
    ) -> None:
        self._expect(self.is_open, "declare on a channel that is not open")
        self._expect(self._on_declared is None, "declare while another declaration is not answered")
        self._on_declared = on_done
        queue = ""
        if isinstance(entity, Binding):
            queue = resolve(entity.queue)
        elif isinstance(entity, Queue) and not entity.is_server_named:
            queue = entity.name
        self._connection.send(partial(self._end.declare, entity, queue, is_answered=on_done is not None))

    def request(
        self, request: Request, resolve: Callable[[str], str], on_done: Callable[[int], None]
    ) -> None:
        self._expect(self.is_open, "a request on a channel that is not open")
        self._on_requested = on_done
        self._connection.send(partial(self._end.request, request, resolve))

    # -- consuming

    def look(self, queue: str, on_seen: Callable[[int, int], None]) -> None:
        self._expect(self.is_open, "look on a channel that is not open")
        self._on_seen = on_seen
        self._connection.send(partial(self._end.look, queue))

    @property
    def is_receiving(self) -> bool:
        return False

    def consume(
        self,
        queue: str,
        prefetch: int,
        arguments: Mapping[str, object],
        *,
        exclusive: bool = False,
        no_ack: bool = False,
        on_ready: Callable[[], None],
        on_deliveries: Callable[[list[Delivery]], None],
        on_cancelled: Callable[[], None],
    ) -> None:
        self._expect(self.is_open, "consume on a channel that is not open")
        self._expect(self._consumes is None, "consume called twice")
        self._consumes, self._wish = queue, Wish(arguments, exclusive, no_ack)
        self._on_consuming, self._on_deliveries, self._on_cancelled = on_ready, on_deliveries, on_cancelled
        self._connection.send(partial(self._end.consumer.limit, prefetch))

    def get(self, queue: str, *, no_ack: bool, on_got: Callable[[Delivery | None], None]) -> None:
        self._expect(self.is_open, "get on a channel that is not open")
        self._on_got = on_got
        self._connection.send(partial(self._end.consumer.get, queue, no_ack))

    def stop_consuming(self, on_stopped: Callable[[], None]) -> None:
        self._is_stopping = True
        if not self.is_open or not self._has_consumer:
            on_stopped()
            return
        if self._on_stopped is not None:
            return  # it is being cancelled already, for whoever asked first; as with pika
        self._on_stopped = on_stopped
        self._connection.send(self._end.consumer.cancel)

    def ack(self, tag: int, *, multiple: bool) -> None:
        if self.is_open:
            self._expect(tag in self._in_hand, f"ack of tag {tag}, which is not open")
            self._in_hand = {
                known for known in self._in_hand if known > tag or not (multiple or known == tag)
            }
            self._connection.send(partial(self._end.consumer.ack, tag, multiple))

    def nack(self, tag: int, *, requeue: bool) -> None:
        if self.is_open:
            self._expect(tag in self._in_hand, f"nack of tag {tag}, which is not open")
            self._in_hand.discard(tag)
            self._connection.send(partial(self._end.consumer.nack, tag, requeue))

    def give_back(self, tag: int) -> None:
        if self.is_open:
            self._expect(tag in self._in_hand, f"give_back of tag {tag}, which is not open")
            self._in_hand.discard(tag)
            self._connection.send(partial(self._end.consumer.give_back, tag))

    def _expect(self, holds: bool, what: str) -> None:
        if not holds:
            raise self._journal.misuse(
                f"{what} (connection {self._connection.number}, channel {self.number})"
            )

    # -- what the broker says

    def opened(self) -> None:
        if not self.is_over:
            self.is_open = True
            self._on_open(self)

    def closed(self, lost: ChannelLost) -> None:
        if not self.is_over:
            self.silence()
            self._on_lost(self, lost)

    def confirming(self) -> None:
        if not self.is_over and self._on_ready is not None:
            self._is_confirming = True
            self._on_ready()

    def answered(self, tag: int, multiple: bool, ack: bool, ids: list[str]) -> None:
        if self.is_over:
            return
        if ack:
            self._journal.confirmed.update(ids)
        self._on_answers([(tag, multiple, ack)])

    def returned(self, message_id: str, exchange: str, routing_key: str, why: str) -> None:
        if not self.is_over:
            self._journal.returned.append(message_id)
            self._on_returned(message_id, exchange, routing_key, why)

    def declared(self, name: str | None) -> None:
        if not self.is_over and self._on_declared is not None:
            report, self._on_declared = self._on_declared, None
            report(name)

    def requested(self, count: int) -> None:
        if not self.is_over:
            self._on_requested(count)

    def seen(self, ready: int, consumers: int) -> None:
        if not self.is_over:
            self._on_seen(ready, consumers)

    def limited(self) -> None:
        if not self.is_over and not self._is_stopping and self._consumes is not None:
            self._has_consumer = True
            self._connection.send(partial(self._end.consumer.consume, self._consumes, self._wish))

    def consuming(self) -> None:
        if not self.is_over:
            self._on_consuming()

    def delivered(self, deliveries: list[Delivery]) -> None:
        if not self.is_over:
            if not self._wish.no_ack:
                self._in_hand |= {delivery[0] for delivery in deliveries}
            self._on_deliveries(deliveries)

    def got(self, delivery: Delivery | None, no_ack: bool) -> None:
        if not self.is_over:
            if delivery is not None and not no_ack:
                self._in_hand.add(delivery[0])
            self._on_got(delivery)

    def cancelled(self) -> None:
        if not self.is_over:
            self._has_consumer = False
            self._on_cancelled()

    def stopped(self) -> None:
        if not self.is_over and self._on_stopped is not None:
            self._has_consumer = False
            self._on_stopped()

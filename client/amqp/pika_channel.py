"""A channel of pika's, as :class:`transport.Channel`."""

from collections.abc import Callable, Mapping, Sequence

from pika.adapters.select_connection import SelectConnection
from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker, NoFreeChannels
from pika.frame import Method
from pika.spec import Basic, BasicProperties

from rabbitkeeper.client.amqp import transport
from rabbitkeeper.client.amqp.decoding import Answer, Decoder, Delivery, encode_envelope
from rabbitkeeper.client.amqp.frames import Outgoing
from rabbitkeeper.client.amqp.transport import ChannelLost
from rabbitkeeper.client.amqp.writer import Writer, writer_for
from rabbitkeeper.client.model.requests import DeleteEntity, PassiveDeclare, Purge, Request, Unbind
from rabbitkeeper.client.model.topology import Binding, Entity, Exchange, ExchangeBinding, Queue
from rabbitkeeper.coordinator.model.reply_codes import ReplyCode


class PikaChannel:
    """See :class:`transport.Channel`."""

    def __init__(
        self,
        loop: transport.Loop,
        connection: SelectConnection,
        decoder: Decoder | None,
        on_open: Callable[[transport.Channel], None],
        on_lost: Callable[[transport.Channel, ChannelLost], None],
    ) -> None:
        self._on_open: Callable[[transport.Channel], None] | None = on_open
        self._on_lost: Callable[[transport.Channel, ChannelLost], None] | None = on_lost
        self._decoder = decoder
        self.is_open = False  # no property: it is asked for each message that is taken
        self._writer: Writer
        self._is_stopping = False  # no consumer is started any more
        self._channel: Channel = None  # stays so if the connection had no free one
        try:
            self._channel = connection.channel(on_open_callback=self._opened)
        except NoFreeChannels:
            most = connection.params.channel_max
            why = f"no channel is free: the connection has {most} of them (channel_max)"
            loop.call_later(0.0, lambda: self._lost(ChannelLost(ReplyCode.RESOURCE_ERROR, why)))
            return
        self._channel.add_on_close_callback(self._closed)

    @property
    def is_over(self) -> bool:
        """It reports nothing any more."""
        return self._on_lost is None

    def silence(self) -> None:
        """Report nothing any more; the connection is being ended, and the channel with it."""
        self._on_open = self._on_lost = None
        self.is_open = False

    def close(self) -> None:
        self.silence()
        if self._channel is not None and self._channel.is_open:
            self._channel.close()

    def _opened(self, _channel: object) -> None:
        if self._on_open is not None:
            self.is_open = True
            self._on_open(self)
        elif self._channel.connection.is_open:
            self._channel.close()

    def _closed(self, _channel: object, error: BaseException) -> None:
        if self._decoder is not None:
            self._decoder.forget(self._channel.channel_number)
        if isinstance(error, ChannelClosedByBroker):
            text = error.reply_text  # bytes, if it is not UTF-8
            why = text.decode(errors="replace") if isinstance(text, bytes) else text
            self._lost(ChannelLost(error.reply_code, why))
        else:
            self.silence()

    def _lost(self, lost: ChannelLost) -> None:
        report = self._on_lost
        self.silence()
        if report is not None:
            report(self, lost)

    # -- publishing

    def confirm(
        self,
        on_ready: Callable[[], None],
        on_answers: Callable[[list[Answer]], None],
        on_returned: Callable[[str | None, str, str, str], None],
    ) -> None:
        def answered(answers: list[Answer]) -> None:
            if self._on_lost is not None:
                on_answers(answers)

        def decoded(frame: Method) -> None:
            method = frame.method
            answered([(method.delivery_tag, bool(method.multiple), isinstance(method, Basic.Ack))])

        def returned(
            _channel: object, method: Basic.Return, properties: BasicProperties, _body: bytes
        ) -> None:
            if self._on_lost is not None:
                why = f"{method.reply_code} {method.reply_text}"
                on_returned(properties.message_id, method.exchange, method.routing_key, why)

        def selected(_frame: object) -> None:
            if self._on_lost is not None:
                on_ready()

        self._writer = writer_for(self._channel)
        self._channel.add_on_return_callback(returned)
        self._channel.confirm_delivery(decoded, callback=selected)
        if self._decoder is not None:
            self._decoder.confirm(self._channel.channel_number, answered)

    @property
    def room(self) -> int:
        return self._writer.room if self.is_open else 0

    def publish(self, messages: Sequence[Outgoing]) -> None:
        self._writer.send(messages)

    # -- declaring

    def declare(
        self, entity: Entity, resolve: Callable[[str], str], on_done: Callable[[str | None], None] | None
    ) -> None:
        def answered(frame: Method) -> None:
            if self._on_lost is not None and on_done is not None:
                on_done(getattr(frame.method, "queue", None))

        done = None if on_done is None else answered  # None is AMQP's no-wait to pika

        match entity:
            case Exchange():
                self._channel.exchange_declare(
                    entity.name,
                    exchange_type=entity.type,
                    durable=entity.durable,
                    auto_delete=entity.auto_delete,
                    internal=entity.internal,
                    arguments=dict(entity.arguments),
                    callback=done,
                )
            case Queue():
                self._channel.queue_declare(
                    "" if entity.is_server_named else entity.name,
                    durable=entity.durable,
                    exclusive=entity.exclusive,
                    auto_delete=entity.auto_delete,
                    arguments=entity.declared_arguments,
                    callback=done,
                )
            case Binding():
                self._channel.queue_bind(
                    resolve(entity.queue),
                    entity.exchange,
                    routing_key=entity.routing_key,
                    arguments=dict(entity.arguments),
                    callback=done,
                )

            case ExchangeBinding():
                self._channel.exchange_bind(
                    entity.destination,
                    entity.source,
                    routing_key=entity.routing_key,
                    arguments=dict(entity.arguments),
                    callback=done,
                )

    def request(
        self, request: Request, resolve: Callable[[str], str], on_done: Callable[[int], None]
    ) -> None:
        def done(frame: Method) -> None:
            if self._on_lost is not None:
                on_done(getattr(frame.method, "message_count", 0))

        channel = self._channel
        match request:
            case DeleteEntity(Exchange(name)):
                channel.exchange_delete(name, if_unused=request.if_unused, callback=done)
            case DeleteEntity(Queue(name)):
                channel.queue_delete(
                    resolve(name), if_unused=request.if_unused, if_empty=request.if_empty, callback=done
                )
            case Unbind(Binding() as one):
                channel.queue_unbind(
                    resolve(one.queue), one.exchange, one.routing_key, dict(one.arguments), callback=done
                )
            case Unbind(ExchangeBinding() as one):
                channel.exchange_unbind(
                    one.destination, one.source, one.routing_key, dict(one.arguments), callback=done
                )
            case Purge(name):
                channel.queue_purge(resolve(name), callback=done)
            case PassiveDeclare(Exchange(name)):
                channel.exchange_declare(name, passive=True, callback=done)
            case PassiveDeclare(Queue(name)):
                channel.queue_declare(resolve(name), passive=True, callback=done)

    # -- consuming

    def look(self, queue: str, on_seen: Callable[[int, int], None]) -> None:
        def seen(frame: Method) -> None:
            if self._on_lost is not None:
                on_seen(frame.method.message_count, frame.method.consumer_count)

        self._channel.queue_declare(queue, passive=True, callback=seen)

    @property
    def is_receiving(self) -> bool:
        if self._decoder is None or self._channel is None:
            return False
        return self._decoder.is_receiving(self._channel.channel_number)

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
        def delivered(deliveries: list[Delivery]) -> None:
            if self._on_lost is not None:
                on_deliveries(deliveries)

        def decoded(
            _channel: object, method: Basic.Deliver, properties: BasicProperties, body: bytes
        ) -> None:
            delivered([_delivery_of(method, properties, body)])

        def cancelled(_frame: object) -> None:
            if self._on_lost is not None:
                on_cancelled()

        def consuming(_frame: object) -> None:
            if self._on_lost is not None:
                on_ready()

        def limited(_frame: object) -> None:
            if self.is_open and not self._is_stopping:
                tag = self._channel.basic_consume(
                    queue,
                    decoded,
                    auto_ack=no_ack,
                    exclusive=exclusive,
                    arguments=dict(arguments),
                    callback=consuming,
                )
                if self._decoder is not None:
                    self._decoder.consume(self._channel.channel_number, tag, delivered)

        self._channel.add_on_cancel_callback(cancelled)
        self._channel.basic_qos(prefetch_count=prefetch, callback=limited)

    def get(self, queue: str, *, no_ack: bool, on_got: Callable[[Delivery | None], None]) -> None:
        def got(deliveries: list[Delivery]) -> None:
            if self._on_lost is not None:
                on_got(deliveries[0])

        def decoded(_channel: object, method: Basic.GetOk, properties: BasicProperties, body: bytes) -> None:
            got([_delivery_of(method, properties, body)])

        def empty(_frame: object) -> None:
            if self._on_lost is not None:
                on_got(None)

        self._channel.add_callback(empty, [Basic.GetEmpty])
        self._channel.basic_get(queue, decoded, auto_ack=no_ack)
        if self._decoder is not None:
            self._decoder.get(self._channel.channel_number, got)

    def stop_consuming(self, on_stopped: Callable[[], None]) -> None:
        def stopped(_frame: object) -> None:
            if self._on_lost is not None:
                on_stopped()

        self._is_stopping = True
        tags = list(self._channel.consumer_tags) if self.is_open else []
        for tag in tags:
            self._channel.basic_cancel(tag, callback=stopped)
        if not tags:
            on_stopped()

    def ack(self, tag: int, *, multiple: bool) -> None:
        if self.is_open:
            self._channel.basic_ack(tag, multiple=multiple)

    def nack(self, tag: int, *, requeue: bool) -> None:
        # From 4.3 on a quorum queue counts what comes back by basic.reject towards its delivery limit, and
        # not what comes back by basic.nack: a message that always fails would come back for ever.
        if self.is_open:
            self._channel.basic_reject(tag, requeue=requeue)

    def give_back(self, tag: int) -> None:
        if self.is_open:
            self._channel.basic_nack(tag, requeue=True)


def _delivery_of(method: Basic.Deliver | Basic.GetOk, properties: BasicProperties, body: bytes) -> Delivery:
    """What pika has decoded, as :mod:`decoding` would have it.

    The properties stay as they are: what could not be encoded again would end the connection, and each later
    one that the message is delivered over.
    """
    envelope = encode_envelope(method.exchange, method.routing_key)
    return method.delivery_tag, bool(method.redelivered), envelope, properties, body

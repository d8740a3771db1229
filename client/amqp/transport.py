"""The wire: the only module of the SDK that touches pika.

A :class:`Link` is one AMQP connection, a :class:`Channel` one channel of it, both on the client's I/O thread
and its :class:`Loop`. They report through plain callbacks and map pika's errors to two values:
:class:`LinkLost` and :class:`ChannelLost`. After ``abort`` or ``close`` nothing is reported any more, so an
answer of a link that was given up cannot be taken for one of its successor.

It decides nothing: what to open, what to send and what to send again is for the engine and what it holds.
"""

import logging
import re
import ssl
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pika
from pika import exceptions
from pika.adapters.select_connection import IOLoop, SelectConnection
from pika.channel import Channel as PikaChannel
from pika.spec import PERSISTENT_DELIVERY_MODE, Basic, BasicProperties

from rabbitkeeper.client.amqp.decoding import Decoder, Delivery
from rabbitkeeper.client.amqp.frames import Outgoing
from rabbitkeeper.client.amqp.sender import Sender, sender_for
from rabbitkeeper.client.model.errors import InvalidArgument
from rabbitkeeper.client.model.topology import Binding, Entity, Exchange, Queue

# pika reports every lost connection as an error of its own; the engine's one line says it better.
logging.getLogger("pika").setLevel(logging.CRITICAL)

HEARTBEAT = 10  # seconds; the last resort behind the agents' word, for a peer that is silently gone
FRAME_MAX = 131_072  # bytes; what pika proposes, and a broker may lower
CLOSE_TIMEOUT = 1.0  # seconds for the closing handshake before the socket is dropped


@dataclass(frozen=True, slots=True)
class LinkLost:
    """Why a connection could not be opened, or broke."""

    why: str
    refused: bool = False  # credentials, virtual host or permissions: trying again would not help


@dataclass(frozen=True, slots=True)
class ChannelLost:
    """Why a channel was closed by the broker. ``code`` as in AMQP 0-9-1: 404, 405, 406, …"""

    code: int
    why: str


@dataclass(frozen=True, slots=True)
class Access:
    """How to get in. The password is in no representation."""

    username: str
    password: str = field(repr=False)
    virtual_host: str = "/"
    tls: ssl.SSLContext | None = None
    name: str = "rabbitkeeper"  # shown in RabbitMQ's list of connections

    def parameters(self, address: str, timeout: float) -> pika.ConnectionParameters:
        """pika's parameters for the broker at ``address`` (host:port), to connect in ``timeout`` seconds."""
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        return pika.ConnectionParameters(
            host=host,
            port=int(port),
            virtual_host=self.virtual_host,
            credentials=pika.PlainCredentials(self.username, self.password),
            heartbeat=HEARTBEAT,
            connection_attempts=1,
            socket_timeout=timeout,
            stack_timeout=timeout,
            blocked_connection_timeout=None,
            ssl_options=None if self.tls is None else pika.SSLOptions(self.tls, host),
            client_properties={"product": "RabbitKeeper", "connection_name": self.name},
        )


def check_properties(given: Any) -> None:
    """Raises:
    InvalidArgument: they are no ``BasicProperties``.
    """
    if not isinstance(given, BasicProperties):
        raise InvalidArgument(
            f"properties of type {type(given).__name__} are not valid: use pika.BasicProperties or None"
        )


def encode_properties(given: BasicProperties | None) -> tuple[int, bytes, bytes]:
    """The flags, what stands before the message id, and what stands behind it, the message id left out.

    Persistent unless the caller says otherwise.

    Raises:
        InvalidArgument: a value is none that AMQP can carry; says which.
    """
    before, after = BasicProperties(delivery_mode=PERSISTENT_DELIVERY_MODE), BasicProperties()
    if given is not None:
        for name in _BEFORE_ID:
            value = getattr(given, name)
            if value is not None:
                setattr(before, name, value)
        for name in _AFTER_ID:
            setattr(after, name, getattr(given, name))
    try:
        first, *values = before.encode()
        second, *more = after.encode()
    except _UNENCODABLE as error:
        raise InvalidArgument(f"{_culprit(before, after)} cannot be sent: {_reason(error)}") from None
    flags = int.from_bytes(first, "big") | int.from_bytes(second, "big")
    return flags, b"".join(values), b"".join(more)


def message_id_of(given: BasicProperties) -> str | None:
    """The caller's own message id.

    Raises:
        InvalidArgument: it cannot be sent.
    """
    message_id: Any = given.message_id
    if message_id is None:
        return None
    try:
        text = message_id.decode() if isinstance(message_id, bytes) else message_id
        BasicProperties(message_id=text).encode()
    except _UNENCODABLE as error:
        raise InvalidArgument(f"properties.message_id cannot be sent: {_reason(error)}") from None
    return str(text)


_BEFORE_ID = (
    "content_type",
    "content_encoding",
    "headers",
    "delivery_mode",
    "priority",
    "correlation_id",
    "reply_to",
    "expiration",
)
_AFTER_ID = ("timestamp", "type", "user_id", "app_id", "cluster_id")
_UNENCODABLE = (
    exceptions.AMQPError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)


def _culprit(*parts: BasicProperties) -> str:
    """The name of the first property, or the path of the first header, that cannot be encoded."""
    for properties in parts:
        for name, value in vars(properties).items():
            if value is None or (name != "headers" and _encodes(**{name: value})):
                continue
            if name != "headers":
                return f"properties.{name} {_shown(value)}"
            if not isinstance(value, dict):
                return f"properties.headers {_shown(value)}"
            if not _encodes(headers=value):
                return _bad_header("properties.headers", value)
    return "a property"


def _bad_header(path: str, value: Any, depth: int = 0) -> str:
    inner: list[tuple[str, Any]] = []
    if depth < 16 and isinstance(value, dict):
        for key, item in value.items():
            if not _encodes(headers={key: None}):
                return f"the key {_shown(key)} of {path}"
            inner.append((f"{path}[{key!r}]", item))
    elif depth < 16 and isinstance(value, list):
        inner = [(f"{path}[{number}]", item) for number, item in enumerate(value)]
    for below, item in inner:
        if not _encodes(headers={"": item}):
            return _bad_header(below, item, depth + 1)
    return f"{path} {_shown(value)}"


def _encodes(**fields: Any) -> bool:
    try:
        BasicProperties(**fields).encode()
    except _UNENCODABLE:
        return False
    return True


def _shown(value: object) -> str:
    """A value for an error: its type, since it may be large or a secret."""
    return f"(of type {type(value).__name__})"


def _reason(error: BaseException) -> str:
    if isinstance(error, exceptions.UnsupportedAMQPFieldException | AttributeError | TypeError):
        return (
            "use str, bytes, bool, int, Decimal, datetime, dict with string keys, list or None in headers, "
            "strings and numbers elsewhere"
        )
    if isinstance(error, RecursionError):
        return "it is nested too deeply, or contains itself"
    return str(error) or "its type or size is none that AMQP can carry"


class Loop:
    """The I/O thread's loop: pika's own, with what the engine needs of it."""

    def __init__(self) -> None:
        self._ioloop = IOLoop()

    @staticmethod
    def now() -> float:
        """Seconds, monotonic."""
        return time.monotonic()

    def call_soon_threadsafe(self, callback: Callable[[], None]) -> None:
        """Dropped when the loop has ended."""
        with suppress(AttributeError, OSError):  # pika's, for a loop that has released its pipe just now
            self._ioloop.add_callback_threadsafe(callback)

    def call_later(self, delay: float, callback: Callable[[], None]) -> Any:
        return self._ioloop.call_later(max(0.0, delay), callback)

    def cancel(self, timer: Any) -> None:
        self._ioloop.remove_timeout(timer)

    def run(self) -> None:
        """Until :meth:`stop`; then everything of it is released."""
        try:
            self._ioloop.start()
        finally:
            self._ioloop.close()

    def stop(self) -> None:
        self._ioloop.stop()


class Link:
    """One AMQP connection, from its opening on.

    Args:
        loop: of the I/O thread, on which everything here is called.
        address: of the broker, host:port.
        access: how to get in.
        timeout: seconds to have it open.
        on_open: called once when it is open.
        on_lost: called once when it could not be opened or broke; not after ``abort`` or ``close``.
        on_blocked: the broker blocks publishers (with its reason) or does so no longer (None).
    """

    def __init__(
        self,
        loop: Loop,
        address: str,
        access: Access,
        *,
        timeout: float,
        on_open: Callable[[], None],
        on_lost: Callable[[LinkLost], None],
        on_blocked: Callable[[str | None], None],
    ) -> None:
        self.address = address
        self._loop = loop
        self._on_open: Callable[[], None] | None = on_open
        self._on_lost: Callable[[LinkLost], None] | None = on_lost
        self._on_blocked: Callable[[str | None], None] | None = on_blocked
        self._is_open = False
        self._channels: list[Channel] = []
        self._decoder: Decoder | None = None
        self._timer: Any = loop.call_later(
            timeout, lambda: self._fail(LinkLost(f"no answer in {timeout:g} s"))
        )
        self._connection = SelectConnection(
            access.parameters(address, timeout),
            on_open_callback=self._opened,
            on_open_error_callback=self._failed,
            on_close_callback=self._failed,
            custom_ioloop=loop._ioloop,
        )
        self._connection.add_on_connection_blocked_callback(self._blocked)
        self._connection.add_on_connection_unblocked_callback(self._unblocked)

    @property
    def is_open(self) -> bool:
        return self._is_open and bool(self._connection.is_open)

    @property
    def frame_max(self) -> int:
        """Bytes of a frame at the most, as agreed with the broker."""
        return int(self._connection.params.frame_max)

    def channel(
        self, on_open: Callable[["Channel"], None], on_lost: Callable[["Channel", ChannelLost], None]
    ) -> "Channel":
        """Open a channel. ``on_lost`` is for a channel that the broker closed, not for a lost link."""
        channel = Channel(self._connection, self._decoder, on_open, on_lost)
        self._channels = [known for known in self._channels if known.is_usable]
        self._channels.append(channel)
        return channel

    @property
    def unanswered(self) -> int:
        """Deliveries of all its channels that were neither acked nor nacked."""
        return sum(channel.unanswered for channel in self._channels)

    def abort(self) -> None:
        """Drop the socket without a closing handshake: a dead or hung broker would not answer it."""
        self._forget()
        connection = self._connection
        if connection.is_closed:
            return
        terminate = getattr(connection, "_terminate_stream", None)
        if terminate is not None and not connection.is_closing:
            terminate(exceptions.ConnectionClosedByClient(200, "link given up"))
        elif not connection.is_closing:
            connection.close()

    def close(self) -> None:
        """Close in an orderly way, for :data:`CLOSE_TIMEOUT` seconds at the most; one that is not open yet,
        at once (pika 1.4 fails over a ``close`` during the opening handshake)."""
        if not self.is_open:
            self.abort()
            return
        self._forget()
        connection = self._connection
        connection.close()

        def drop() -> None:
            terminate = getattr(connection, "_terminate_stream", None)
            if terminate is not None and not connection.is_closed:
                terminate(exceptions.ConnectionClosedByClient(200, "closing took too long"))

        self._loop.call_later(CLOSE_TIMEOUT, drop)

    def _forget(self) -> None:
        self._on_open = self._on_lost = self._on_blocked = None
        self._is_open = False
        if self._timer is not None:
            self._loop.cancel(self._timer)
            self._timer = None

    def _opened(self, _connection: object) -> None:
        self._is_open = True
        self._decoder = _decode_deliveries(self._connection)
        if self._timer is not None:
            self._loop.cancel(self._timer)
            self._timer = None
        if self._on_open is not None:
            self._on_open()

    def _failed(self, _connection: object, error: BaseException) -> None:
        report = self._on_lost
        self._forget()
        if report is not None:
            report(_link_lost(error))

    def _fail(self, lost: LinkLost) -> None:
        self._timer = None
        report = self._on_lost
        self.abort()
        if report is not None:
            report(lost)

    def _blocked(self, _connection: object, frame: Any) -> None:
        if self._on_blocked is not None:
            self._on_blocked(str(frame.method.reason or "no reason given"))

    def _unblocked(self, _connection: object, _frame: object) -> None:
        if self._on_blocked is not None:
            self._on_blocked(None)


class Channel:
    """One channel. On one that is not open any more a method does nothing: its end has been reported."""

    def __init__(
        self,
        connection: SelectConnection,
        decoder: Decoder | None,
        on_open: Callable[["Channel"], None],
        on_lost: Callable[["Channel", ChannelLost], None],
    ) -> None:
        self._on_open: Callable[[Channel], None] | None = on_open
        self._on_lost: Callable[[Channel, ChannelLost], None] | None = on_lost
        self._decoder = decoder
        self._unanswered: Callable[[], int] = lambda: 0
        self._sender: Sender
        self._channel: PikaChannel = connection.channel(on_open_callback=self._opened)
        self._channel.add_on_close_callback(self._closed)

    @property
    def is_open(self) -> bool:
        return self._on_lost is not None and bool(self._channel.is_open)

    @property
    def is_usable(self) -> bool:
        """It is open, or about to be."""
        return self._on_lost is not None and not self._channel.is_closed

    @property
    def unanswered(self) -> int:
        """Deliveries that were neither acked nor nacked."""
        return self._unanswered() if self.is_open else 0

    def close(self) -> None:
        """Give the channel up; nothing of it is reported any more."""
        self._on_open = self._on_lost = None
        if self._channel.is_open:
            self._channel.close()

    def _opened(self, _channel: object) -> None:
        if self._on_open is not None:
            self._on_open(self)
        else:
            self._channel.close()

    def _closed(self, _channel: object, error: BaseException) -> None:
        report, self._on_open, self._on_lost = self._on_lost, None, None
        if self._decoder is not None:
            self._decoder.forget(self._channel.channel_number)
        if report is not None and isinstance(error, exceptions.ChannelClosedByBroker):
            report(self, ChannelLost(error.reply_code, error.reply_text))

    # -- publishing

    def confirm(
        self,
        on_ready: Callable[[], None],
        on_answer: Callable[[int, bool, bool], None],
        on_returned: Callable[[str | None, str, str, str], None],
    ) -> None:
        """Put the channel into confirm mode.

        Args:
            on_ready: it is.
            on_answer: with the delivery tag, whether it stands for all up to it, and whether it is an ack.
            on_returned: with message id, exchange, routing key and the reason.
        """

        def answered(frame: Any) -> None:
            if self._on_lost is not None:
                method = frame.method
                on_answer(method.delivery_tag, bool(method.multiple), isinstance(method, Basic.Ack))

        def returned(_channel: object, method: Any, properties: BasicProperties, _body: bytes) -> None:
            if self._on_lost is not None:
                why = f"{method.reply_code} {method.reply_text}"
                on_returned(properties.message_id, method.exchange, method.routing_key, why)

        def selected(_frame: object) -> None:
            if self._on_lost is not None:
                on_ready()

        self._sender = sender_for(self._channel, BasicProperties)
        self._channel.add_on_return_callback(returned)
        self._channel.confirm_delivery(answered, callback=selected)

    @property
    def room(self) -> int:
        """Bytes that may be published now; 0 while the socket takes less than it is given."""
        return self._sender.room if self.is_open else 0

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publish all of them, in order."""
        self._sender.send(messages)

    # -- declaring

    def declare(
        self, entity: Entity, resolve: Callable[[str], str], on_done: Callable[[str | None], None]
    ) -> None:
        """Declare ``entity``; a refusal closes the channel.

        Args:
            resolve: tells the broker's name of a queue.
            on_done: with the broker's name of a queue, or None.
        """

        def done(frame: Any) -> None:
            if self._on_lost is not None:
                on_done(getattr(frame.method, "queue", None))

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

    # -- consuming

    def consume(
        self,
        queue: str,
        prefetch: int,
        *,
        on_ready: Callable[[], None],
        on_deliveries: Callable[[list[Delivery]], None],
        on_cancelled: Callable[[], None],
        unanswered: Callable[[], int],
    ) -> None:
        """Set the prefetch, then consume with acks by hand.

        Args:
            on_ready: the broker has taken the consumer on.
            on_deliveries: with what has come together.
            on_cancelled: the broker has ended the consumer (its queue was deleted, or moved).
            unanswered: tells how many deliveries were neither acked nor nacked.
        """
        self._unanswered = unanswered

        def delivered(deliveries: list[Delivery]) -> None:
            if self._on_lost is not None:
                on_deliveries(deliveries)

        def decoded(_channel: object, method: Any, properties: BasicProperties, body: bytes) -> None:
            delivered([_delivery(method, properties, body)])

        def cancelled(_frame: object) -> None:
            if self._on_lost is not None:
                on_cancelled()

        def consuming(_frame: object) -> None:
            if self._on_lost is not None:
                on_ready()

        def limited(_frame: object) -> None:
            if self.is_open:
                self._channel.basic_consume(queue, decoded, callback=consuming)

        if self._decoder is not None:
            self._decoder.consumers[self._channel.channel_number] = delivered
        self._channel.add_on_cancel_callback(cancelled)
        self._channel.basic_qos(prefetch_count=prefetch, callback=limited)

    def stop_consuming(self, on_stopped: Callable[[], None]) -> None:
        """Cancel the consumer and leave the channel open for answers to what was delivered.

        Args:
            on_stopped: nothing more will be delivered.
        """

        def stopped(_frame: object) -> None:
            if self._on_lost is not None:
                on_stopped()

        tags = list(self._channel.consumer_tags) if self.is_open else []
        for tag in tags:
            self._channel.basic_cancel(tag, callback=stopped)
        if not tags:
            on_stopped()

    def ack(self, tag: int, *, multiple: bool) -> None:
        """Ack a delivery, with ``multiple`` all up to it. A tag that is not open closes the channel."""
        if self.is_open:
            self._channel.basic_ack(tag, multiple=multiple)

    def nack(self, tag: int, *, requeue: bool) -> None:
        """Give a delivery back. A tag that is not open closes the channel."""
        if self.is_open:
            self._channel.basic_nack(tag, requeue=requeue)


def decode_properties(found: Any) -> BasicProperties:
    """Properties as a content header has them, or as pika has decoded them already."""
    if isinstance(found, BasicProperties):
        return found
    properties: BasicProperties = BasicProperties()
    properties.decode(found)
    return properties


def _delivery(method: Any, properties: BasicProperties, body: bytes) -> Delivery:
    """What pika has decoded, as :mod:`decoding` would have it.

    The properties stay as they are: what could not be encoded again would end the connection, and each later
    one that the message is delivered over.
    """
    exchange, key = method.exchange.encode(), method.routing_key.encode()
    envelope = bytes([len(exchange)]) + exchange + bytes([len(key)]) + key
    return method.delivery_tag, bool(method.redelivered), envelope, properties, body


RECEIVE = 65536  # octets a read; pika's 4,096 are ten messages of a usual size


def _decode_deliveries(connection: Any) -> Decoder | None:
    """Have a connection's deliveries decoded by ours.

    It takes the place of pika's ``_on_data_available`` and hands every other frame on to it. Where that, or
    what it keeps, is not as in pika 1.3 and 1.4, pika goes on decoding everything.
    """
    decode = getattr(connection, "_on_data_available", None)
    if (
        not callable(decode)
        or not isinstance(getattr(connection, "_frame_buffer", None), bytes)
        or not isinstance(getattr(connection, "bytes_received", None), int)
    ):
        return None
    decoder = Decoder(decode)

    def received(data: bytes) -> None:
        if connection._frame_buffer:  # what pika had of a frame when this took its place
            data, connection._frame_buffer = connection._frame_buffer + data, b""
        before = connection.bytes_received
        decoder.feed(data)
        # pika's heartbeat looks at whether this grows
        connection.bytes_received = before + len(data)

    connection._on_data_available = received
    transport = getattr(connection, "_transport", None)
    if transport is not None and hasattr(transport, "_MAX_RECV_BYTES"):
        transport._MAX_RECV_BYTES = RECEIVE
    return decoder


def _link_lost(error: BaseException) -> LinkLost:
    """pika's many ways to say that a connection failed, as one."""
    cause: BaseException | None = error
    chain: list[BaseException] = []
    while cause is not None and len(chain) < 8:
        chain.append(cause)
        nested = getattr(cause, "exceptions", None) or [
            arg for arg in cause.args if isinstance(arg, Exception)
        ]
        cause = getattr(cause, "exception", None) or (nested[-1] if nested else None)
    for known in chain:
        if isinstance(known, exceptions.ConnectionClosedByBroker):
            return LinkLost(
                f"closed by the broker: {known.reply_code} {known.reply_text}", refused=_refusal(str(known))
            )
        if isinstance(known, exceptions.ProbableAuthenticationError | exceptions.ProbableAccessDeniedError):
            # pika guesses these from the phase in which the connection ended, also when the broker died in
            # it; only a closing method of the broker is a refusal
            if _refusal(str(known)):
                what = "user name or password" if "ACCESS_REFUSED" in str(known) else "virtual host"
                return LinkLost(f"the broker refused the {what}: {_reply_text(str(known))}", refused=True)
            return LinkLost("the connection broke while it was being opened")
    last = chain[-1]
    return LinkLost(str(last) or type(last).__name__)


def _refusal(text: str) -> bool:
    """RabbitMQ's answers to wrong credentials (403) and to an unknown or forbidden virtual host (530).

    A virtual host that is merely down, as while a broker boots, is a 530 too and no refusal.
    """
    return "ACCESS_REFUSED" in text or ("NOT_ALLOWED" in text and "is down" not in text)


def _reply_text(text: str) -> str:
    found = re.search(r"(?:ACCESS_REFUSED|NOT_ALLOWED)[^\"]*", text)
    return found.group().rstrip("')\\") if found else text

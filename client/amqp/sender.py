"""Senders: two ways to get messages onto a channel, the fast one and the plain one.

pika encodes each frame and hands it to the socket by itself, which is three system calls a message. The fast
sender encodes from templates and hands over whole bursts. For that it needs three private parts of a pika
connection, so :func:`sender_for` looks, each time a channel is opened, whether they are there; if not,
messages go through ``basic_publish``, slower and otherwise the same.
"""

import logging
from collections.abc import Sequence
from typing import Protocol

from pika import BasicProperties
from pika.channel import Channel

from rabbitkeeper.client.amqp.frames import FRAME_OVERHEAD, Encoder, Outgoing

log = logging.getLogger(__name__)

HIGH_WATER = 1 << 20  # bytes that may wait for the socket; what is beyond can still be cancelled, or expire


class Sender(Protocol):
    @property
    def room(self) -> int:
        """Bytes that may be sent now."""

    def send(self, messages: Sequence[Outgoing]) -> None: ...


class FastSender:
    """Writes bursts of ready-made frames.

    Args:
        channel: pika's, open; see :func:`sender_for` for what is needed of it.
    """

    def __init__(self, channel: Channel) -> None:
        connection = channel.connection
        self._encoder = Encoder(channel.channel_number, connection._body_max_length)
        self._write = connection._output_marshaled_frames
        self._buffered = connection._transport.get_write_buffer_size

    @property
    def room(self) -> int:
        return max(0, HIGH_WATER - int(self._buffered()))

    def send(self, messages: Sequence[Outgoing]) -> None:
        for chunk in self._encoder.encode(messages):
            self._write((chunk,))


class _EncodedProperties(BasicProperties):  # type: ignore[misc]  # pika has no types
    """Properties that are encoded already: pika cannot encode all that a header may hold."""

    def __init__(self, encoded: bytes) -> None:
        super().__init__()
        self._encoded = encoded

    def encode(self) -> list[bytes]:
        return [self._encoded]


class PlainSender:
    """Publishes one message after the other with pika's public means.

    Args:
        channel: pika's, open.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    @property
    def room(self) -> int:
        return HIGH_WATER

    def send(self, messages: Sequence[Outgoing]) -> None:
        for message in messages:
            template = message.template
            properties = _EncodedProperties(template.encoded_properties(message.message_id))
            self._channel.basic_publish(
                template.exchange,
                template.routing_key,
                message.body,
                properties,
                mandatory=template.mandatory,
            )


def sender_for(channel: Channel) -> Sender:
    """The fast sender, if this pika has what it needs."""
    missing = _missing(channel)
    if missing is None:
        return FastSender(channel)
    log.warning("publishing the slow way: this version of pika %s", missing)
    return PlainSender(channel)


def _missing(channel: Channel) -> str | None:
    """What keeps the fast sender from working on ``channel``; None if nothing does."""
    connection = channel.connection
    body_max = getattr(connection, "_body_max_length", None)
    if not isinstance(body_max, int) or body_max <= FRAME_OVERHEAD:
        return "does not say how long a frame may be"
    if not callable(getattr(connection, "_output_marshaled_frames", None)):
        return "takes no frames that are encoded already"
    buffered = getattr(getattr(connection, "_transport", None), "get_write_buffer_size", None)
    if not callable(buffered) or not isinstance(buffered(), int):
        return "does not say how much waits for the socket"
    return None

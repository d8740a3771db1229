"""Writers: two ways to get messages onto a channel, the fast one and the plain one.

pika encodes each frame and hands it to the socket by itself, which is three system calls a message, and
waits for the socket to be writable before it writes anything. The fast writer encodes from templates and
gives the socket whole bursts at once. For that it needs private parts of a pika connection, so
:func:`writer_for` looks, each time a channel is opened, whether they are there; if not, messages go through
``basic_publish``, slower and otherwise the same.
"""

import logging
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from pika import BasicProperties
from pika.channel import Channel

from rabbitkeeper.client.amqp.frames import FRAME_OVERHEAD, Encoder, Outgoing
from rabbitkeeper.client.amqp.pika_logging import warn_once

log = logging.getLogger(__name__)

HIGH_WATER = 1 << 20  # bytes that may wait for the socket; what is beyond can still be cancelled, or expire


class Writer(Protocol):
    @property
    def room(self) -> int:
        """Bytes that may be sent now."""

    def send(self, messages: Sequence[Outgoing]) -> None: ...


class FastWriter:
    """Writes bursts of ready-made frames.

    Args:
        channel: pika's, open; see :func:`writer_for` for what is needed of it.
    """

    def __init__(self, channel: Channel) -> None:
        connection = channel.connection
        self._connection = connection
        self._transport = connection._transport
        self._encoder = Encoder(channel.channel_number, connection._body_max_length)
        self._hand_over = connection._output_marshaled_frames
        self._buffered = connection._transport.get_write_buffer_size
        if not hasattr(self._transport, "_sock"):
            warn_once(log, "bursts wait for the socket: this version of pika does not show it")

    @property
    def room(self) -> int:
        return max(0, HIGH_WATER - int(self._buffered()))

    def send(self, messages: Sequence[Outgoing]) -> None:
        for chunk in self._encoder.encode(messages):
            sent = 0 if self._buffered() else self._write(chunk)
            if sent < len(chunk):
                self._hand_over((chunk[sent:],))

    def _write(self, chunk: bytes) -> int:
        """Give the socket what it takes at once, when nothing waits before it; how many bytes that was."""
        sock = getattr(self._transport, "_sock", None)
        if not isinstance(sock, socket.socket) or isinstance(sock, ssl.SSLSocket):
            return 0
        sent = 0
        with suppress(OSError):  # it takes nothing now; or it is broken, which pika finds out next
            sent = sock.send(chunk)
        self._connection.bytes_sent += sent  # pika's heartbeat looks at whether this grows
        return sent


class _EncodedProperties(BasicProperties):  # type: ignore[misc]  # pika has no types
    """Properties that are encoded already: pika cannot encode all that a header may hold."""

    def __init__(self, encoded: bytes) -> None:
        super().__init__()
        self._encoded = encoded

    def encode(self) -> list[bytes]:
        return [self._encoded]


class PlainWriter:
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


def writer_for(channel: Channel) -> Writer:
    """The fast writer, if this pika has what it needs."""
    missing = _missing(channel)
    if missing is None:
        return FastWriter(channel)
    warn_once(log, f"publishing takes the slow way: this version of pika {missing}")
    return PlainWriter(channel)


def _missing(channel: Channel) -> str | None:
    """What keeps the fast writer from working on ``channel``; None if nothing does."""
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

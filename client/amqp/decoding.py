"""Deliveries and confirms decoded straight from the socket's bytes. Pure.

pika decodes each of a delivery's three frames into objects, which is most of what consuming costs, and each
confirm into one more. Here a frame of a consumer's or publisher's channel is recognised by its first bytes. A
message leaves as a tuple of slices, to be decoded when somebody looks, and what comes in one read leaves
together. Every other frame goes on as it came, in its place.

Messages of one queue differ in their bodies and little else. So a :class:`_Shape` reads all of a delivery at
once that is laid out as one before it; what is laid out otherwise, or not whole yet, is taken frame by frame.

What is not AMQP, or not what was agreed, is a :class:`FrameError` before anything grows with it.

The layout is AMQP 0-9-1's, sections 2.3.5 (frames), 4.2.6 (content) and the methods of class ``basic``.
"""

import struct
from collections.abc import Callable
from struct import Struct
from typing import Protocol

Delivery = tuple[int, bool, bytes, object, bytes]
"""Delivery tag; whether it is redelivered; exchange and routing key, encoded (:func:`encode_envelope`);
properties, encoded (flags first), or as pika has decoded them; body."""

Answer = tuple[int, bool, bool]
"""To a publish: delivery tag; whether it stands for all up to it; whether it is an ack (else a nack)."""

_FRAME: Callable[[bytes, int], tuple[int, int, int]] = Struct(
    ">BHI"
).unpack_from  # type, channel, size; then the payload and one end octet
_CONTENT = Struct(">HHQ")  # class, weight, length of the body; then the properties
_TAG = Struct(">QB")  # delivery tag, whether it is redelivered; then exchange and routing key
_ANSWER = Struct(">11sQBB")  # frame and method; tag; bits; end octet: a whole ack or nack
_METHOD_FRAME, _HEADER_FRAME, _BODY_FRAME, _HEARTBEAT_FRAME = 1, 2, 3, 8
_FRAME_TYPES = frozenset({_METHOD_FRAME, _HEADER_FRAME, _BODY_FRAME, _HEARTBEAT_FRAME})
_END = 0xCE
_OVERHEAD = 8  # octets of a frame beside its payload
_PROPERTIES = _CONTENT.size  # where they begin in a content header's payload
_BASIC = 60
_DELIVER, _ACK, _NACK = b"\x00\x3c\x00\x3c", b"\x00\x3c\x00\x50", b"\x00\x3c\x00\x78"
_GET_OK = b"\x00\x3c\x00\x47"
BODY_MAX = 512 << 20  # bytes; the most that RabbitMQ's max_message_size can be
SHAPES = 64  # that a consumer knows; beyond them it goes frame by frame


class FrameError(Exception):
    """What came is no AMQP, or not what was agreed: the connection is of no use any more."""


class _Run(Protocol):
    """What is made of one channel's frames."""

    def take(self, data: bytes, position: int, end: int) -> int:
        """Take the whole frame at ``position`` of ``data``, and what follows it as far as it is for the same.

        Returns:
            Where what was taken ends; ``position`` if the first frame is nothing of its kind.
        """


class Decoder:
    """The frames of one connection.

    Args:
        other: takes each frame that is no delivery to a known consumer and no answer to a known publisher,
            whole.
        frame_max: bytes of a frame at the most, as agreed with the broker.
    """

    def __init__(self, other: Callable[[bytes], None], frame_max: int) -> None:
        self._other = other
        self._payload_max = frame_max - _OVERHEAD
        self._runs: dict[int, _Run] = {}
        self._rest = b""

    def consume(self, channel: int, consumer_tag: str, take: Callable[[list[Delivery]], None]) -> None:
        """Give ``take`` what is delivered on ``channel``: the deliveries of one read together."""
        tag = consumer_tag.encode()
        deliver = _DELIVER + bytes([len(tag)]) + tag
        self._runs[channel] = _Deliveries(channel, _DELIVER, deliver, self._payload_max, take)

    def get(self, channel: int, take: Callable[[list[Delivery]], None]) -> None:
        """Give ``take`` the message that was asked for on ``channel``, if there is one. It is laid out as a
        delivery, without a consumer's tag and with a count behind it, which is left in the envelope."""
        self._runs[channel] = _Deliveries(channel, _GET_OK, _GET_OK, self._payload_max, take)

    def confirm(self, channel: int, take: Callable[[list[Answer]], None]) -> None:
        """Give ``take`` the answers to what was published on ``channel``: those of one read together."""
        self._runs[channel] = _Answers(channel, take)

    def forget(self, channel: int) -> None:
        """The channel is closed; its number may be used again."""
        self._runs.pop(channel, None)

    def is_receiving(self, channel: int) -> bool:
        """Whether a delivery to ``channel`` has begun and not ended."""
        run = self._runs.get(channel)
        return isinstance(run, _Deliveries) and run.is_receiving

    def feed(self, data: bytes | memoryview) -> None:
        """Take what the socket gave; what is whole goes out.

        Raises:
            FrameError: it is no AMQP, or not what was agreed.
        """
        try:
            self._feed(self._rest + data if self._rest else bytes(data))
        except struct.error as error:
            raise FrameError(f"the broker sent a frame that cannot be read: {error}") from error

    def _feed(self, data: bytes) -> None:
        self._rest = b""
        position, end = 0, len(data)
        runs = self._runs
        while end - position >= _OVERHEAD:
            kind, channel, size = _FRAME(data, position)
            if kind not in _FRAME_TYPES:
                raise FrameError(f"the broker sent a frame of type {kind}, which AMQP has not")
            after = position + size + _OVERHEAD
            if size > self._payload_max:
                raise FrameError(
                    f"the broker sent a frame of {size + _OVERHEAD} bytes; "
                    f"agreed were {self._payload_max + _OVERHEAD} (frame_max)"
                )
            if after > end:
                break
            _check_end(data[after - 1])
            run = runs.get(channel)
            taken_to = position if run is None else run.take(data, position, end)
            if taken_to == position:
                self._other(data[position:after])
                taken_to = after
            position = taken_to
        if position < end:
            self._rest = data[position:]


class _Answers:
    """Acks and nacks on a publisher's channel. Both are frames of one length."""

    def __init__(self, channel: int, take: Callable[[list[Answer]], None]) -> None:
        frame = struct.pack(">BHI", _METHOD_FRAME, channel, _ANSWER.size - _OVERHEAD)
        self._ack, self._nack = frame + _ACK, frame + _NACK
        self._take = take

    def take(self, data: bytes, position: int, end: int) -> int:
        answers: list[Answer] = []
        while position + _ANSWER.size <= end:
            head, tag, bits, last = _ANSWER.unpack_from(data, position)
            is_ack = head == self._ack
            if not is_ack and head != self._nack:
                break
            _check_end(last)
            answers.append((tag, bits & 1 == 1, is_ack))
            position += _ANSWER.size
        if answers:
            self._take(answers)
        return position


class _Partial:
    """A delivery whose frames are still coming."""

    __slots__ = ("deliver", "left", "parts", "properties")

    def __init__(self, deliver: bytes) -> None:
        self.deliver = deliver  # its arguments from the delivery tag on
        self.properties = b""
        self.left = -1  # octets of the body; -1 before the header
        self.parts: list[bytes] = []


class _Shape:
    """A delivery's layout up to its body: where its parts are, and what stands between them.

    Args:
        channel: its number.
        deliver: the method and the consumer's tag, encoded.
        method: octets of the method frame's payload.
        header: octets of the header frame's payload.
    """

    __slots__ = ("body", "head", "header", "size", "unpack")

    def __init__(self, channel: int, deliver: bytes, method: int, header: int) -> None:
        end = bytes([_END])
        self.head = struct.pack(">BHI", _METHOD_FRAME, channel, method) + deliver
        self.header = end + struct.pack(">BHIHH", _HEADER_FRAME, channel, header, _BASIC, 0)
        self.body = end + struct.pack(">BH", _BODY_FRAME, channel)
        layout = Struct(
            f">{len(self.head)}s QB {method - len(deliver) - _TAG.size}s "
            f"{len(self.header)}s Q {header - _PROPERTIES}s {len(self.body)}s I"
        )
        self.size = layout.size
        self.unpack = layout.unpack_from


class _Deliveries:
    """What is delivered on one channel.

    Args:
        method: that delivers, encoded.
        deliver: it, with all that stands before the delivery tag.
    """

    def __init__(
        self,
        channel: int,
        method: bytes,
        deliver: bytes,
        payload_max: int,
        take: Callable[[list[Delivery]], None],
    ) -> None:
        self._channel = channel
        self._payload_max = payload_max
        self._method = method
        self._deliver = deliver
        self._take = take
        self._partial: _Partial | None = None
        self._shape: _Shape | None = None  # of the last delivery
        self._shapes: dict[tuple[int, int], _Shape] = {}  # by the payloads of method and header

    @property
    def is_receiving(self) -> bool:
        return self._partial is not None

    def take(self, data: bytes, position: int, end: int) -> int:
        ready: list[Delivery] = []
        while True:
            if self._partial is None:
                position = self._take_whole(data, position, end, ready)
            after = self._take_frame(data, position, end, ready)
            if after == position:
                break
            position = after
        if ready:
            self._take(ready)
        return position

    def _take_whole(self, data: bytes, position: int, end: int, ready: list[Delivery]) -> int:
        """Take deliveries that are here as a whole and have one frame of a body; where they end."""
        shape = self._shape or self._shape_of(data, position, end)
        while shape is not None:
            position = self._take_alike(shape, data, position, end, ready)
            other = self._shape_of(data, position, end)
            if other is shape:
                break  # a part is missing, or it is more than one frame
            shape = other
        self._shape = shape
        return position

    def _take_alike(self, shape: _Shape, data: bytes, position: int, end: int, ready: list[Delivery]) -> int:
        """Take deliveries as long as they are of ``shape``; where they end."""
        unpack, size, head, header, body = shape.unpack, shape.size, shape.head, shape.header, shape.body
        payload_max = self._payload_max
        while end - position > size:
            first, tag, bits, envelope, second, length, properties, third, part = unpack(data, position)
            start = position + size
            after = start + part
            if first != head or second != header or third != body or part != length:
                break
            if after >= end or part > payload_max or data[after] != _END:
                break
            ready.append((tag, bits & 1 == 1, envelope, properties, data[start:after]))
            position = after + 1
        return position

    def _shape_of(self, data: bytes, position: int, end: int) -> _Shape | None:
        """The layout of the delivery at ``position``; None if it is none, or one too many."""
        if end - position < _OVERHEAD:
            return None
        _kind, _channel, method = _FRAME(data, position)
        second = position + method + _OVERHEAD
        if end - second < _OVERHEAD:
            return None
        kind, _channel, header = _FRAME(data, second)
        shape = self._shapes.get((method, header))
        if (
            shape is None
            and len(self._shapes) < SHAPES
            and data.startswith(self._deliver, position + 7)
            and len(self._deliver) + _TAG.size <= method <= self._payload_max
            and kind == _HEADER_FRAME
            and _PROPERTIES <= header <= self._payload_max
        ):
            shape = self._shapes[method, header] = _Shape(self._channel, self._deliver, method, header)
        return shape

    def _take_frame(self, data: bytes, position: int, end: int, ready: list[Delivery]) -> int:
        """Take one frame; where it ends. ``position`` if it is not here as a whole, or nothing of a delivery
        on this channel."""
        if end - position < _OVERHEAD:
            return position
        kind, channel, size = _FRAME(data, position)
        after = position + size + _OVERHEAD
        if channel != self._channel or after > end or size > self._payload_max or data[after - 1] != _END:
            return position
        payload = data[position + 7 : after - 1]
        if kind == _METHOD_FRAME:
            if not payload.startswith(self._method):
                return position
            self._begin(payload)
        elif self._partial is not None:
            self._go_on(self._partial, kind, payload, ready)
        else:
            return position
        return after

    def _begin(self, payload: bytes) -> None:
        if self._partial is not None:
            raise FrameError("the broker sent a delivery before the one before it was whole")
        if not payload.startswith(self._deliver):
            name = payload[5 : 5 + payload[4]] if len(payload) > 4 else b""
            raise FrameError(
                f"the broker sent a delivery for the consumer {name.decode(errors='replace')!r}, "
                f"which channel {self._channel} has not"
            )
        self._partial = _Partial(payload[len(self._deliver) :])

    def _go_on(self, partial: _Partial, kind: int, payload: bytes, ready: list[Delivery]) -> None:
        """The header of a delivery, or a part of its body."""
        if kind == _HEADER_FRAME and partial.left < 0:
            group, _weight, partial.left = _CONTENT.unpack_from(payload)
            partial.properties = payload[_PROPERTIES:]
            if group != _BASIC or partial.left > BODY_MAX:
                raise FrameError(
                    f"the broker announced a body of {partial.left} bytes, of class {group}; "
                    f"at most {BODY_MAX} are taken"
                )
        elif kind == _BODY_FRAME and 0 < len(payload) <= partial.left:
            partial.parts.append(payload)
            partial.left -= len(payload)
        elif kind == _BODY_FRAME and partial.left >= 0:
            raise FrameError(f"the broker sent {len(payload)} bytes of a body with {partial.left} to come")
        else:
            raise FrameError("the broker sent the frames of a delivery in a wrong order")
        if partial.left == 0:
            self._partial = None
            tag, bits = _TAG.unpack_from(partial.deliver)
            envelope = partial.deliver[_TAG.size :]
            ready.append((tag, bits & 1 == 1, envelope, partial.properties, b"".join(partial.parts)))


def _check_end(octet: int) -> None:
    if octet != _END:
        raise FrameError(f"the broker sent a frame that ends with {octet:#04x} and not with {_END:#04x}")


def encode_envelope(exchange: str | bytes, routing_key: str | bytes) -> bytes:
    """As a delivery has them; each is of at most 255 bytes, and given as bytes if it is not UTF-8."""
    name = exchange if isinstance(exchange, bytes) else exchange.encode()
    key = routing_key if isinstance(routing_key, bytes) else routing_key.encode()
    return bytes([len(name)]) + name + bytes([len(key)]) + key


def decode_envelope(encoded: bytes) -> tuple[str, str]:
    """Exchange and routing key: two short strings; cut where a broker has cut them."""
    name, rest = _short(encoded)
    return name.decode(errors="surrogateescape"), _short(rest)[0].decode(errors="surrogateescape")


def _short(encoded: bytes) -> tuple[bytes, bytes]:
    at = encoded[0] + 1 if encoded else 0
    return encoded[1:at], encoded[at:]

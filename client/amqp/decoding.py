"""Deliveries decoded straight from the socket's bytes. Pure.

pika decodes each of a delivery's three frames into objects, which is most of what consuming costs. Here a
frame of a consumer's channel is recognised by its first bytes, and a message leaves as a tuple of slices, to
be decoded when somebody looks. Every other frame goes on as it came, in its place.

The layout is AMQP 0-9-1's, sections 2.3.5 (frames), 4.2.6 (content) and ``basic.deliver``.
"""

from collections.abc import Callable
from struct import Struct

Delivery = tuple[int, bool, bytes, object, bytes]
"""Delivery tag; whether it is redelivered; exchange and routing key, encoded (:func:`encode_envelope`);
properties, encoded (flags first), or as pika has decoded them; body."""

_FRAME: Callable[[bytes, int], tuple[int, int, int]] = Struct(
    ">BHI"
).unpack_from  # type, channel, size; then the payload and one end octet
_HEADER: Callable[[bytes, int], tuple[int, int, int, int, int, int]] = Struct(
    ">BHIHHQ"
).unpack_from  # of a content header
_BODY_SIZE = Struct(">Q").unpack_from
_TAG = Struct(">QB").unpack_from
_METHOD_FRAME, _HEADER_FRAME, _BODY_FRAME = 1, 2, 3
_OVERHEAD = 8  # octets of a frame beside its payload
_PROPERTIES = 12  # where they begin in a content header's payload
_DELIVER = b"\x00\x3c\x00\x3c"


class _Partial:
    """A delivery whose frames are still coming."""

    __slots__ = ("deliver", "left", "parts", "properties")

    def __init__(self, deliver: bytes) -> None:
        self.deliver = deliver
        self.properties = b""
        self.left = -1  # octets of the body; -1 before the header
        self.parts: list[bytes] = []


class Decoder:
    """The frames of one connection.

    Args:
        other: takes each frame that is no part of a delivery to a channel of ``consumers``, whole.
    """

    def __init__(self, other: Callable[[bytes], None]) -> None:
        self.consumers: dict[int, Callable[[list[Delivery]], None]] = {}
        """By channel number; each takes the deliveries of one read together."""
        self._other = other
        self._rest = b""
        self._partial: dict[int, _Partial] = {}
        self._ready: list[Delivery] = []
        self._ready_for = 0  # the channel of those

    def forget(self, channel: int) -> None:
        """The channel has no consumer any more; its number may be used again."""
        self.consumers.pop(channel, None)
        self._partial.pop(channel, None)

    def feed(self, data: bytes) -> None:
        """Take what the socket gave; what is whole goes out."""
        if self._rest:
            data = self._rest + data
            self._rest = b""
        position, end = 0, len(data)
        consumers = self.consumers
        while end - position >= _OVERHEAD:
            kind, channel, size = _FRAME(data, position)
            after = position + size + _OVERHEAD
            if after > end:
                break
            if channel not in consumers:
                self._pass_on(data[position:after])
            elif kind == _METHOD_FRAME and data[position + 7 : position + 11] == _DELIVER:
                if channel != self._ready_for:
                    self._hand_out()
                    self._ready_for = channel
                deliver = data[position + 11 : after - 1]
                whole = self._whole(data, after, end, channel, deliver)
                if whole:
                    after = whole
                else:
                    self._partial[channel] = _Partial(deliver)
            elif kind != _METHOD_FRAME and channel in self._partial:
                self._continue(channel, kind, data[position + 7 : after - 1])
            else:
                self._pass_on(data[position:after])
            position = after
        if position < end:
            self._rest = data[position:]
        self._hand_out()

    def _whole(self, data: bytes, position: int, end: int, channel: int, deliver: bytes) -> int:
        """Where a delivery ends whose header and body come next, each a whole frame; 0 if they do not."""
        if end - position < _OVERHEAD + _PROPERTIES:
            return 0
        kind, owner, size, _class, _weight, length = _HEADER(data, position)
        body = position + size + _OVERHEAD
        if kind != _HEADER_FRAME or owner != channel:
            return 0
        properties = data[position + 7 + _PROPERTIES : body - 1]
        if not length:
            if body > end:
                return 0
            self._add(deliver, properties, b"")
            return body
        after = body + length + _OVERHEAD
        if after > end or _FRAME(data, body) != (_BODY_FRAME, channel, length):
            return 0
        self._add(deliver, properties, data[body + 7 : after - 1])
        return after

    def _continue(self, channel: int, kind: int, payload: bytes) -> None:
        partial = self._partial[channel]
        if kind == _HEADER_FRAME:
            partial.properties = payload[_PROPERTIES:]
            (partial.left,) = _BODY_SIZE(payload, 4)
        else:
            partial.parts.append(payload)
            partial.left -= len(payload)
        if partial.left == 0:
            del self._partial[channel]
            if channel != self._ready_for:
                self._hand_out()
                self._ready_for = channel
            self._add(partial.deliver, partial.properties, b"".join(partial.parts))

    def _add(self, deliver: bytes, properties: bytes, body: bytes) -> None:
        at = deliver[0] + 1  # past the consumer's tag
        tag, redelivered = _TAG(deliver, at)
        self._ready.append((tag, redelivered & 1 == 1, deliver[at + 9 :], properties, body))

    def _pass_on(self, frame: bytes) -> None:
        self._hand_out()
        self._other(frame)

    def _hand_out(self) -> None:
        if self._ready:
            ready, self._ready = self._ready, []
            consumer = self.consumers.get(self._ready_for)
            if consumer is not None:
                consumer(ready)


def encode_envelope(exchange: str | bytes, routing_key: str | bytes) -> bytes:
    """As a delivery has them; each is of at most 255 bytes, and given as bytes if it is not UTF-8."""
    name = exchange if isinstance(exchange, bytes) else exchange.encode()
    key = routing_key if isinstance(routing_key, bytes) else routing_key.encode()
    return bytes([len(name)]) + name + bytes([len(key)]) + key


def decode_envelope(encoded: bytes) -> tuple[str, str]:
    """Exchange and routing key: two short strings."""
    at = encoded[0] + 1
    return encoded[1:at].decode(errors="surrogateescape"), encoded[at + 1 : at + 1 + encoded[at]].decode(
        errors="surrogateescape"
    )

"""The frames of ``basic.publish``, encoded from templates. Pure, and knows nothing of pika.

A message on the wire is a method frame, a header frame and the frames of its body (AMQP 0-9-1, section 4.2).
Of the first two only the message id and two lengths differ between messages that go to the same place with
the same properties. So a :class:`Template` holds the rest ready-made, and :class:`Encoder` fits it to a
channel and to lengths once; after that a message costs five pieces of a list.

The bytes are the same as pika's, which the tests compare over generated messages.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import Protocol

METHOD, HEADER, BODY, END = b"\x01", b"\x02", b"\x03", b"\xce"
FRAME_OVERHEAD = 8  # bytes of a frame beside its payload: type, channel, length, end
MESSAGE_ID = 1 << 7  # its flag
CHUNK = 64 * 1024  # bytes; about what one send of a socket takes at once
KNOWN = 4096  # fitted templates that an encoder keeps

_FIXED_HEADER = struct.Struct(">HHQ")  # class, weight, length of the body
_BASIC, _PUBLISH = 60, 40


class Template:
    """What messages to one place with the same properties have in common.

    Attributes:
        method: payload of the method frame.
        before: of the header frame's payload, the flags and the properties that come before the message id.
        after: the properties that come after it.
        header_size: bytes of the header frame at the most; it cannot be split, so it has to fit the broker's
            ``frame_max``.
        mark: whatever who follows the messages puts here.
    """

    __slots__ = ("after", "before", "exchange", "header_size", "mandatory", "mark", "method", "routing_key")

    def __init__(
        self,
        exchange: str,
        routing_key: str,
        *,
        mandatory: bool,
        flags: int,
        before: bytes,
        after: bytes,
    ) -> None:
        """``flags`` and the properties are without the message id."""
        self.exchange, self.routing_key, self.mandatory = exchange, routing_key, mandatory
        self.mark: object = None
        self.method = (
            struct.pack(">HHH", _BASIC, _PUBLISH, 0)
            + _short(exchange.encode())
            + _short(routing_key.encode())
            + bytes([mandatory])
        )
        self.before = struct.pack(">H", flags | MESSAGE_ID) + before
        self.after = after
        self.header_size = FRAME_OVERHEAD + _FIXED_HEADER.size + len(self.before) + 256 + len(after)

    def encoded_properties(self, message_id: str) -> bytes:
        """Flags and properties as a whole, as ``BasicProperties.decode`` takes them."""
        return self.before + _short(message_id.encode()) + self.after


class Outgoing(Protocol):
    """What the encoder needs of a message."""

    message_id: str
    template: Template
    body: bytes


class Encoder:
    """Encodes for one channel.

    Args:
        channel: its number.
        body_max: bytes of a body frame's payload at the most.
    """

    def __init__(self, channel: int, body_max: int) -> None:
        self._number = struct.pack(">H", channel)
        self._body_max = body_max
        self._known: dict[tuple[Template, int, int], tuple[bytes, bytes, bytes]] = {}

    def encode(self, messages: Iterable[Outgoing]) -> Iterator[bytes]:
        """The messages' frames, in order, in chunks of about :data:`CHUNK` bytes; one that ends a message is
        not held back."""
        pieces: list[bytes] = []
        size = 0
        body_max = self._body_max
        last_template: Template | None = None
        last_length = last_id_length = 0
        head = middle = end = b""
        for message in messages:
            template, body, message_id = message.template, message.body, message.message_id.encode()
            length, id_length = len(body), len(message_id)
            # most are like the one before
            if template is not last_template or length != last_length or id_length != last_id_length:
                last_template, last_length, last_id_length = template, length, id_length
                key = (template, length, id_length)
                head, middle, end = self._known.get(key) or self._fit(key)
            if length <= body_max:
                pieces += (head, message_id, middle, body, end)
                size += length + 128  # near enough
                if size >= CHUNK:
                    yield b"".join(pieces)
                    pieces, size = [], 0
            else:
                pieces += (head, message_id, middle)
                for start in range(0, length, body_max):
                    part = body[start : start + body_max]
                    pieces += (BODY, self._number, len(part).to_bytes(4, "big"), part, END)
                    yield b"".join(pieces)
                    pieces, size = [], 0
        if pieces:
            yield b"".join(pieces)

    def _fit(self, key: tuple[Template, int, int]) -> tuple[bytes, bytes, bytes]:
        """What comes before the message id, between it and the body, and behind the body."""
        template, body_length, id_length = key
        fixed = _FIXED_HEADER.pack(_BASIC, 0, body_length)
        header_length = len(fixed) + len(template.before) + 1 + id_length + len(template.after)
        head = b"".join(
            (
                self._frame(METHOD, len(template.method)),
                template.method,
                END,
                self._frame(HEADER, header_length),
                fixed,
                template.before,
                bytes([id_length]),
            )
        )
        middle, end = template.after + END, b""
        if 0 < body_length <= self._body_max:
            middle, end = middle + self._frame(BODY, body_length), END
        if len(self._known) >= KNOWN:
            self._known.clear()
        self._known[key] = (head, middle, end)
        return head, middle, end

    def _frame(self, kind: bytes, length: int) -> bytes:
        return kind + self._number + struct.pack(">I", length)


def _short(text: bytes) -> bytes:
    return bytes([len(text)]) + text

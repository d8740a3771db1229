"""A message's properties: checked, encoded for :mod:`frames`, and decoded for who looks at them.

``BasicProperties`` is pika's, and public: callers pass it and get it. Whatever AMQP cannot carry is found
here, on the caller's thread, and named. What foreign programs send is decoded whatever it is.
"""

import struct
from collections.abc import Mapping
from datetime import timedelta
from operator import index
from typing import Any

from pika import BasicProperties as BasicProperties
from pika.spec import PERSISTENT_DELIVERY_MODE

from rabbitkeeper.client.model.checks import SHORT, is_short, shown
from rabbitkeeper.client.model.errors import InvalidArgument
from rabbitkeeper.client.model.field_table import decode_table, decode_text, encode_table

_SHORT, _TABLE, _OCTET, _TIME = "short", "table", "octet", "time"
_FIELDS = tuple(
    (name, 1 << bit, kind)
    for name, bit, kind in (
        ("content_type", 15, _SHORT),
        ("content_encoding", 14, _SHORT),
        ("headers", 13, _TABLE),
        ("delivery_mode", 12, _OCTET),
        ("priority", 11, _OCTET),
        ("correlation_id", 10, _SHORT),
        ("reply_to", 9, _SHORT),
        ("expiration", 8, _SHORT),
        ("message_id", 7, _SHORT),
        ("timestamp", 6, _TIME),
        ("type", 5, _SHORT),
        ("user_id", 4, _SHORT),
        ("app_id", 3, _SHORT),
        ("cluster_id", 2, _SHORT),
    )
)
"""In the order of AMQP 0-9-1, each with its flag."""
PLAIN_PROPERTIES = tuple(name for name, _, kind in _FIELDS if kind is not _TABLE)
"""The names of all but the headers."""
NUMBERS = tuple(name for name, _, kind in _FIELDS if kind in (_OCTET, _TIME))
"""Of them, those of numbers."""

_MAX = {"delivery_mode": 2, "priority": 255, "timestamp": 2**64 - 1}


LONGEST = 2**32 - 1  # milliseconds; RabbitMQ closes the channel over a longer expiration


def check_properties(given: object) -> None:
    """Refuse what a caller has passed as properties by mistake.

    Raises:
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
    if given is None:
        return 1 << 12, bytes([PERSISTENT_DELIVERY_MODE]), b""
    flags, before, after = 0, b"", b""
    pieces: list[bytes] = []
    for name, flag, kind in _FIELDS:
        if name == "message_id":
            before, pieces = b"".join(pieces), []
            continue
        value = getattr(given, name)
        if value is None:
            if name != "delivery_mode":
                continue
            value = PERSISTENT_DELIVERY_MODE
        flags |= flag
        if kind is _SHORT:
            pieces.append(_encode_short(name, value))
        elif kind is _TABLE:
            pieces.append(encode_table(value, f"properties.{name}"))
        else:
            pieces.append(_encode_number(name, value, 1 if kind is _OCTET else 8))
    after = b"".join(pieces)
    return flags, before, after


def message_id_of(given: BasicProperties) -> str | None:
    """The caller's own message id.

    Raises:
        InvalidArgument: it cannot be sent.
    """
    message_id: object = given.message_id
    if message_id is None:
        return None
    text = decode_text(message_id) if isinstance(message_id, bytes) else message_id
    if not isinstance(text, str) or not is_short(text):
        raise _invalid("message_id", message_id, f"use a string of at most {SHORT} bytes of UTF-8")
    return text


def decode_properties(received: object) -> BasicProperties:
    """Properties as a content header has them (bytes), or as pika has decoded them already.

    Text that is not UTF-8 is bytes; see :mod:`field_table` for headers. If they end too early, what is
    missing is None.
    """
    if isinstance(received, BasicProperties):
        return received
    properties: BasicProperties = BasicProperties()
    if isinstance(received, bytes):
        try:
            _decode(received, properties)
        except (struct.error, IndexError):
            return properties
    return properties


def _decode(encoded: bytes, properties: BasicProperties) -> None:
    (flags,) = struct.unpack_from(">H", encoded)
    at, more = 2, flags & 1
    while more:  # no property has a flag there
        (more,) = struct.unpack_from(">H", encoded, at)
        at, more = at + 2, more & 1
    for name, flag, kind in _FIELDS:
        if not flags & flag:
            continue
        if kind is _SHORT:
            after = at + 1 + encoded[at]
            setattr(properties, name, decode_text(encoded[at + 1 : after]))
            at = after
        elif kind is _TABLE:
            properties.headers, at = decode_table(encoded, at)
        elif kind is _OCTET:
            setattr(properties, name, encoded[at])
            at += 1
        else:
            (properties.timestamp,) = struct.unpack_from(">Q", encoded, at)
            at += 8


def _encode_short(name: str, value: object) -> bytes:
    encoded: object = value
    if isinstance(value, str):
        try:
            encoded = value.encode()
        except UnicodeEncodeError:
            encoded = None
    if not isinstance(encoded, bytes) or len(encoded) > SHORT:
        raise _invalid(name, value, f"use a string of at most {SHORT} bytes of UTF-8")
    return bytes((len(encoded),)) + encoded


def _encode_number(name: str, value: object, size: int) -> bytes:
    least, most = int(name == "delivery_mode"), _MAX[name]
    try:
        number = index(value)  # type: ignore[arg-type]
        if least <= number <= most:
            return number.to_bytes(size, "big")
    except TypeError:
        pass
    unit = " (seconds since 1970)" if name == "timestamp" else ""
    raise _invalid(name, value, f"use a whole number from {least} to {most}{unit}")


def _invalid(name: str, value: object, remedy: str) -> InvalidArgument:
    """The value itself is not shown, since it may be large or a secret."""
    return InvalidArgument(f"properties.{name} (of type {type(value).__name__}) cannot be sent: {remedy}")


def message_properties(
    *,
    expiration: float | timedelta | None = None,
    priority: int | None = None,
    headers: Mapping[str, Any] | None = None,
    **others: Any,
) -> BasicProperties:
    """``pika.BasicProperties`` for ``publish``: ``message_properties(expiration=2.5, headers={"a": 1})``.

    Args:
        expiration: seconds, or a timedelta, after which a message that nobody has got is dropped or
            dead-lettered; up to 49 days. 0: unless a consumer can have it at once.
        priority: 0 to 255, for queues with ``x-max-priority``.
        headers: see the limits in the client's guide for what they may hold.
        others: as ``BasicProperties`` has them, such as ``content_type``.

    Raises:
        InvalidArgument: one of them cannot be sent, or there is no such property.
    """
    expires = None if expiration is None else str(_milliseconds(expiration))
    try:
        properties = BasicProperties(
            expiration=expires,
            priority=priority,
            headers=None if headers is None else dict(headers),
            **others,
        )
    except (TypeError, ValueError):
        unknown = sorted(set(others) - set(vars(BasicProperties())))
        what = f"properties {unknown} are not there" if unknown else f"headers {shown(headers)} are not valid"
        raise InvalidArgument(
            f"{what}: use the names of pika.BasicProperties, and a dict of headers"
        ) from None
    encode_properties(properties)
    return properties


def _milliseconds(expiration: object) -> int:
    seconds = expiration.total_seconds() if isinstance(expiration, timedelta) else expiration
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not 0 <= seconds * 1000 <= LONGEST:  # type: ignore[operator]
        raise InvalidArgument(
            f"expiration {shown(expiration)} is not valid: use seconds from 0 to {LONGEST // 1000}, "
            "or a timedelta"
        )
    return round(seconds * 1000)  # type: ignore[operator]

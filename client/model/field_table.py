"""AMQP's field tables: the values of headers and of arguments, from Python and to it. Pure.

pika has them too, but refuses a float, cuts one that comes to a whole number, and fails over what it does not
know. Here a float is AMQP's double, and nothing that a foreign program sends fails: text that is not UTF-8 is
bytes, a time beyond Python's is a number, and where a type is not known, what is left of its table is one
value of bytes.

The types are those that RabbitMQ has (https://www.rabbitmq.com/amqp-0-9-1-errata, section 3); names of
fields are short strings, of 255 bytes at most.
"""

import calendar
import math
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from rabbitkeeper.client.model.checks import SHORT
from rabbitkeeper.client.model.errors import InvalidArgument

DEPTH = 64  # tables and lists in one another; RabbitMQ has no limit, and Python's stack has
_PATH = 8  # steps of a path in an error

_LENGTH = struct.Struct(">I")
_TYPES = "str, bytes, bool, int, {}Decimal, datetime, dict with string keys, list or None"
_FIXED = {
    b"b": struct.Struct(">b"),
    b"B": struct.Struct(">B"),
    b"s": struct.Struct(">h"),
    b"U": struct.Struct(">h"),
    b"u": struct.Struct(">H"),
    b"I": struct.Struct(">i"),
    b"i": struct.Struct(">I"),
    b"l": struct.Struct(">q"),
    b"L": struct.Struct(">q"),
    b"f": struct.Struct(">f"),
    b"d": struct.Struct(">d"),
}
_INT, _LONG, _DOUBLE = struct.Struct(">ci"), struct.Struct(">cq"), struct.Struct(">cd")
_DECIMAL, _TIME = struct.Struct(">cBi"), struct.Struct(">cQ")
_LONG_STRING = struct.Struct(">cI")


class _NotSendable(Exception):
    """A value, or a key, cannot be encoded; the path to it is put together on the way up.

    It is not shown itself, since it may be large or a secret.
    """

    def __init__(self, refused: object, remedy: str, *, is_key: bool = False) -> None:
        super().__init__(remedy)
        self.type = type(refused).__name__
        self.remedy = remedy
        self.is_key = is_key
        self.path: list[str] = []


def encode_table(table: object, where: str, *, floats: bool = True) -> bytes:
    """A field table, its length first.

    Args:
        table: a mapping with string keys.
        where: its name, for the error.
        floats: whether there may be some.

    Raises:
        InvalidArgument: AMQP cannot carry it; says the path to the value, its type, and what would do.
    """
    if not isinstance(table, Mapping):
        raise InvalidArgument(
            f"{where} (of type {type(table).__name__}) cannot be sent: use a dict with string keys"
        )
    try:
        return _encode_table(table, floats, 0)
    except _NotSendable as refused:
        path = where + "".join(reversed(refused.path[-_PATH:])) + ("…" if len(refused.path) > _PATH else "")
        what = (
            f"the key (of type {refused.type}) of {path}"
            if refused.is_key
            else f"{path} (of type {refused.type})"
        )
        raise InvalidArgument(f"{what} cannot be sent: {refused.remedy}") from None


def _encode_table(table: Mapping[Any, Any], floats: bool, depth: int) -> bytes:
    pieces: list[bytes] = [b""]
    for key, value in table.items():
        name = _name(key)
        pieces += (bytes((len(name),)), name)
        try:
            pieces.append(_encode_value(value, floats, depth + 1))
        except _NotSendable as refused:
            refused.path.append(f"[{key!r}]")
            raise
    pieces[0] = _LENGTH.pack(sum(map(len, pieces)))
    return b"".join(pieces)


def _name(key: object) -> bytes:
    name: bytes | None = None
    if isinstance(key, bytes):  # as it was decoded, when it is not UTF-8
        name = key
    elif isinstance(key, str):
        try:
            name = key.encode()
        except UnicodeEncodeError:
            name = None
    if name is None or len(name) > SHORT:
        raise _NotSendable(key, f"use a string of at most {SHORT} bytes of UTF-8", is_key=True)
    return name


def _encode_value(value: Any, floats: bool, depth: int) -> bytes:
    if isinstance(value, str):
        try:
            text = value.encode()
        except UnicodeEncodeError:
            raise _NotSendable(value, "UTF-8 cannot carry a lone surrogate: use bytes") from None
        return _LONG_STRING.pack(b"S", len(text)) + text
    if isinstance(value, bool):
        return b"t\x01" if value else b"t\x00"
    if isinstance(value, int):
        return _encode_int(value)
    if isinstance(value, bytes):
        return _LONG_STRING.pack(b"x", len(value)) + value
    if value is None:
        return b"V"
    if isinstance(value, float) and floats:
        if not math.isfinite(value):
            raise _NotSendable(value, "RabbitMQ takes no infinity and no NaN: use a number or a str")
        return _DOUBLE.pack(b"d", value)
    if isinstance(value, Decimal):
        return _encode_decimal(value)
    if isinstance(value, datetime):
        return _encode_time(value)
    if isinstance(value, dict | list):
        if depth > DEPTH:
            raise _NotSendable(value, "it is nested too deeply, or contains itself")
        if isinstance(value, dict):
            return b"F" + _encode_table(value, floats, depth)
        return _encode_list(value, floats, depth)
    raise _NotSendable(value, "use " + _TYPES.format("float, " if floats else ""))


def _encode_int(value: int) -> bytes:
    try:
        return _INT.pack(b"I", value)
    except struct.error:
        pass
    try:
        return _LONG.pack(b"l", value)
    except struct.error:
        raise _NotSendable(value, "use a whole number from -2**63 to 2**63 - 1, or a str") from None


def _encode_decimal(value: Decimal) -> bytes:
    """Exactly, without the rounding of a decimal context."""
    sign, digits, exponent = value.as_tuple()
    remedy = "use a Decimal of at most 31 bits and 255 decimals, or a str"
    if not isinstance(exponent, int) or len(digits) > 400 or not -600 < exponent < 12:
        raise _NotSendable(value, remedy)
    number = int("".join(map(str, digits)))
    while exponent < 0 and number % 10 == 0:
        number, exponent = number // 10, (exponent + 1 if number else 0)
    number *= 10 ** max(0, exponent)
    try:
        return _DECIMAL.pack(b"D", max(0, -exponent), -number if sign else number)
    except struct.error:
        raise _NotSendable(value, remedy) from None


def _encode_time(value: datetime) -> bytes:
    try:
        return _TIME.pack(b"T", calendar.timegm(value.utctimetuple()))
    except (struct.error, OverflowError, ValueError):
        raise _NotSendable(value, "use a datetime from 1970 on, or a number") from None


def _encode_list(values: list[Any], floats: bool, depth: int) -> bytes:
    pieces: list[bytes] = []
    for number, value in enumerate(values):
        try:
            pieces.append(_encode_value(value, floats, depth + 1))
        except _NotSendable as refused:
            refused.path.append(f"[{number}]")
            raise
    encoded = b"".join(pieces)
    return _LONG_STRING.pack(b"A", len(encoded)) + encoded


class _Undecodable(Exception):
    """A value is of no known type, or ends beyond its table."""


def decode_table(encoded: bytes, at: int) -> tuple[dict[str | bytes, Any], int]:
    """The table that begins at ``at``, and where it ends. Whatever is in it, there is a result.

    Raises:
        struct.error: there is no room even for its length.
    """
    (size,) = _LENGTH.unpack_from(encoded, at)
    end = min(at + 4 + size, len(encoded))
    return _decode_table(encoded, at + 4, end, 0), end


def _decode_table(encoded: bytes, at: int, end: int, depth: int) -> dict[str | bytes, Any]:
    table: dict[str | bytes, Any] = {}
    while at < end:
        after = at + 1 + encoded[at]
        key = decode_text(encoded[at + 1 : min(after, end)])
        table[key], at = _value_or_rest(encoded, after, end, depth)
    return table


def _decode_list(encoded: bytes, at: int, end: int, depth: int) -> list[Any]:
    values: list[Any] = []
    while at < end:
        value, at = _value_or_rest(encoded, at, end, depth)
        values.append(value)
    return values


def _value_or_rest(encoded: bytes, at: int, end: int, depth: int) -> tuple[Any, int]:
    """The value at ``at``; if it cannot be decoded, all bytes up to ``end``, its type's among them."""
    try:
        value, after = _decode_value(encoded, at, end, depth)
    except (_Undecodable, struct.error):
        return encoded[at:end], end
    return value, after


def _decode_value(encoded: bytes, at: int, end: int, depth: int) -> tuple[Any, int]:
    kind = encoded[at : at + 1]
    at += 1
    decode = _DECODERS.get(kind)
    fixed = _FIXED.get(kind)
    if fixed is not None:
        value, after = fixed.unpack_from(encoded, at)[0], at + fixed.size
    elif decode is not None:
        value, after = decode(encoded, at)
    elif kind in (b"S", b"x", b"A", b"F"):
        (size,) = _LENGTH.unpack_from(encoded, at)
        at, after = at + 4, at + 4 + size
        if after > end or depth >= DEPTH:
            raise _Undecodable
        if kind == b"A":
            value = _decode_list(encoded, at, after, depth + 1)
        elif kind == b"F":
            value = _decode_table(encoded, at, after, depth + 1)
        else:
            value = encoded[at:after] if kind == b"x" else decode_text(encoded[at:after])
    else:
        raise _Undecodable
    if after > end:
        raise _Undecodable
    return value, after


def decode_text(encoded: bytes) -> str | bytes:
    """As it is, if it is not UTF-8."""
    try:
        return encoded.decode()
    except UnicodeDecodeError:
        return encoded


def _decode_decimal(encoded: bytes, at: int) -> tuple[Any, int]:
    decimals, number = struct.unpack_from(">Bi", encoded, at)
    return Decimal(number).scaleb(-decimals), at + 5


def _decode_time(encoded: bytes, at: int) -> tuple[Any, int]:
    """A number, if it is beyond Python's times."""
    (seconds,) = struct.unpack_from(">Q", encoded, at)
    try:
        return datetime.fromtimestamp(seconds, UTC), at + 8
    except (OverflowError, OSError, ValueError):
        return seconds, at + 8


def _decode_bool(encoded: bytes, at: int) -> tuple[Any, int]:
    return struct.unpack_from(">B", encoded, at)[0] != 0, at + 1


_DECODERS: dict[bytes, Callable[[bytes, int], tuple[Any, int]]] = {
    b"t": _decode_bool,
    b"D": _decode_decimal,
    b"T": _decode_time,
    b"V": lambda _encoded, at: (None, at),
}

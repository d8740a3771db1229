"""Messages as lines of JSON, out and in: what ``consume --json`` writes, ``publish --json`` takes. No I/O.

A line is one object. A body is ``body`` when it is UTF-8, else ``body_base64``. JSON has fewer types than
AMQP, so a header or property of a type that it lacks is an object with one key: ``{"$base64": …}`` for bytes,
``{"$timestamp": …}`` (ISO 8601), ``{"$decimal": …}``, ``{"$float": …}`` for what is no number, and
``{"$table": …}`` for a table whose own keys begin with ``$``.
"""

import base64
import binascii
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from rabbitkeeper.client.amqp.properties import PLAIN_PROPERTIES, BasicProperties
from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.model.checks import shown
from rabbitkeeper.client.model.errors import InvalidArgument

_KEYS = ("exchange", "routing_key", "body", "body_base64", "properties", "headers")
_OF_DELIVERY = ("queue", "redelivered")  # written, and passed over when they are read


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message that is to be published."""

    exchange: str
    routing_key: str
    body: bytes
    properties: BasicProperties | None = None


def encode_line(message: Message) -> bytes:
    """A delivery as one line, in UTF-8 and without its end.

    A name that is no UTF-8 has an escape for each byte, as ``\\udcff``.
    """
    content: dict[str, Any] = {
        "queue": message.queue,
        "exchange": message.exchange,
        "routing_key": message.routing_key,
        "redelivered": message.redelivered,
    }
    try:
        content["body"] = message.body.decode()
    except UnicodeDecodeError:
        content["body_base64"] = base64.b64encode(message.body).decode()
    held = {name: getattr(message.properties, name) for name in PLAIN_PROPERTIES}
    content["properties"] = {name: _to_json(value) for name, value in held.items() if value is not None}
    if message.properties.headers is not None:
        content["headers"] = {_text(name): _to_json(value) for name, value in message.headers.items()}
    return json.dumps(content, ensure_ascii=False).encode(errors="backslashreplace")


def decode_line(line: bytes, exchange: str, routing_key: str, properties: Mapping[str, Any]) -> Outgoing:
    """A line as a message.

    Args:
        exchange, routing_key: where the line names none.
        properties: ``headers`` among them, where the line does not have them.

    Raises:
        InvalidArgument: the line is no message; names the key, and what would do.
    """
    try:
        content = json.loads(line)
    except UnicodeDecodeError:
        raise InvalidArgument("is not UTF-8: write JSON in UTF-8, a binary body in body_base64") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise InvalidArgument(f'is no JSON ({error}): write an object, as {{"body": "text"}}') from None
    if not isinstance(content, dict):
        raise InvalidArgument(f'is {_kind(content)}: write an object, as {{"body": "text"}}')
    for key in content:
        if key not in _KEYS and key not in _OF_DELIVERY:
            raise InvalidArgument(f"has an unknown key {shown(key)}: use {', '.join(_KEYS)}")
    held = dict(properties)
    for name, value in _object(content, "properties").items():
        if name not in PLAIN_PROPERTIES:
            raise InvalidArgument(f"has an unknown property {shown(name)}: use {', '.join(PLAIN_PROPERTIES)}")
        held[name] = _from_json(value, f"properties.{name}")
    headers = _object(content, "headers")
    if headers:
        made = {name: _from_json(value, f"headers.{name}") for name, value in headers.items()}
        held["headers"] = {**held.get("headers", {}), **made}
    return Outgoing(
        _string(content, "exchange", exchange),
        _string(content, "routing_key", routing_key),
        _body(content),
        BasicProperties(**held) if held else None,
    )


def _body(content: dict[str, Any]) -> bytes:
    if ("body" in content) == ("body_base64" in content):
        raise InvalidArgument("needs a body: write either body (text) or body_base64")
    if "body_base64" in content:
        return decode_base64(_string(content, "body_base64", ""), "body_base64")
    try:
        return _string(content, "body", "").encode()
    except UnicodeEncodeError:
        raise InvalidArgument("body has a lone surrogate: use body_base64") from None


def decode_base64(text: str | bytes, what: str) -> bytes:
    """Bytes of their base64.

    Raises:
        InvalidArgument: it is none; names ``what``.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidArgument(f"{what} {shown(text)} is no base64") from None


def _object(content: dict[str, Any], key: str) -> dict[str, Any]:
    value = content.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidArgument(f"{key} is {_kind(value)}: use an object")
    return value


def _string(content: dict[str, Any], key: str, default: str) -> str:
    value = content.get(key, default)
    if not isinstance(value, str):
        raise InvalidArgument(f"{key} is {_kind(value)}: use a string")
    return value


def _kind(value: object) -> str:
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")


def _text(name: str | bytes) -> str:
    return name.decode(errors="backslashreplace") if isinstance(name, bytes) else name


def _to_json(value: Any) -> Any:
    match value:
        case bytes() | bytearray():
            return {"$base64": base64.b64encode(value).decode()}
        case datetime():
            return {"$timestamp": value.astimezone(UTC).isoformat()}
        case Decimal():
            return {"$decimal": str(value)}
        case float() if not math.isfinite(value):
            return {"$float": str(value)}
        case list() | tuple():
            return [_to_json(one) for one in value]
        case dict():
            table = {_text(name): _to_json(one) for name, one in value.items()}
            return {"$table": table} if any(name.startswith("$") for name in table) else table
    return value


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


_SPECIAL: dict[str, tuple[Callable[[str], Any], str]] = {
    "$base64": (lambda text: base64.b64decode(text, validate=True), "base64"),
    "$timestamp": (_time, "a time as 2026-01-31T12:00:00Z"),
    "$decimal": (Decimal, "a decimal number"),
    "$float": (float, "nan, inf or -inf"),
}


def _from_json(value: Any, where: str) -> Any:
    if isinstance(value, list):
        return [_from_json(one, f"{where}[{number}]") for number, one in enumerate(value)]
    if not isinstance(value, dict):
        return value
    marks = [name for name in value if name.startswith("$")]
    if not marks:
        return {name: _from_json(one, f"{where}.{name}") for name, one in value.items()}
    (mark, held), *others = value.items()
    if mark == "$table" and not others and isinstance(held, dict):
        return {name: _from_json(one, f"{where}.{name}") for name, one in held.items()}
    if mark not in _SPECIAL or others or not isinstance(held, str):
        raise InvalidArgument(
            f"{where} has the key {shown(marks[0])}: use one of {', '.join(_SPECIAL)} alone, with a string, "
            "or put the table into $table"
        )
    read, wanted = _SPECIAL[mark]
    try:
        return read(held)
    except (ValueError, InvalidOperation, OverflowError):
        raise InvalidArgument(f"{where}.{mark} {shown(held)} is not valid: use {wanted}") from None

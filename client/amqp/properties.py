"""A message's properties: checked, encoded for :mod:`frames`, and decoded for who looks at them.

``BasicProperties`` is pika's, and public: callers pass it and get it. Whatever AMQP cannot carry is found
here, on the caller's thread, and named.
"""

import struct

from pika import BasicProperties as BasicProperties
from pika import exceptions
from pika.spec import PERSISTENT_DELIVERY_MODE

from rabbitkeeper.client.model.errors import InvalidArgument

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
    message_id: object = given.message_id
    if message_id is None:
        return None
    try:
        text = message_id.decode() if isinstance(message_id, bytes) else message_id
        BasicProperties(message_id=text).encode()
    except _UNENCODABLE as error:
        raise InvalidArgument(f"properties.message_id cannot be sent: {_reason(error)}") from None
    return str(text)


def decode_properties(received: object) -> BasicProperties:
    """Properties as a content header has them (bytes), or as pika has decoded them already."""
    if isinstance(received, BasicProperties):
        return received
    properties: BasicProperties = BasicProperties()
    properties.decode(received)
    return properties


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


def _bad_header(path: str, value: object, depth: int = 0) -> str:
    inner: list[tuple[str, object]] = []
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


def _encodes(**fields: object) -> bool:
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

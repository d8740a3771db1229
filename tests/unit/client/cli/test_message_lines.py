"""Messages as lines of JSON: what is consumed can be published again, and mistakes are named."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from simulation.client import Simulation

from rabbitkeeper.client.amqp.properties import BasicProperties
from rabbitkeeper.client.cli.message_lines import Outgoing, decode_line, encode_line
from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.model.errors import InvalidArgument


def delivered(message: Outgoing) -> Message:
    """``message`` as a consumer gets it."""
    simulation = Simulation().started()
    subscription = simulation.client.subscribe()
    simulation.client.publishing.publish("", "orders", message.body, message.properties, True, 30.0)
    simulation.run(0.1)
    (one,) = simulation.client.take(subscription)
    return one


def foreign(envelope: bytes, properties: BasicProperties) -> Message:
    """A message of another program's, that the SDK would not publish; nobody takes its answer."""
    return Message((1, False, envelope, properties, b""), "orders", None)  # type: ignore[arg-type]


def again(message: Message) -> Outgoing:
    return decode_line(encode_line(message), "", "", {})


@pytest.mark.parametrize(
    "body", [b"", b"text", "grün\n".encode(), b'{"a": 1}', b"\xff\x00\n", bytes(range(256))]
)
def test_a_body_comes_back_as_it_was(body: bytes) -> None:
    assert again(delivered(Outgoing("", "orders", body))).body == body


def test_properties_and_headers_come_back_with_their_types() -> None:
    headers = {
        "text": "a",
        "bytes": b"\xff",
        "number": 2**40,
        "float": 1.5,
        "flag": True,
        "none": None,
        "time": datetime(2026, 1, 31, 12, tzinfo=UTC),
        "decimal": Decimal("1.25"),
        "list": [1, "b", {"deep": b"x"}],
        "dollar": {"$base64": "no bytes"},
        "empty": {},
    }
    held = BasicProperties(
        content_type="text/plain", priority=3, timestamp=1_700_000_000, message_id="m1", headers=headers
    )
    outgoing = again(delivered(Outgoing("", "orders", b"x", held)))
    assert outgoing.properties is not None
    assert outgoing.properties.headers == headers
    assert (outgoing.exchange, outgoing.routing_key) == ("", "orders")
    for name in ("content_type", "priority", "timestamp", "message_id"):
        assert getattr(outgoing.properties, name) == getattr(held, name)
    assert outgoing.properties.delivery_mode == 2


def test_a_line_says_where_the_message_was_and_whether_it_came_before() -> None:
    content = json.loads(encode_line(delivered(Outgoing("", "orders", b"x"))))
    assert (content["queue"], content["exchange"], content["routing_key"]) == ("orders", "", "orders")
    assert content["redelivered"] is False
    assert "headers" not in content


def test_what_a_line_does_not_say_is_taken_from_the_command() -> None:
    given = {"content_type": "a/b", "priority": 1, "headers": {"x": "1", "y": "2"}}
    line = b'{"body": "b", "properties": {"priority": 9}, "headers": {"y": 3}}'
    outgoing = decode_line(line, "exchange", "key", given)
    assert (outgoing.exchange, outgoing.routing_key, outgoing.body) == ("exchange", "key", b"b")
    assert outgoing.properties is not None
    assert (outgoing.properties.content_type, outgoing.properties.priority) == ("a/b", 9)
    assert outgoing.properties.headers == {"x": "1", "y": 3}
    assert given["headers"] == {"x": "1", "y": "2"}
    assert decode_line(b'{"body": ""}', "", "key", {}) == Outgoing("", "key", b"")


@pytest.mark.parametrize(
    ("line", "named"),
    [
        (b"text", "no JSON"),
        (b'{"body": "a"', "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b'{"body": "\xff"}', "not UTF-8"),
        (b"[1]", "a list"),
        (b'"a"', "a string"),
        (b"{}", "needs a body"),
        (b'{"body": "a", "body_base64": "YQ=="}', "either body"),
        (b'{"body": 1}', "body is a number"),
        (b'{"body": null}', "body is null"),
        (b'{"body": "\\ud800"}', "lone surrogate"),
        (b'{"body_base64": "?"}', "body_base64 '?' is no base64"),
        (b'{"body": "a", "key": "orders"}', "unknown key 'key'"),
        (b'{"body": "a", "exchange": 1}', "exchange is a number"),
        (b'{"body": "a", "routing_key": true}', "routing_key is a boolean"),
        (b'{"body": "a", "headers": []}', "headers is a list"),
        (b'{"body": "a", "properties": {"colour": "red"}}', "unknown property 'colour'"),
        (b'{"body": "a", "headers": {"x": {"$bytes": "a"}}}', "headers.x has the key '$bytes'"),
        (b'{"body": "a", "headers": {"x": {"$base64": "a", "b": 1}}}', "headers.x has the key '$base64'"),
        (b'{"body": "a", "headers": {"x": [{"$base64": "?"}]}}', "headers.x[0].$base64 '?' is not valid"),
        (b'{"body": "a", "headers": {"x": {"$timestamp": "now"}}}', "headers.x.$timestamp 'now'"),
        (b'{"body": "a", "headers": {"x": {"$decimal": "much"}}}', "headers.x.$decimal 'much'"),
    ],
)
def test_a_mistake_in_a_line_is_named(line: bytes, named: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        decode_line(line, "", "orders", {})
    assert named in str(refused.value)


def test_text_that_is_no_utf8_in_a_property_is_kept() -> None:
    held: Any = BasicProperties(correlation_id=b"\xff\xfe")
    outgoing = again(delivered(Outgoing("", "orders", b"x", held)))
    assert outgoing.properties is not None
    assert outgoing.properties.correlation_id == b"\xff\xfe"


def test_a_float_that_is_no_number_is_written_as_json_has_it() -> None:
    held = BasicProperties(headers={"x": float("-inf")})
    message = foreign(b"\x00\x00", held)
    assert json.loads(encode_line(message))["headers"] == {"x": {"$float": "-inf"}}
    again = decode_line(b'{"body": "", "headers": {"x": {"$float": "-inf"}}}', "", "orders", {})
    assert again.properties is not None
    assert again.properties.headers == {
        "x": float("-inf")
    }  # which RabbitMQ does not take: it is refused then


def test_a_name_that_is_no_utf8_is_written_with_escapes_and_refused_when_it_is_read() -> None:
    line = encode_line(foreign(b"\x00\x01\xff", BasicProperties()))
    assert b'"routing_key": "\\udcff"' in line
    assert json.loads(line)["routing_key"] == "\udcff"

"""What goes onto the wire is byte for byte what pika writes, whatever the message is."""

import copy
import socket
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pika
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pika.channel import Channel
from pika.connection import Connection
from support.effort import examples

from rabbitkeeper.client.amqp.frames import CHUNK, Encoder, Template
from rabbitkeeper.client.amqp.pika_logging import warn_once
from rabbitkeeper.client.amqp.properties import decode_properties, encode_properties, message_id_of
from rabbitkeeper.client.amqp.writer import FastWriter, PlainWriter, writer_for
from rabbitkeeper.client.model.errors import InvalidArgument
from rabbitkeeper.client.publish.templates import KEPT, Templates


class Transport:
    """A socket that takes everything and never sends it."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self._sock: socket.socket | None = None

    def write(self, data: bytes) -> None:
        self.chunks.append(data)

    def get_write_buffer_size(self) -> int:
        return sum(len(chunk) for chunk in self.chunks)


class Wire(Connection):  # type: ignore[misc]  # pika has no types
    """A pika connection that is open without a broker: all of it is pika's but the socket."""

    def __init__(self, body_max: int) -> None:
        self._transport = Transport()
        self._body_max_length = body_max
        self.bytes_sent = self.frames_sent = 0

    def _adapter_emit_data(self, data: bytes) -> None:
        self._transport.write(data)

    def _adapter_add_timeout(self, *_: object) -> None: ...
    def _adapter_remove_timeout(self, *_: object) -> None: ...
    def _adapter_add_callback_threadsafe(self, *_: object) -> None: ...
    def _adapter_call_later(self, *_: object) -> None: ...
    def _adapter_connect_stream(self) -> None: ...
    def _adapter_disconnect_stream(self) -> None: ...

    @classmethod
    def create_connection(cls, *_: object, **__: object) -> None: ...

    @property
    def written(self) -> bytes:
        return b"".join(self._transport.chunks)


def open_channel(number: int, body_max: int = 131_064) -> Channel:
    channel = Channel.__new__(Channel)
    channel.channel_number = number
    channel.connection = Wire(body_max)
    channel._state = Channel.OPEN
    return channel


class Outgoing:
    def __init__(self, template: Template, message_id: str, body: bytes) -> None:
        self.template, self.message_id, self.body = template, message_id, body


short = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
moments = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1)).map(
    lambda moment: moment.replace(tzinfo=UTC)
)
decimals = st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(-exponent),
    st.integers(-(2**31) // 2, 2**31 // 2),
    st.integers(0, 9),
)
# Before 1.4 pika wrote integers of more than 32 bits under other types, and read times without their zone.
is_old = tuple(map(int, pika.__version__.split(".")[:2])) < (1, 4)
integers = st.integers(-(2**31), 2**31 - 1)
if not is_old:
    integers |= st.integers(-(2**63), 2**63 - 1) | st.integers(-(2**31) - 2, 2**31 + 2)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    integers,
    decimals,
    st.none() if is_old else moments,
    st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
    st.binary(max_size=300),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(short, inner, max_size=4),
    max_leaves=12,
)
octets = st.integers(0, 255)
properties = st.builds(
    pika.BasicProperties,
    content_type=st.none() | short | st.binary(max_size=60),
    content_encoding=st.none() | short,
    headers=st.none() | st.dictionaries(short, values, max_size=5),
    delivery_mode=st.none() | st.sampled_from([1, 2, pika.DeliveryMode.Transient]),
    priority=st.none() | octets,
    correlation_id=st.none() | short,
    reply_to=st.none() | short,
    expiration=st.none() | short,
    message_id=st.none() | short,
    timestamp=st.none() | st.integers(0, 2**64 - 1),
    type=st.none() | short,
    user_id=st.none() | short,
    app_id=st.none() | short,
    cluster_id=st.none() | short,
)


@settings(max_examples=examples(500), deadline=None)
@given(
    channel=st.integers(1, 65535),
    body_max=st.sampled_from([16, 4088, 131_064]),
    messages=st.lists(
        st.tuples(short, short, st.binary(max_size=100), st.none() | properties, st.booleans()),
        min_size=1,
        max_size=4,
    ),
)
def test_every_writer_writes_what_pika_writes(
    channel: int, body_max: int, messages: list[tuple[str, str, bytes, Any, bool]]
) -> None:
    pikas = open_channel(channel, body_max)
    templates = Templates()
    outgoing = []
    for number, (exchange, routing_key, body, given_properties, mandatory) in enumerate(messages):
        message_id = None if given_properties is None else message_id_of(given_properties)
        message_id = message_id if message_id is not None else f"{number:032x}"
        template = templates.get(exchange, routing_key, given_properties, mandatory=mandatory)
        outgoing.append(Outgoing(template, message_id, body))
        expected = copy.copy(given_properties) or pika.BasicProperties()
        expected.message_id = message_id
        expected.delivery_mode = 2 if expected.delivery_mode is None else expected.delivery_mode
        pikas.basic_publish(exchange, routing_key, body, expected, mandatory=mandatory)

    fast, plain = open_channel(channel, body_max), open_channel(channel, body_max)
    FastWriter(fast).send(outgoing)
    PlainWriter(plain).send(outgoing)
    assert fast.connection.written == pikas.connection.written
    assert plain.connection.written == pikas.connection.written
    assert fast.connection.bytes_sent == pikas.connection.bytes_sent  # the heartbeat looks at it


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 32, 33, 1000])
def test_a_body_is_split_at_the_brokers_frame_max(length: int) -> None:
    body = bytes(range(256)) * 4
    pikas, fast = open_channel(1, 16), open_channel(1, 16)
    template = Templates().get("e", "k", None, mandatory=True)
    pikas.basic_publish(
        "e", "k", body[:length], pika.BasicProperties(delivery_mode=2, message_id="m"), mandatory=True
    )
    FastWriter(fast).send([Outgoing(template, "m", body[:length])])
    assert fast.connection.written == pikas.connection.written


def test_a_burst_is_few_writes_and_a_large_body_is_not_copied_into_one() -> None:
    channel = open_channel(1)
    template = Templates().get("e", "k", None, mandatory=True)
    FastWriter(channel).send([Outgoing(template, f"{number:032x}", b"x" * 256) for number in range(1000)])
    assert len(channel.connection._transport.chunks) <= 1000 * 400 // CHUNK + 2
    large = list(Encoder(1, 131_064).encode([Outgoing(template, "m", b"x" * 2**20)]))
    assert max(len(chunk) for chunk in large) < 131_072 + 256


def test_what_waits_for_the_socket_leaves_no_room() -> None:
    channel = open_channel(1)
    writer = FastWriter(channel)
    room = writer.room
    template = Templates().get("e", "k", None, mandatory=True)
    writer.send([Outgoing(template, "m", b"x" * 1000)])
    assert 0 < writer.room < room
    writer.send([Outgoing(template, "m", b"x" * room)])
    assert writer.room == 0


def test_the_socket_is_given_at_once_what_it_takes_and_the_rest_waits_behind_it() -> None:
    channel, pikas = open_channel(1), open_channel(1)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    template = Templates().get("e", "k", None, mandatory=True)
    messages = [Outgoing(template, f"{number:032x}", b"x" * 256) for number in range(10_000)]
    with ours, theirs:
        channel.connection._transport._sock = ours
        writer = FastWriter(channel)
        writer.send(messages[:10])
        assert channel.connection.written == b""
        writer.send(messages[10:9_000])
        waiting = len(channel.connection.written)
        assert 0 < waiting < 9_000 * 400, "it takes some of it"
        received = b""
        while len(received) < channel.connection.bytes_sent - waiting:
            received += theirs.recv(1 << 20)
        writer.send(messages[9_000:])  # there is room again, but something waits before it
        assert len(channel.connection.written) > waiting + 1_000 * 256
    for message in messages:
        sent = pika.BasicProperties(delivery_mode=2, message_id=message.message_id)
        pikas.basic_publish("e", "k", message.body, sent, mandatory=True)
    assert received + channel.connection.written == pikas.connection.written
    assert channel.connection.bytes_sent == pikas.connection.bytes_sent


def test_a_broken_socket_is_left_for_pika_to_find() -> None:
    channel = open_channel(1)
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours:
        channel.connection._transport._sock = ours
        template = Templates().get("e", "k", None, mandatory=True)
        FastWriter(channel).send([Outgoing(template, "m", b"x")])
    assert channel.connection.written


@pytest.mark.parametrize("part", ["_body_max_length", "_transport", "_output_marshaled_frames"])
def test_a_pika_without_the_private_parts_publishes_the_plain_way(
    part: str, caplog: pytest.LogCaptureFixture
) -> None:
    warn_once.cache_clear()
    channel = open_channel(1)
    assert isinstance(writer_for(channel), FastWriter)
    setattr(channel.connection, part, None)
    assert isinstance(writer_for(channel), PlainWriter)
    assert "pika" in caplog.text


# -- templates


def test_a_template_is_made_once_unless_there_are_headers() -> None:
    templates = Templates()
    plain = pika.BasicProperties(content_type="text/plain")
    first = templates.get("e", "k", plain, mandatory=True)
    plain.message_id = "another"
    assert templates.get("e", "k", plain, mandatory=True) is first
    assert templates.get("e", "k", plain, mandatory=False) is not first
    assert templates.get("e", "k2", plain, mandatory=True) is not first
    plain.content_type = "text/html"
    assert templates.get("e", "k", plain, mandatory=True) is not first


def test_headers_that_are_equal_to_python_and_different_to_amqp_are_not_mixed_up() -> None:
    templates = Templates()
    one = templates.get("e", "k", pika.BasicProperties(headers={"a": 1}), mandatory=True)
    true = templates.get("e", "k", pika.BasicProperties(headers={"a": True}), mandatory=True)
    assert one.before != true.before


def test_headers_changed_after_publishing_are_sent_as_they_were() -> None:
    given_properties = pika.BasicProperties(headers={"a": [1]})
    template = Templates().get("e", "k", given_properties, mandatory=True)
    before = template.encoded_properties("m")
    given_properties.headers["a"].append(2)
    assert template.encoded_properties("m") == before


def test_routing_keys_without_end_do_not_fill_the_memory() -> None:
    templates = Templates()
    encoder = Encoder(1, 100)
    for number in range(2 * KEPT + 10):
        template = templates.get("e", str(number), None, mandatory=True)
        list(encoder.encode([Outgoing(template, "m", b"")]))
    assert len(templates._kept) <= KEPT
    assert len(encoder._known) <= KEPT


# -- what is refused, before anything is sent

itself: dict[str, Any] = {}
itself["me"] = itself


@pytest.mark.parametrize(
    ("given_properties", "named"),
    [
        ({"headers": {"a": {"b": [1, object()]}}}, r"headers\['a'\]\['b'\]\[1\] \(of type object"),
        ({"headers": {"ok": 1, "bad": float("nan")}}, r"headers\['bad'\] \(of type float\)"),
        ({"headers": {1: "x"}}, r"key \(of type int\) of properties\.headers"),
        ({"headers": {"k" * 256: "x"}}, r"key \(of type str\) of properties\.headers"),
        ({"headers": {"big": 2**63}}, r"headers\['big'\]"),
        ({"headers": {"nan": Decimal("NaN")}}, r"headers\['nan'\]"),
        ({"headers": {"wide": Decimal(2**31)}}, r"headers\['wide'\]"),
        ({"headers": {"long ago": datetime(1960, 1, 1, tzinfo=UTC)}}, r"headers\['long ago'\]"),
        ({"headers": {"half": "\ud800"}}, r"headers\['half'\]"),
        ({"headers": itself}, r"headers.*contains itself"),
        ({"headers": 7}, r"properties\.headers \(of type int\)"),
        ({"content_type": 7}, r"properties\.content_type \(of type int\)"),
        ({"content_type": "x" * 256}, r"properties\.content_type"),
        ({"delivery_mode": 256}, r"properties\.delivery_mode"),
        ({"priority": "high"}, r"properties\.priority \(of type str\)"),
        ({"timestamp": datetime(2020, 1, 1, tzinfo=UTC)}, r"properties\.timestamp \(of type datetime\)"),
        ({"timestamp": -1}, r"properties\.timestamp"),
        ({"app_id": ["x"]}, r"properties\.app_id \(of type list\)"),
    ],
)
def test_a_property_that_amqp_cannot_carry_is_named(given_properties: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidArgument, match=named) as caught:
        Templates().get("e", "k", pika.BasicProperties(**given_properties), mandatory=True)
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("message_id", [7, "x" * 256, "\ud800", b"\xff"])
def test_a_message_id_that_cannot_be_sent(message_id: Any) -> None:
    with pytest.raises(InvalidArgument, match="message_id"):
        message_id_of(pika.BasicProperties(message_id=message_id))


@pytest.mark.parametrize("bad", [None, 7, ["e"], b"e", "x" * 256, "\ud800", "é" * 128])
def test_a_place_that_cannot_be_sent(bad: Any) -> None:
    templates = Templates()
    with pytest.raises(InvalidArgument, match="exchange"):
        templates.get(bad, "k", None, mandatory=True)
    with pytest.raises(InvalidArgument, match="routing_key"):
        templates.get("e", bad, None, mandatory=True)


@pytest.mark.parametrize("bad", [{"content_type": "x"}, 7, "x"])
def test_properties_that_are_none(bad: Any) -> None:
    with pytest.raises(InvalidArgument, match="BasicProperties"):
        Templates().get("e", "k", bad, mandatory=True)


def test_a_header_is_as_large_as_it_says_at_the_most() -> None:
    template = Templates().get("e", "k", pika.BasicProperties(headers={"a": "x" * 5000}), mandatory=True)
    longest = pika.BasicProperties(headers={"a": "x" * 5000}, delivery_mode=2, message_id="i" * 255)
    assert template.header_size == len(pika.frame.Header(1, 0, longest).marshal())
    assert encode_properties(None)[0] == 1 << 12


@pytest.mark.parametrize("mode", [0, 3, True + 1.0])
def test_a_delivery_mode_that_brokers_refuse(mode: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"properties\.delivery_mode.*from 1 to 2"):
        encode_properties(pika.BasicProperties(delivery_mode=mode))


def test_a_float_goes_out_over_every_writer_and_comes_in() -> None:
    template = Templates().get("e", "k", pika.BasicProperties(headers={"price": 1.5}), mandatory=True)
    fast, plain = open_channel(1), open_channel(1)
    FastWriter(fast).send([Outgoing(template, "m", b"x")])
    PlainWriter(plain).send([Outgoing(template, "m", b"x")])
    assert fast.connection.written == plain.connection.written
    received = decode_properties(template.encoded_properties("m"))
    assert (received.headers, received.message_id, received.delivery_mode) == ({"price": 1.5}, "m", 2)


@settings(max_examples=examples(300), deadline=None)
@given(properties)
def test_properties_come_in_as_pika_decodes_them(given_properties: Any) -> None:
    encoded = b"".join(given_properties.encode())
    assert decode_properties(encoded) == pika.BasicProperties().decode(encoded)


@settings(max_examples=examples(500), deadline=None)
@given(st.binary(max_size=40))
def test_properties_of_any_bytes_are_decoded(encoded: bytes) -> None:
    assert isinstance(decode_properties(encoded), pika.BasicProperties)

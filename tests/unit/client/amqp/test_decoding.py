"""Deliveries and confirms out of bytes, compared with what pika reads in the same bytes."""

from contextlib import suppress
from functools import partial
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pika import frame
from pika.spec import Basic, BasicProperties
from support.effort import examples

from rabbitkeeper.client.amqp.decoding import (
    BODY_MAX,
    SHAPES,
    Answer,
    Decoder,
    Delivery,
    FrameError,
    decode_envelope,
)
from rabbitkeeper.client.amqp.properties import decode_properties

CONSUMERS = (1, 2)
PUBLISHER = 3
TAG = "ctag1.é"
FRAME_MAX = 4096

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
properties = st.builds(
    BasicProperties,
    message_id=st.none() | texts,
    content_type=st.none() | texts,
    delivery_mode=st.sampled_from([None, 1, 2]),
    priority=st.none() | st.integers(0, 9),
    headers=st.none() | st.dictionaries(texts, st.integers(-(2**31), 2**31 - 1) | texts | st.booleans()),
)


def delivery(
    channel: int,
    tag: int,
    body: bytes = b"",
    sent: BasicProperties | None = None,
    *,
    key: str = "q",
    part: int = 100,
) -> bytes:
    """The frames of one delivery; ``part``: bytes of a body frame's payload at the most."""
    frames = [
        frame.Method(channel, Basic.Deliver(TAG, tag, False, "", key)).marshal(),
        frame.Header(channel, len(body), sent or BasicProperties()).marshal(),
    ]
    frames += [frame.Body(channel, body[at : at + part]).marshal() for at in range(0, len(body), part)]
    return b"".join(frames)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[int, list[bytes]]:
    """The frames of one delivery, or of several that are laid out alike, and their channel."""
    channel = draw(st.sampled_from(CONSUMERS))
    redelivered, exchange, key = draw(st.booleans()), draw(texts), draw(texts)
    body, sent = draw(st.binary(max_size=50)), draw(properties)
    limit = draw(st.integers(1, 60))  # of a frame's payload: a small one cuts the body
    frames: list[bytes] = []
    for _ in range(draw(st.integers(1, 3))):
        method = Basic.Deliver(TAG, draw(st.integers(1, 2**63)), redelivered, exchange, key)
        frames += [frame.Method(channel, method).marshal(), frame.Header(channel, len(body), sent).marshal()]
        frames += [frame.Body(channel, body[at : at + limit]).marshal() for at in range(0, len(body), limit)]
    return channel, frames


answers = st.builds(
    lambda answer: (PUBLISHER, [frame.Method(PUBLISHER, answer).marshal()]),
    st.builds(Basic.Ack, st.integers(0, 2**63), st.booleans())
    | st.builds(Basic.Nack, st.integers(0, 2**63), st.booleans(), st.booleans()),
)
others = st.sampled_from(
    [
        (0, [frame.Heartbeat().marshal()]),
        (1, [frame.Method(1, Basic.ConsumeOk("a")).marshal()]),
        (2, [frame.Method(2, Basic.Cancel("a", True)).marshal()]),
        (PUBLISHER, [frame.Method(PUBLISHER, Basic.Return(312, "NO_ROUTE", "", "q")).marshal()]),
        (4, [frame.Method(4, Basic.Ack(7, True)).marshal()]),
        (4, [delivery(4, 1, b"x")]),
    ]
)

Event = tuple[int, object]


def as_pika_reads(data: bytes) -> list[Event]:
    """What is in ``data``, by channel: deliveries, answers, and the methods of other frames."""
    events: list[Event] = []
    open_: dict[int, list[object]] = {}
    while data:
        size, read = frame.decode_frame(data)
        channel = read.channel_number
        if isinstance(read, frame.Method) and isinstance(read.method, Basic.Deliver) and channel in CONSUMERS:
            open_[channel] = [read.method]
        elif isinstance(read, frame.Header) and channel in CONSUMERS:
            open_[channel] += [read.properties, read.body_size, b""]
        elif isinstance(read, frame.Body) and channel in CONSUMERS:
            open_[channel][3] += read.fragment
        elif channel == PUBLISHER and isinstance(read.method, Basic.Ack | Basic.Nack):
            answer = read.method
            events.append((channel, (answer.delivery_tag, answer.multiple, isinstance(answer, Basic.Ack))))
        else:
            events.append((channel, data[:size]))
        data = data[size:]
        known = open_.get(channel, [])
        if len(known) == 4 and len(known[3]) == known[2]:  # type: ignore[arg-type]
            method, sent, _, body = open_.pop(channel)
            assert isinstance(method, Basic.Deliver)
            place = (method.exchange, method.routing_key)
            events.append((channel, (method.delivery_tag, method.redelivered, place, sent, body)))
    return events


class Reading:
    """A decoder with two consumers and a publisher, and what came out of it."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.decoder = Decoder(lambda data: self.events.append((data[1] << 8 | data[2], data)), FRAME_MAX)
        for channel in CONSUMERS:
            self.decoder.consume(channel, TAG, partial(self.delivered, channel))
        self.decoder.confirm(PUBLISHER, self.answered)

    def delivered(self, channel: int, found: list[Delivery]) -> None:
        assert found
        for tag, again, envelope, encoded, body in found:
            assert isinstance(encoded, bytes)
            assert type(body) is bytes
            place = decode_envelope(envelope)
            self.events.append((channel, (tag, again, place, decode_properties(encoded), body)))

    def answered(self, found: list[Answer]) -> None:
        assert found
        self.events += [(PUBLISHER, answer) for answer in found]


@settings(max_examples=examples(200), deadline=None)
@given(
    st.lists(st.one_of(deliveries(), answers, others), max_size=12),
    st.lists(st.integers(1, 400), max_size=20),
    st.randoms(use_true_random=False),
)
def test_whatever_comes_in_whatever_pieces_is_read_as_pika_reads_it(
    items: list[tuple[int, list[bytes]]], cuts: list[int], random: Random
) -> None:
    # each channel's frames stay in their order; those of different channels mix as the broker likes
    queues: dict[int, list[bytes]] = {}
    for channel, frames in items:
        queues.setdefault(channel, []).extend(frames)
    data = b""
    while any(queues.values()):
        data += queues[random.choice([number for number, waiting in queues.items() if waiting])].pop(0)
    # of channel 4, which nobody consumes on, a delivery's frames go on as they are, one by one
    expected = as_pika_reads(data)
    reading = Reading()
    for cut in cuts:
        reading.decoder.feed(data[:cut])
        data = data[cut:]
    reading.decoder.feed(memoryview(data))
    assert reading.events == expected


STREAM = (
    delivery(1, 1, b"x" * 40, BasicProperties(message_id="a", delivery_mode=2))
    + delivery(1, 2, b"y" * 40, BasicProperties(message_id="b", delivery_mode=2))
    + delivery(1, 3)
    + delivery(1, 4, b"z" * 30, part=7)
    + frame.Method(PUBLISHER, Basic.Ack(1, False)).marshal()
    + frame.Method(PUBLISHER, Basic.Ack(7, True)).marshal()
    + frame.Heartbeat().marshal()
    + delivery(2, 1, b"\xce" * 9, key="")
    + frame.Method(PUBLISHER, Basic.Nack(8, False, False)).marshal()
)


def test_it_is_read_alike_wherever_it_is_split() -> None:
    expected = as_pika_reads(STREAM)
    assert len(expected) == 9
    for at in range(len(STREAM)):
        reading = Reading()
        reading.decoder.feed(STREAM[:at])
        reading.decoder.feed(STREAM[at:])
        assert reading.events == expected, f"split at {at}"
    reading = Reading()
    for at in range(len(STREAM)):
        reading.decoder.feed(STREAM[at : at + 1])
    assert reading.events == expected


def test_what_one_read_brings_goes_out_together() -> None:
    found: list[int] = []
    decoder = Decoder(lambda _frame: None, FRAME_MAX)
    decoder.consume(1, TAG, lambda together: found.append(len(together)))
    decoder.confirm(2, lambda together: found.append(len(together)))
    acks = [frame.Method(2, Basic.Ack(tag, False)).marshal() for tag in range(1, 6)]
    decoder.feed(b"".join([delivery(1, tag, b"x") for tag in range(1, 4)] + acks))
    assert found == [3, 5]


def test_layouts_without_end_do_not_fill_the_memory() -> None:
    reading = Reading()
    for tag in range(1, 2 * SHAPES):
        data = delivery(1, tag, b"x", key="k" * (tag % 250))
        reading.decoder.feed(data + data)
    assert [event[1][0] for event in reading.events] == [tag for tag in range(1, 2 * SHAPES) for _ in "ab"]  # type: ignore[index]
    assert len(reading.decoder._runs[1]._shapes) <= SHAPES  # type: ignore[attr-defined]


def test_a_frame_of_a_channel_without_a_consumer_goes_on_as_it_came() -> None:
    passed: list[bytes] = []
    decoder = Decoder(passed.append, FRAME_MAX)
    decoder.consume(1, TAG, lambda found: passed.append(b"never"))
    decoder.forget(1)
    data = frame.Method(1, Basic.Deliver(TAG, 1, False, "", "q")).marshal()
    decoder.feed(data[:9])
    assert passed == []
    decoder.feed(data[9:])
    assert passed == [data]


def test_what_is_told_after_deliveries_is_told_after_them() -> None:
    seen: list[str] = []
    decoder = Decoder(lambda _frame: seen.append("cancel"), FRAME_MAX)
    decoder.consume(1, TAG, lambda found: seen.extend("delivery" for _ in found))
    one = delivery(1, 1)
    decoder.feed(one + one + frame.Method(1, Basic.Cancel(TAG, True)).marshal() + one)
    assert seen == ["delivery", "delivery", "cancel", "delivery"]


# -- what no broker may send

DELIVER = frame.Method(1, Basic.Deliver(TAG, 9, False, "", "q")).marshal()


def header(length: int, group: int = 60) -> bytes:
    payload = group.to_bytes(2, "big") + b"\0\0" + length.to_bytes(8, "big") + b"\0\0"
    return b"\x02\0\x01" + len(payload).to_bytes(4, "big") + payload + b"\xce"


def body(size: int) -> bytes:
    return b"\x03\0\x01" + size.to_bytes(4, "big") + b"x" * size + b"\xce"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "type 72"),
        (b"\x05\0\x01\0\0\0\0\xce", "type 5"),
        (b"\x01\0\x01\xff\xff\xff\xff\0", "frame of 4294967303 bytes; agreed were 4096"),
        (b"\x03\0\x01\0\0\x0f\xf9x", "frame of 4097 bytes; agreed were 4096"),
        (b"\x03\0\x01\0\0\x0f\xf9" + b"x" * 0xFF9 + b"\xce", "frame of 4097 bytes; agreed were 4096"),
        (DELIVER + header(0xFF9) + body(0xFF9), "frame of 4097 bytes; agreed were 4096"),
        (DELIVER[:-1] + b"\0", "ends with 0x00"),
        (DELIVER + header(3)[:-1] + b"\x01", "ends with 0x01"),
        (DELIVER + header(3) + body(3)[:-1] + b"\x02", "ends with 0x02"),
        (frame.Method(PUBLISHER, Basic.Ack(1)).marshal()[:-1] + b"\x03", "ends with 0x03"),
        (DELIVER + header(3) + body(4), "4 bytes of a body with 3 to come"),
        (DELIVER + header(5) + body(3) + body(3), "3 bytes of a body with 2 to come"),
        (DELIVER + header(5) + body(0), "0 bytes of a body with 5 to come"),
        (DELIVER + header(BODY_MAX + 1), f"body of {BODY_MAX + 1} bytes"),
        (DELIVER + header(2**64 - 1), f"body of {2**64 - 1} bytes"),
        (DELIVER + header(3, group=61), "of class 61"),
        (DELIVER + body(3), "wrong order"),
        (DELIVER + header(3) + header(3), "wrong order"),
        (DELIVER + DELIVER, "before the one before it was whole"),
        (frame.Method(1, Basic.Deliver("other", 9, False, "", "q")).marshal(), "consumer 'other'"),
        (delivery(2, 1).replace(TAG.encode(), b"ctag1.12"), "consumer 'ctag1.12', which channel 2 has not"),
        (b"\x01\0\x01\0\0\0\x04\x00\x3c\x00\x3c\xce", "consumer ''"),
        (DELIVER + b"\x02\0\x01\0\0\0\x03\0\x3c\0\xce", "cannot be read"),
    ],
)
@pytest.mark.parametrize("before", [b"", delivery(1, 1, b"x"), delivery(1, 1, b"x") * 2])
@pytest.mark.parametrize("piecemeal", [False, True])
def test_what_is_no_amqp_or_not_agreed_is_an_error_that_says_what(
    data: bytes, why: str, before: bytes, piecemeal: bool
) -> None:
    reading = Reading()
    reading.decoder.feed(before)

    def feed() -> None:
        for at in range(len(data)):
            reading.decoder.feed(data[at : at + 1])

    with pytest.raises(FrameError, match="the broker") as caught:
        feed() if piecemeal else reading.decoder.feed(data)
    assert why in str(caught.value)


@settings(max_examples=examples(300), deadline=None)
@given(st.binary(max_size=80), st.integers(0, len(STREAM)))
def test_any_bytes_are_read_or_refused(noise: bytes, at: int) -> None:
    reading = Reading()
    with suppress(FrameError):
        reading.decoder.feed(STREAM[:at] + noise + STREAM[at:])
    assert len(reading.decoder._rest) < FRAME_MAX + 8


@pytest.mark.parametrize("size", [0, 5, 250])
def test_a_message_that_was_asked_for_is_decoded_as_a_delivery(size: int) -> None:
    got: list[Delivery] = []
    others: list[bytes] = []
    decoder = Decoder(others.append, FRAME_MAX)
    decoder.get(7, got.extend)
    body = b"x" * size
    frames = [
        frame.Method(7, Basic.GetOk(1, True, "exchange", "key", 3)).marshal(),
        frame.Header(7, size, BasicProperties(message_id="id")).marshal(),
        *(frame.Body(7, body[at : at + 100]).marshal() for at in range(0, size, 100)),
    ]
    data = b"".join(frames)
    for at in range(0, len(data), 11):
        decoder.feed(data[at : at + 11])
    ((tag, redelivered, envelope, encoded, received),) = got
    assert (tag, redelivered, received) == (1, True, body)
    assert decode_envelope(envelope) == ("exchange", "key")
    assert decode_properties(encoded).message_id == "id"
    empty = frame.Method(7, Basic.GetEmpty()).marshal()
    decoder.feed(empty)
    assert others == [empty]

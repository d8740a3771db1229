"""Deliveries out of bytes, compared with what pika reads in the same bytes."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from pika import frame
from pika.spec import Basic, BasicProperties

from rabbitkeeper.client.amqp.decoding import Decoder, Delivery, decode_envelope
from rabbitkeeper.client.amqp.properties import decode_properties

CONSUMERS = (1, 2)

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
properties = st.builds(
    BasicProperties,
    message_id=st.none() | texts,
    content_type=st.none() | texts,
    delivery_mode=st.sampled_from([None, 1, 2]),
    priority=st.none() | st.integers(0, 9),
    headers=st.none() | st.dictionaries(texts, st.integers(-(2**31), 2**31 - 1) | texts | st.booleans()),
)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[int, list[bytes], tuple[object, ...]]:
    """The frames of one delivery, its channel, and what it should be read as."""
    channel = draw(st.sampled_from(CONSUMERS))
    tag, redelivered = draw(st.integers(1, 2**63)), draw(st.booleans())
    exchange, key, body = draw(texts), draw(texts), draw(st.binary(max_size=50))
    sent = draw(properties)
    limit = draw(st.integers(1, 60))  # of a frame's payload: a small one cuts the body
    method = Basic.Deliver(draw(texts), tag, redelivered, exchange, key)
    frames = [frame.Method(channel, method).marshal(), frame.Header(channel, len(body), sent).marshal()]
    frames += [frame.Body(channel, body[at : at + limit]).marshal() for at in range(0, len(body), limit)]
    return channel, frames, (tag, redelivered, (exchange, key), sent, body)


others = st.sampled_from(
    [
        frame.Heartbeat().marshal(),
        frame.Method(3, Basic.Ack(7, True)).marshal(),
        frame.Method(1, Basic.ConsumeOk("a")).marshal(),
        frame.Method(2, Basic.Cancel("a", True)).marshal(),
    ]
)


@given(
    st.lists(st.one_of(deliveries(), others), max_size=12),
    st.lists(st.integers(1, 400), max_size=20),
    st.randoms(use_true_random=False),
)
def test_whatever_comes_in_whatever_pieces_is_read_in_order(
    items: list[object],
    cuts: list[int],
    random: Random,
) -> None:
    got: dict[int, list[object]] = {1: [], 2: []}
    passed: list[bytes] = []
    decoder = Decoder(passed.append)
    for channel in CONSUMERS:

        def take(found: list[Delivery], to: list[object] = got[channel]) -> None:
            to.extend(
                (tag, again, decode_envelope(envelope), decode_properties(encoded), body)
                for tag, again, envelope, encoded, body in found
            )

        decoder.consumers[channel] = take
    # each channel's frames stay in their order; those of different channels mix as the broker likes
    queues: dict[int, list[bytes]] = {0: [], 1: [], 2: []}
    expected: dict[int, list[object]] = {1: [], 2: []}
    for item in items:
        if isinstance(item, tuple):
            channel, frames, meaning = item
            queues[channel] += frames
            expected[channel].append(meaning)
        else:
            assert isinstance(item, bytes)
            queues[0].append(item)
    data, other = b"", list(queues[0])
    while any(queues.values()):
        data += queues[random.choice([number for number, waiting in queues.items() if waiting])].pop(0)
    for cut in cuts:
        decoder.feed(data[:cut])
        data = data[cut:]
    decoder.feed(data)
    assert got == expected
    assert passed == other


def test_a_frame_of_a_channel_without_a_consumer_goes_on_as_it_came() -> None:
    passed: list[bytes] = []
    decoder = Decoder(passed.append)
    decoder.consumers[1] = lambda found: passed.append(b"never")
    decoder.forget(1)
    data = frame.Method(1, Basic.Deliver("c", 1, False, "", "q")).marshal()
    decoder.feed(data[:9])
    assert passed == []
    decoder.feed(data[9:])
    assert passed == [data]


def test_what_is_told_after_deliveries_is_told_after_them() -> None:
    seen: list[str] = []
    decoder = Decoder(lambda _frame: seen.append("cancel"))
    decoder.consumers[1] = lambda found: seen.extend("delivery" for _ in found)
    one = (
        frame.Method(1, Basic.Deliver("c", 1, False, "", "q")).marshal()
        + frame.Header(1, 0, BasicProperties()).marshal()
    )
    decoder.feed(one + one + frame.Method(1, Basic.Cancel("c", True)).marshal() + one)
    assert seen == ["delivery", "delivery", "cancel", "delivery"]

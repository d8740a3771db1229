"""A message shows what was sent, whoever has sent it."""

import asyncio
import struct
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from pika import BasicProperties
from simulation.client import Simulation

from rabbitkeeper.client.amqp.decoding import encode_envelope
from rabbitkeeper.client.consume.acknowledger import Acknowledger
from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.consume.taker import Deduplicator


def message(properties: object, envelope: bytes = encode_envelope("e", "k")) -> Message:
    simulation = Simulation("a").started()
    connection = simulation.client.transport.open[0]
    acknowledger = Acknowledger(
        connection.channels[0],
        10,
        post=simulation.client.engine.post,
        call_later=simulation.client.loop.call_later,
    )
    return Message((1, False, envelope, properties, b"body"), "orders", acknowledger)


def test_a_foreign_message_id_that_is_no_text_can_be_told_from_others() -> None:
    flags = struct.pack(">H", 1 << 7)
    first, second = message(flags + b"\x02\xff\x01"), message(flags + b"\x02\xff\x02")
    assert first.message_id == "\udcff\x01"
    memory = Deduplicator(10)
    memory.acked(first)
    assert memory.has(first)
    assert not memory.has(second)


def test_foreign_headers_are_there_as_far_as_they_are_understood() -> None:
    fields = (
        b"\x05price" + b"d" + struct.pack(">d", 1.5) + b"\x04time" + b"T" + b"\xff" * 8 + b"\x03odd" + b"?!"
    )
    one = message(struct.pack(">H", 1 << 13) + struct.pack(">I", len(fields)) + fields)
    assert one.headers == {"price": 1.5, "time": 2**64 - 1, "odd": b"?!"}
    assert one.attempt == 1


def test_properties_that_end_too_early_are_none() -> None:
    one = message(struct.pack(">H", 1 << 7 | 1 << 6) + b"\x01m" + b"\x00")
    assert (one.message_id, one.properties.timestamp) == ("m", None)


def test_what_pika_has_decoded_is_shown_as_it_is() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    one = message(BasicProperties(headers={"at": moment}), encode_envelope(b"\xff", "k"))
    assert one.headers == {"at": moment}
    assert (one.exchange, one.routing_key) == ("\udcff", "k")


class Answers:
    """Notes how messages are answered."""

    def __init__(self) -> None:
        self.given: list[str] = []

    def ack(self, _tag: int) -> None:
        self.given.append("ack")

    def nack(self, _tag: int, *, requeue: bool) -> None:
        self.given.append("requeue" if requeue else "reject")


@pytest.mark.parametrize(
    ("error", "requeue", "answer"),
    [
        (None, True, "ack"),
        (None, False, "ack"),
        (KeyError, True, "requeue"),
        (KeyError, False, "reject"),
        (KeyboardInterrupt, False, "requeue"),
        (asyncio.CancelledError, False, "requeue"),
    ],
)
def test_a_block_answers_for_its_message(
    error: type[BaseException] | None, requeue: bool, answer: str
) -> None:
    answers = Answers()
    one = Message((1, False, b"", b"", b"body"), "orders", answers)  # type: ignore[arg-type]
    with suppress(*([error] if error else [])), one.process(requeue=requeue) as same:
        assert same is one
        if error is not None:
            raise error
    assert answers.given == [answer]


def test_what_is_answered_in_its_block_is_answered_once() -> None:
    answers = Answers()
    one = Message((1, False, b"", b"", b"body"), "orders", answers)  # type: ignore[arg-type]
    with one.process():
        one.reject()
    assert answers.given == ["reject"]

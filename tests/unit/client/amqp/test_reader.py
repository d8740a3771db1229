"""From the socket to the decoder, past pika: with this pika, with others, with brokers that send nonsense."""

import socket
from collections.abc import Callable
from typing import Any

import pika
import pytest
from pika import frame
from pika.spec import Basic, BasicProperties, Confirm, Connection
from support.client.scripted_broker import ScriptedBroker

from rabbitkeeper.client.amqp import reader
from rabbitkeeper.client.amqp.decoding import Answer, Delivery
from rabbitkeeper.client.amqp.pika_connection import PikaTransport
from rabbitkeeper.client.amqp.pika_logging import warn_once
from rabbitkeeper.client.amqp.transport import Access, Channel, ConnectionLost

CONSUMER = "c"


def delivery(tag: int, body: bytes, consumer: str = CONSUMER) -> bytes:
    return b"".join(
        one.marshal()
        for one in (
            frame.Method(1, Basic.Deliver(consumer, tag, False, "", "q")),
            frame.Header(1, len(body), BasicProperties(message_id=str(tag))),
            frame.Body(1, body),
        )
    )


class PikasTransport:
    """As much of a transport of pika's as the reader looks at."""

    _MAX_RECV_BYTES = 4096

    def __init__(self) -> None:
        self._sock = socket.socket()
        self._sock.close()

    class RxEndOfFile(OSError):
        pass

    def _consume(self) -> None: ...


class PikasConnection:
    """As much of a connection of pika's as the reader looks at: ``buffer`` is what it has of a frame."""

    def __init__(self, buffer: bytes | bytearray) -> None:
        self._frame_buffer = buffer
        self.bytes_received = 100
        self.params = pika.ConnectionParameters(frame_max=8192)
        self._transport: Any = PikasTransport()
        self.decoded: list[bytes] = []

    def _on_data_available(self, data: bytes) -> None:
        self.decoded.append(data)


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_what_pika_had_of_a_frame_is_read_with_the_rest(kind: type[bytes] | type[bytearray]) -> None:
    data = delivery(1, b"abc")
    connection = PikasConnection(kind(data[:9]))
    decoder = reader.read_directly(connection)
    assert decoder is not None
    got: list[Delivery] = []
    decoder.consume(1, CONSUMER, got.extend)
    connection._on_data_available(data[9:])
    assert [(one[0], one[4]) for one in got] == [(1, b"abc")]
    assert connection._frame_buffer == b""
    assert type(connection._frame_buffer) is kind
    assert connection.bytes_received == 100 + len(data), "the heartbeat looks at it"
    heartbeat = frame.Heartbeat().marshal()
    connection._on_data_available(heartbeat)
    assert connection.decoded == [heartbeat]


@pytest.mark.parametrize(
    ("part", "other"),
    [
        ("_frame_buffer", ["parts"]),
        ("bytes_received", None),
        ("bytes_received", 0.0),
        ("_on_data_available", 7),
    ],
)
def test_with_another_pika_it_decodes_and_the_log_says_so_once(
    part: str, other: object, caplog: pytest.LogCaptureFixture
) -> None:
    warn_once.cache_clear()
    connection = PikasConnection(b"")
    setattr(connection, part, other)
    assert reader.read_directly(connection) is None
    assert reader.read_directly(connection) is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "slow way" in caplog.text


@pytest.mark.parametrize(("part", "other"), [("_sock", None), ("RxEndOfFile", None), ("_consume", 7)])
def test_a_socket_that_is_not_shown_is_read_by_pika_and_the_log_says_so(
    part: str, other: object, caplog: pytest.LogCaptureFixture
) -> None:
    warn_once.cache_clear()
    connection = PikasConnection(b"")
    setattr(connection._transport, part, other)
    assert reader.read_directly(connection) is not None
    assert connection._transport._MAX_RECV_BYTES == reader.RECEIVE
    assert "the socket is read the slow way" in caplog.text


# -- over a socket


class Talk:
    """A connection of ours to a scripted broker, and what is reported of it."""

    def __init__(self, broker: ScriptedBroker, opened: Callable[["Talk", Channel], None]) -> None:
        self.opened = opened
        self.transport = PikaTransport()
        self.lost: list[ConnectionLost] = []
        self.delivered: list[list[Delivery]] = []
        self.answered: list[list[Answer]] = []
        self.until: Callable[[], bool] = lambda: False
        loop = self.transport.loop

        def on_lost(why: ConnectionLost) -> None:
            self.lost.append(why)
            loop.stop()

        self.connection = self.transport.connect(
            broker.address,
            Access("app", "secret"),
            timeout=10.0,
            on_open=self.open,
            on_lost=on_lost,
            on_blocked=lambda _why: None,
        )
        loop.call_later(20.0, loop.stop)
        self.look()
        loop.run()
        self.connection.abort()
        loop.release()

    def open(self) -> None:
        self.connection.channel(lambda channel: self.opened(self, channel), lambda *_: None)

    def look(self) -> None:
        if self.until():
            self.transport.loop.stop()
        else:
            self.transport.loop.call_later(0.002, self.look)

    def consume(self, channel: Channel) -> None:
        channel.consume(
            "q",
            10,
            {},
            on_ready=lambda: None,
            on_deliveries=self.delivered.append,
            on_cancelled=lambda: None,
        )


def when_consuming(
    script: Callable[[str], bytes], *, ends: bool = False, frame_max: int = 131_072
) -> ScriptedBroker:
    """A broker that says ``script`` of the consumer's tag behind its answer to ``basic.consume``, and hangs
    up then if it ``ends``."""

    def say(method: object, _channel: int) -> bytes:
        return script(method.consumer_tag) if isinstance(method, Basic.Consume) else b""

    return ScriptedBroker(say, until=Basic.Consume if ends else None, frame_max=frame_max)


def bodies(talk: Talk) -> list[bytes]:
    return [one[4] for together in talk.delivered for one in together]


def test_a_message_larger_than_a_read_comes_whole() -> None:
    large = bytes(range(256)) * 2000

    def script(tag: str) -> bytes:
        parts = [frame.Body(1, large[at : at + 131_064]) for at in range(0, len(large), 131_064)]
        method = frame.Method(1, Basic.Deliver(tag, 1, False, "", "q"))
        header = frame.Header(1, len(large), BasicProperties())
        return b"".join(one.marshal() for one in (method, header, *parts)) + delivery(2, b"small", tag)

    def opened(talk: Talk, channel: Channel) -> None:
        talk.consume(channel)
        talk.until = lambda: len(bodies(talk)) == 2

    with when_consuming(script) as broker:
        talk = Talk(broker, opened)
    assert bodies(talk) == [large, b"small"]
    assert talk.lost == []


def test_the_answers_of_one_read_come_together() -> None:
    acks = b"".join(frame.Method(1, Basic.Ack(tag, False)).marshal() for tag in range(1, 101))

    def opened(talk: Talk, channel: Channel) -> None:
        channel.confirm(lambda: None, talk.answered.append, lambda *_: None)
        talk.until = lambda: sum(map(len, talk.answered)) == 100

    with ScriptedBroker(lambda method, _: acks if isinstance(method, Confirm.Select) else b"") as broker:
        talk = Talk(broker, opened)
    assert [answer for together in talk.answered for answer in together] == [
        (tag, False, True) for tag in range(1, 101)
    ]
    assert len(talk.answered) < 100


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (lambda tag: b"\x03\0\x01\x7f\xff\xff\xff" + b"x" * 200_000, "2147483655 bytes; agreed were 131072"),
        (lambda tag: delivery(1, b"abc", tag)[:-1] + b"\0", "ends with 0x00"),
        (lambda tag: delivery(1, b"abc", tag)[:-4] + b"abcd\xce", "ends with"),
        (lambda tag: delivery(1, b"abc", "nobody"), "consumer 'nobody'"),
        (lambda tag: b"\x2a" * 100, "type 42"),
        (lambda _tag: frame.Method(0, Connection.Close(320, "shut down", 0, 0)).marshal(), "320 shut down"),
    ],
)
def test_what_no_broker_may_send_ends_the_connection_and_says_why(
    script: Callable[[str], bytes], why: str
) -> None:
    with when_consuming(script) as broker:
        talk = Talk(broker, lambda talk, channel: talk.consume(channel))
    (lost,) = talk.lost
    assert why in lost.why
    assert not lost.refused
    assert bodies(talk) == []


def test_the_end_of_the_stream_is_the_end_of_the_connection() -> None:
    with when_consuming(lambda tag: delivery(1, b"last", tag), ends=True) as broker:
        talk = Talk(broker, lambda talk, channel: talk.consume(channel))
    assert bodies(talk) == [b"last"]
    assert len(talk.lost) == 1


@pytest.mark.parametrize(("announced", "agreed"), [(0, 131_072), (4096, 4096), (2**31, 131_072)])
def test_whatever_frame_max_a_broker_announces_it_is_agreed_upon(announced: int, agreed: int) -> None:
    def opened(talk: Talk, channel: Channel) -> None:
        talk.consume(channel)
        talk.until = lambda: bool(talk.delivered)

    with when_consuming(lambda tag: delivery(1, b"abc", tag), frame_max=announced) as broker:
        talk = Talk(broker, opened)
    assert talk.connection.frame_max == agreed
    assert bodies(talk) == [b"abc"]
    assert talk.lost == []

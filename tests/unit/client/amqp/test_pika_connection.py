"""What cannot even be begun, and what breaks inside pika, is one lost connection; the loop goes on."""

import socket
import threading
from collections.abc import Callable
from typing import Any

import pika
import pytest
from pika.adapters.select_connection import IOLoop
from pika.exceptions import ChannelClosedByBroker, NoFreeChannels
from support.client.scripted_broker import ScriptedBroker

from rabbitkeeper.client.amqp.pika_channel import PikaChannel
from rabbitkeeper.client.amqp.pika_connection import ANSWERS, PikaTransport, SignsOfLife
from rabbitkeeper.client.amqp.pika_loop import ConnectionLoop, PikaLoop
from rabbitkeeper.client.amqp.transport import Access, ChannelLost, ConnectionLost


def lost_at_once(address: str, timeout: float = 10.0) -> list[ConnectionLost]:
    """What is reported of a connection to ``address``."""
    transport = PikaTransport()
    lost: list[ConnectionLost] = []

    def on_lost(why: ConnectionLost) -> None:
        lost.append(why)
        transport.loop.call_later(0.01, transport.loop.stop)  # would it be reported again?

    connection = transport.connect(
        address,
        Access("app", "secret"),
        timeout=timeout,
        on_open=lambda: None,
        on_lost=on_lost,
        on_blocked=lambda _why: None,
    )
    assert lost == [], "no callback from within a call"
    transport.loop.run()
    assert not connection.is_open
    connection.close()
    connection.abort()
    transport.loop.release()
    return lost


@pytest.mark.parametrize("address", ["", "127.0.0.1", "127.0.0.1:", "127.0.0.1:abc", "127.0.0.1:99999", ":x"])
def test_an_address_that_is_none_is_a_broker_that_is_not_reached(address: str) -> None:
    (lost,) = lost_at_once(address)
    assert not lost.refused


def test_a_broker_that_says_nothing_is_lost_after_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as hung:  # its kernel accepts, nobody reads
        host, port = hung.getsockname()
        (lost,) = lost_at_once(f"{host}:{port}", timeout=0.02)
    assert lost.why == "no answer in 0.02 s"


def test_a_broker_that_answers_is_waited_for_and_one_that_only_trickles_is_not() -> None:
    signs = SignsOfLife()
    assert not signs.seen(0)
    assert signs.seen(500)
    assert not signs.seen(500), "nothing since"
    trickling = SignsOfLife()
    assert [trickling.seen(heard) for heard in range(1, ANSWERS + 2)] == [True] * ANSWERS + [False]


def test_without_a_thread_to_look_a_host_up_the_connection_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    (lost,) = lost_at_once("127.0.0.1:1")
    assert "can't start new thread" in lost.why


def test_without_a_free_descriptor_the_connection_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_socket(*_given: Any, **_named: Any) -> socket.socket:
        raise OSError(24, "Too many open files")

    loop = PikaLoop()  # has its own descriptors by now
    monkeypatch.setattr(PikaTransport, "__init__", lambda transport: setattr(transport, "loop", loop))
    monkeypatch.setattr(socket, "socket", no_socket)
    (lost,) = lost_at_once("127.0.0.1:1")
    assert "Too many open files" in lost.why


@pytest.mark.parametrize("error", [ValueError, SystemExit])
def test_what_a_connections_callback_raises_is_told_and_ends_no_loop(error: type[BaseException]) -> None:
    ioloop = IOLoop()
    told: list[BaseException] = []
    loop = ConnectionLoop(ioloop, told.append)
    ours, theirs = socket.socketpair()
    raised: list[BaseException] = []

    def fail(*_given: object) -> None:
        raised.append(error("odd"))
        raise raised[-1]

    def read(_fd: int, _events: int) -> None:
        ours.recv(10)
        fail()

    with ours, theirs:
        loop.add_callback(fail)
        loop.call_later(0.0, fail)
        loop.add_handler(ours.fileno(), read, loop.READ)
        theirs.send(b"x")
        ioloop.call_later(0.05, ioloop.stop)
        ioloop.start()
        loop.remove_handler(ours.fileno())
    ioloop.close()
    assert told == raised
    assert len(told) == 3


def test_a_thread_that_looked_a_host_up_while_the_loop_was_released_ends_in_silence() -> None:
    loop = PikaLoop()
    poller: Any = loop.ioloop._poller
    poller._w_interrupt.close()  # what is between that and its being None takes no longer than a moment
    told: list[BaseException] = []
    ConnectionLoop(loop.ioloop, told.append).add_callback(lambda: None)
    loop.call_soon_threadsafe(lambda: None)
    poller._w_interrupt = None
    loop.release()
    assert told == []


def test_what_is_raised_over_a_lost_connection_comes_out_of_the_loop() -> None:
    transport = PikaTransport()

    def fail(_why: ConnectionLost) -> None:
        raise ZeroDivisionError("a fault of ours")

    transport.connect(
        "127.0.0.1:1",
        Access("app", "secret"),
        timeout=10.0,
        on_open=lambda: None,
        on_lost=fail,
        on_blocked=lambda _why: None,
    )
    transport.loop.call_later(5.0, transport.loop.stop)  # it would run for ever
    with pytest.raises(ZeroDivisionError):
        transport.loop.run()
    transport.loop.release()


@pytest.mark.parametrize("abort", [False, True])
def test_a_connection_that_was_left_has_no_socket_when_its_loop_has_ended(abort: bool) -> None:
    """Whatever its broker answers, and though somebody may hold on to it."""
    transport = PikaTransport()

    def opened() -> None:
        (connection.abort if abort else connection.close)()
        transport.loop.stop() if abort else transport.loop.call_later(0.05, transport.loop.stop)

    with ScriptedBroker(lambda _method, _channel: b"", says_goodbye=False) as broker:
        connection = transport.connect(
            broker.address,
            Access("app", "secret", heartbeat=0),
            timeout=10.0,
            on_open=opened,
            on_lost=lambda lost: pytest.fail(str(lost)),
            on_blocked=lambda _why: None,
        )
        transport.loop.run()
        transport.loop.release()
        assert broker.wait_for_end(5.0)
    assert not connection.is_open


class Connection:
    """A connection of pika's that is full, or gives one channel."""

    is_open = True
    params = pika.ConnectionParameters(channel_max=7)

    def __init__(self, *, is_full: bool) -> None:
        self._is_full = is_full
        self.on_close: Callable[[Any, BaseException], None]
        self.is_open = True
        self.channel_number = 1

    def channel(self, on_open_callback: Callable[[Any], None]) -> "Connection":
        if self._is_full:
            raise NoFreeChannels
        return self

    def add_on_close_callback(self, callback: Callable[[Any, BaseException], None]) -> None:
        self.on_close = callback


def test_without_a_free_channel_it_is_lost_a_moment_later() -> None:
    loop = PikaLoop()
    lost: list[ChannelLost] = []

    def on_lost(_channel: object, why: ChannelLost) -> None:
        lost.append(why)
        loop.stop()

    channel = PikaChannel(loop, Connection(is_full=True), None, lambda _channel: None, on_lost)
    assert lost == []
    assert not channel.is_open
    loop.run()
    loop.release()
    assert [(one.code, "channel_max" in one.why) for one in lost] == [(506, True)]
    channel.ack(1, multiple=False)
    channel.stop_consuming(loop.stop)
    channel.close()


def test_a_brokers_reason_that_is_no_text_can_be_read() -> None:
    connection, lost = Connection(is_full=False), list[ChannelLost]()
    PikaChannel(PikaLoop(), connection, None, lambda _channel: None, lambda _channel, why: lost.append(why))
    connection.on_close(connection, ChannelClosedByBroker(404, b"no queue '\xff'"))
    assert [(one.code, "no queue" in one.why) for one in lost] == [(404, True)]  # pika 1.4 quotes the bytes

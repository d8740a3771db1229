"""The streams of a command that Docker runs: on a connection, without an engine."""

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from rabbitkeeper.agent.broker.drivers.exec_stream import connection_below, exchange

UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
LONG = 10.0  # seconds; never waited for when things work


def frame(stream: int, text: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(text).to_bytes(4, "big") + text


@dataclass
class Raw:
    """As urllib3 keeps a response today."""

    _fp: http.client.HTTPResponse

    def fileno(self) -> int:
        return self._fp.fileno()


@dataclass
class RawElsewhere:
    """One that keeps it where nobody knows."""

    hidden: http.client.HTTPResponse

    def fileno(self) -> int:
        return self.hidden.fileno()


@dataclass
class Started:
    raw: Raw | RawElsewhere

    def close(self) -> None:
        pass


@dataclass
class Engine:
    """The other end of the connection."""

    connection: socket.socket
    client: socket.socket

    def answer(self, *, known: bool, first: bytes = b"") -> Started:
        """Make the connection a plain one; ``first`` comes in the same packet."""
        response = self.upgraded(first)
        return Started(Raw(response) if known else RawElsewhere(response))

    def upgraded(self, first: bytes = b"") -> http.client.HTTPResponse:
        self.connection.sendall(UPGRADED + first)
        response = http.client.HTTPResponse(self.client, method="POST")
        response.begin()
        return response


@pytest.fixture
def engine() -> Iterator[Engine]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Engine(theirs, ours)


def soon() -> float:
    return time.monotonic() + LONG


@pytest.mark.parametrize("known", [True, False])
def test_what_is_written_is_read_and_both_streams_are_told_apart(engine: Engine, known: bool) -> None:
    started = engine.answer(known=known)

    def serve() -> None:
        given = engine.connection.recv(5)
        engine.connection.sendall(frame(1, given) + frame(2, b"a warning") + frame(1, b" and more"))
        engine.connection.shutdown(socket.SHUT_WR)

    server = threading.Thread(target=serve)
    server.start()
    assert exchange(started, b"hello", soon()) == (b"hello and more", b"a warning")
    server.join(LONG)


def test_nothing_is_lost_that_came_with_the_answer(engine: Engine) -> None:
    started = engine.answer(known=True, first=frame(1, b"early"))
    engine.connection.sendall(frame(1, b" and late"))
    engine.connection.shutdown(socket.SHUT_WR)
    assert exchange(started, b"", soon()) == (b"early and late", b"")


@pytest.mark.parametrize("known", [True, False])
def test_a_command_that_says_nothing_is_not_waited_for_beyond_its_deadline(
    engine: Engine, known: bool
) -> None:
    started = engine.answer(known=known)
    with pytest.raises(TimeoutError):
        exchange(started, b"", time.monotonic())


def test_where_the_library_keeps_its_connection_is_looked_at_and_not_relied_on(engine: Engine) -> None:
    response = engine.upgraded()
    assert connection_below(Started(Raw(response)))[1] is engine.client
    _, own = connection_below(Started(RawElsewhere(response)))
    with own:
        assert own is not engine.client
        own.sendall(b"x")
        assert engine.connection.recv(1) == b"x"

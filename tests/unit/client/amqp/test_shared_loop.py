"""One I/O thread for several clients: what one of them does wrong is its own end."""

import socket
import threading
from collections.abc import Callable
from functools import partial

import pytest

from rabbitkeeper.client.amqp.pika_connection import PikaConnection
from rabbitkeeper.client.amqp.pika_logging import unlogged
from rabbitkeeper.client.amqp.shared_loop import ClientLoop, HostedThread, SharedThread, ThreadHasEnded
from rabbitkeeper.client.amqp.transport import Access, ConnectionLost

LONG = 10.0  # seconds; to fail, not to wait for


class Part:
    """What lives on the thread, in place of an engine."""

    def __init__(self, shared: SharedThread) -> None:
        self.loop = ClientLoop(shared)
        self.began = threading.Event()
        self.errors: list[BaseException | None] = []
        self.thread: HostedThread = self.loop.thread(self, "part")

    def run(self) -> None:
        raise AssertionError("not on a shared thread")

    def begin(self) -> None:
        self.began.set()

    def over(self, error: BaseException | None) -> None:
        self.errors.append(error)
        self.loop.release()

    def started(self) -> "Part":
        self.thread.start()
        assert self.began.wait(LONG)
        return self

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(LONG)
        assert not self.thread.is_alive()


def later(loop: ClientLoop, call: Callable[[], None]) -> None:
    loop.call_later(0.02, call)


def fail() -> None:
    raise ValueError("a fault")


@pytest.fixture
def shared() -> SharedThread:
    with unlogged():
        return SharedThread()


def test_clients_are_called_on_one_thread(shared: SharedThread) -> None:
    first, second = Part(shared).started(), Part(shared).started()
    assert first.thread.ident == second.thread.ident != threading.get_ident()
    idents: list[int] = []
    done = threading.Event()
    first.loop.call_soon_threadsafe(lambda: idents.append(threading.get_ident()))
    second.loop.call_soon_threadsafe(lambda: idents.append(threading.get_ident()))
    second.loop.call_soon_threadsafe(done.set)
    assert done.wait(LONG)
    assert idents == [first.thread.ident] * 2
    first.stop()
    second.stop()
    assert first.errors == second.errors == [None]


@pytest.mark.parametrize("is_timer", [False, True])
def test_what_one_raises_ends_that_one_alone(shared: SharedThread, is_timer: bool) -> None:
    first, second = Part(shared).started(), Part(shared).started()
    first.loop.call_soon_threadsafe(partial(later, first.loop, fail) if is_timer else fail)
    first.thread.join(LONG)
    assert [type(error) for error in first.errors] == [ValueError]
    called = threading.Event()
    second.loop.call_soon_threadsafe(called.set)
    assert called.wait(LONG)
    assert second.thread.is_alive()
    second.stop()


def test_what_one_raises_over_a_connection_that_failed_ends_that_one_alone(shared: SharedThread) -> None:
    first, second = Part(shared).started(), Part(shared).started()

    def lost(_why: ConnectionLost) -> None:
        fail()

    def connect() -> None:
        connection = PikaConnection(
            first.loop,
            f"127.0.0.1:{listening.getsockname()[1]}",
            Access("app", "secret"),
            timeout=LONG,
            on_open=lambda: None,
            on_lost=lost,
            on_blocked=lambda _why: None,
        )
        connection._own_loop.add_callback(fail)  # as over what the broker sends

    with socket.create_server(("127.0.0.1", 0)) as listening:
        first.loop.call_soon_threadsafe(connect)
        first.thread.join(LONG)
    assert [type(error) for error in first.errors] == [ValueError]
    assert second.thread.is_alive()
    second.stop()


def test_nothing_is_called_for_one_that_has_ended(shared: SharedThread) -> None:
    first, second = Part(shared).started(), Part(shared).started()
    called: list[str] = []

    def call_later_and_end() -> None:
        first.loop.call_later(0.0, lambda: called.append("first"))
        first.over(None)

    first.loop.call_soon_threadsafe(call_later_and_end)
    done = threading.Event()
    second.loop.call_soon_threadsafe(partial(later, second.loop, done.set))
    assert done.wait(LONG)
    assert called == []
    assert first.loop.call_later(0.0, lambda: called.append("first")) is None
    second.stop()


def test_when_the_thread_itself_fails_all_of_them_end(shared: SharedThread) -> None:
    first, second = Part(shared).started(), Part(shared).started()
    shared.loop.call_soon_threadsafe(fail)
    for part in (first, second):
        part.thread.join(LONG)
        assert [type(error) for error in part.errors] == [ValueError]
    assert shared.is_over


def test_one_that_starts_when_the_thread_has_ended_is_told(shared: SharedThread) -> None:
    first, late = Part(shared).started(), Part(shared)
    shared.loop.call_soon_threadsafe(fail)
    first.thread.join(LONG)
    shared.thread.join(LONG)
    late.thread.start()
    late.thread.join(LONG)
    assert not late.thread.is_alive()
    assert [type(error) for error in late.errors] == [ThreadHasEnded]
    assert shared.clients == set()

"""The I/O thread's loop: pika's own, as :class:`transport.Loop`, and as each connection of pika's sees it."""

import threading
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any, Protocol
from weakref import WeakSet

from pika.adapters.select_connection import IOLoop

from rabbitkeeper.client.amqp.pika_logging import unlogged
from rabbitkeeper.client.amqp.transport import Hosted, Timer


class Closing(Protocol):
    """A connection that is being closed."""

    def end_closing(self) -> None:
        """Drop its socket, if it has one yet."""


class PikaLoop:
    """See :class:`transport.Loop`."""

    def __init__(self) -> None:
        self.ioloop = IOLoop()
        _let_signal_handlers_in(self.ioloop)
        self._is_over = False
        self._closing: WeakSet[Closing] = WeakSet()

    def end_with_loop(self, connection: Closing) -> None:
        """If ``connection`` is being closed yet when the loop is released, drop it then."""
        self._closing.add(connection)

    @staticmethod
    def thread(hosted: Hosted, name: str) -> threading.Thread:
        return threading.Thread(target=hosted.run, name=name, daemon=True)

    @staticmethod
    def now() -> float:
        return time.monotonic()

    def call_soon_threadsafe(self, callback: Callable[[], None]) -> None:
        _hand_over(self.ioloop, callback)

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        if self._is_over:
            return None
        return self.ioloop.call_later(max(0.0, delay), callback)

    def cancel(self, timer: Timer) -> None:
        if not self._is_over:
            self.ioloop.remove_timeout(timer)

    def run(self) -> None:
        with unlogged():
            self.ioloop.start()

    def release(self) -> None:
        self._is_over = True
        with unlogged():
            try:
                for connection in list(self._closing):
                    connection.end_closing()
                self.ioloop.process_timeouts()  # in which pika closes the sockets of what was given up
            finally:
                self.ioloop.close()

    def stop(self) -> None:
        self.ioloop.stop()


class ConnectionLoop:
    """The loop as one connection of pika's sees it: what it raises is that connection's end, not the loop's.

    It may be no free descriptor, no thread for looking a host up, bytes that are no AMQP, or a fault of ours
    over what came: one connection is lost then. The methods are those that pika asks of an I/O loop.

    Args:
        ioloop: pika's, which all connections share.
        on_error: called with what a callback has raised.
    """

    is_of_a_client = True  # for pika_logging
    READ, WRITE, ERROR = IOLoop.READ, IOLoop.WRITE, IOLoop.ERROR

    def __init__(self, ioloop: IOLoop, on_error: Callable[[BaseException], None]) -> None:
        self._on_error = on_error
        self.close, self.start, self.stop = ioloop.close, ioloop.start, ioloop.stop
        self.remove_timeout = ioloop.remove_timeout
        self.update_handler, self.remove_handler = ioloop.update_handler, ioloop.remove_handler
        self._ioloop = ioloop

    def call_later(self, delay: float, callback: Callable[[], Any]) -> object:
        return self._ioloop.call_later(delay, self._guarded(callback))

    def add_callback(self, callback: Callable[[], Any]) -> None:
        """From any thread: pika looks hosts up on threads of their own."""
        _hand_over(self._ioloop, self._guarded(callback))

    def add_handler(self, fd: int, handler: Callable[[int, int], Any], events: int) -> None:
        self._ioloop.add_handler(fd, self._guarded(handler), events)

    def _guarded(self, callback: Callable[..., Any]) -> Callable[..., None]:
        def call(*arguments: Any) -> None:
            try:
                callback(*arguments)
            except BaseException as error:  # noqa: BLE001 - told, and the connection ends
                self._on_error(error)

        return call


def _hand_over(ioloop: IOLoop, callback: Callable[[], object]) -> None:
    with suppress(AttributeError, OSError):  # pika's, for a loop that has released its pipe just now
        ioloop.add_callback_threadsafe(callback)


def _let_signal_handlers_in(ioloop: IOLoop) -> None:
    """pika wakes its loop under a lock that the same thread cannot take again: a signal handler that comes
    just then, and closes the client, would wait for ever. It guards against the end of the loop's pipe
    meanwhile, which :func:`_hand_over` expects. Where there is none, nothing is done."""
    poller: Any = getattr(ioloop, "_poller", None)
    if isinstance(getattr(poller, "_waking_mutex", None), type(threading.Lock())):
        poller._waking_mutex = nullcontext()

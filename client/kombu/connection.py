"""py-amqp's connection and channel as kombu uses them, with an end to each wait.

py-amqp waits for answers and confirms without a limit, and for TLS to end as well; whoever waits so on a
broker that hangs does so for ever. Here what is late ends the connection, since a late answer would be taken
for that to the next question. A connection is used by one thread at a time, but for
:meth:`KombuConnection.drop`.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from amqp.exceptions import AMQPError, ConnectionForced, InternalError
from kombu.transport import pyamqp

from rabbitkeeper.client.declare.refusals import passes_for_user
from rabbitkeeper.client.kombu.errors import MemberLeft, NoAnswer, NotReady
from rabbitkeeper.client.routing.placement import Target

PERSISTENT = 2  # AMQP's delivery mode
CLOSING = 1.0  # seconds for the broker to take part in a connection's end

_NEVER = float("inf")


class Reporting(Protocol):
    """Hears what becomes of connections."""

    def failed(self, target: Target, *, silent: bool = False, ended: bool = False) -> None:
        """One to ``target`` is lost."""

    def ended(self, number: int) -> None:
        """Number ``number`` is none any more."""


class KombuChannel(pyamqp.Channel):  # type: ignore[misc]  # kombu has no types
    """A channel whose waits end, and that asks for confirms of what is to be kept."""

    _confirms = False  # it has asked for confirms

    def basic_publish_confirm(self, msg: Any, *arguments: Any, **options: Any) -> Any:
        """Publish, and wait for the confirm of a message that is persistent.

        Of one that is not, as are Celery's events and its answers to remote control, nobody waits for the
        confirm: it would be that of each queue, one on a node that hangs among them, and a worker would stand
        still meanwhile. (On a channel that has asked for confirms each is waited for, since py-amqp does not
        tell them from one another.)
        """
        if not self._confirms and msg.properties.get("delivery_mode") != PERSISTENT:
            options.pop("confirm_timeout", None)
            return super().basic_publish(msg, *arguments, **options)
        self._confirms = True
        return super().basic_publish_confirm(msg, *arguments, **options)

    def wait(
        self,
        method: Any,
        callback: Callable[..., object] | None = None,
        timeout: float | None = None,
        returns_tuple: bool = False,
    ) -> Any:
        """Wait for an answer.

        Raises:
            NoAnswer: it did not come within ``timeout`` seconds, or those of the connection.
        """
        connection = self.connection
        if connection is None:
            return super().wait(method, callback, timeout, returns_tuple)  # refuses it
        with connection.answering(timeout):
            return super().wait(method, callback, None, returns_tuple)


class KombuConnection(pyamqp.Connection):  # type: ignore[misc]
    """A connection to one member.

    Args:
        target: the member.
        answer_timeout: seconds for each of the broker's answers.
        arguments: py-amqp's.
    """

    Channel = KombuChannel

    def __init__(self, target: Target, answer_timeout: float, **arguments: Any) -> None:
        self.target = target
        self.left = ""
        """Why it was dropped; empty: it was not."""
        self._answer_timeout = answer_timeout
        self._answer_by = _NEVER  # seconds, monotonic
        self._reports: Reporting | None = None
        self._number = 0
        self._is_lost = False
        self._ending = threading.RLock()  # its descriptor is not another's while it is dropped
        super().__init__(**{"host": target.address, "write_timeout": answer_timeout, **arguments})

    def report_to(self, reports: Reporting, number: int) -> None:
        """Tell ``reports`` of its end."""
        self._reports, self._number = reports, number

    @contextmanager
    def answering(self, timeout: float | None) -> Iterator[None]:
        """Within this the broker is to answer in ``timeout`` seconds; None: in the connection's own.

        Raises:
            NoAnswer: it did not; the connection is none any more.
        """
        seconds = self._answer_timeout if timeout is None else timeout
        before = self._answer_by
        self._answer_by = min(before, time.monotonic() + seconds)
        try:
            yield
        except TimeoutError:
            self._lost(silent=True)
            self.collect()
            raise NoAnswer(f"{self.target.member} has not answered within {seconds:g} s") from None
        finally:
            self._answer_by = before

    def wait(
        self,
        method: Any,
        callback: Callable[..., object] | None = None,
        timeout: float | None = None,
        returns_tuple: bool = False,
    ) -> Any:
        """See :meth:`KombuChannel.wait`."""
        if self.is_closing:
            timeout = CLOSING if timeout is None else timeout
        with self.answering(timeout):
            return super().wait(method, callback, None, returns_tuple)

    def blocking_read(self, timeout: float | None = None) -> Any:
        """Read one frame.

        Raises:
            TimeoutError: none came within ``timeout`` seconds, or while an answer was awaited.
            MemberLeft, NotReady: see there.
        """
        if self._answer_by < _NEVER:
            left = self._answer_by - time.monotonic()
            if left <= 0:
                raise TimeoutError("no answer in time")
            timeout = left if timeout is None else min(timeout, left)
        try:
            return super().blocking_read(timeout)
        except TimeoutError:
            raise
        except OSError as error:
            if self.left:
                raise MemberLeft(self.left) from error
            raise
        except AMQPError as error:
            if isinstance(error, ConnectionForced | InternalError):
                self._lost(ended=True)
            if passes_for_user(error.reply_code or 0, error.reply_text or ""):
                raise NotReady(f"{self.target.member} refuses at the moment: {error}") from error
            raise

    def heartbeat_tick(self, rate: int = 2) -> None:
        """See py-amqp."""
        try:
            super().heartbeat_tick(rate)
        except ConnectionForced:
            self._lost(silent=True)
            raise

    def collect(self) -> None:
        """It is none any more, as far as this side goes."""
        with self._ending:
            transport = self._transport
            if transport is not None:
                if not transport.connected and not self.left:
                    self._lost()
                if transport.sock is not None:
                    with suppress(OSError):
                        transport.sock.settimeout(CLOSING)  # TLS waits for the other side
            super().collect()
        self._end()

    def drop(self, why: str) -> None:
        """Have whoever uses it, or waits on it, find it broken, at once. From any thread."""
        with self._ending:
            transport = self._transport
            if transport is None or transport.sock is None:
                return
            self.left = why
            # not the method of a TLS socket, which would make it a plain one under who reads from it
            with suppress(OSError):
                socket.socket.shutdown(transport.sock, socket.SHUT_RDWR)

    def abandon(self) -> None:
        """In a forked child: the socket is the parent's, and is closed here without a word to the broker."""
        self._ending = threading.RLock()  # which a thread of the parent's may have held
        self._reports = None
        transport = self._transport
        if transport is not None:
            connected, transport.sock, transport.connected = transport.sock, None, False
            if connected is not None:
                connected.close()

    def _lost(self, *, silent: bool = False, ended: bool = False) -> None:
        """Once at the most: the next one is opened elsewhere first."""
        if self._reports is not None and not self._is_lost:
            self._is_lost = True
            self._reports.failed(self.target, silent=silent, ended=ended)

    def _end(self) -> None:
        number, self._number = self._number, 0
        if self._reports is not None and number:
            self._reports.ended(number)

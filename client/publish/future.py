"""Futures of publishes: entries of the ledger that are also ``concurrent.futures.Future``.

One is made for every message, so it is made cheaply. The standard class makes a condition with a lock, and
two lists, for each future; here all futures of a client share one lock, the condition comes when somebody
first waits or registers a callback, and whole bursts begin and end under one acquisition of the lock. What
the standard class promises holds: ``concurrent.futures.wait``, ``as_completed`` and ``asyncio.wrap_future``
take them (they go through ``_condition``, ``_state``, ``_waiters`` and ``_done_callbacks``, which have been
the same since Python 3.2).

Callbacks run on the client's I/O thread and must not wait.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from concurrent.futures._base import FINISHED, PENDING, RUNNING
from functools import partial
from typing import Any, NamedTuple

from rabbitkeeper.client.amqp.frames import Template
from rabbitkeeper.client.amqp.transport import CallLater
from rabbitkeeper.client.model.errors import RabbitKeeperError, WrongThread
from rabbitkeeper.client.publish.entry import Entry, Settled
from rabbitkeeper.client.publish.window import Window

log = logging.getLogger(__name__)

LINGER = 0.002  # seconds for which who waits for the window is left to wait for more of it


class Receipt(NamedTuple):
    """A confirmed publish: the broker has the message, on a majority of the nodes if its queues are quorum
    queues."""

    message_id: str
    attempts: int  # times it was sent; above 1 the queue may hold it twice, under the same id


_receipt: Callable[[tuple[str, int]], Receipt] = partial(tuple.__new__, Receipt)  # one a message: in C


class PublishFuture(Entry, Future[Receipt]):
    """A publish on its way. Its result is a :class:`Receipt`, or one of the SDK's errors.

    Made by :class:`Futures`.
    """

    _state = PENDING
    _exception: RabbitKeeperError | None = None
    _waiting: threading.Condition | None = None
    trace: object = None  # what traces it, if something does

    def __init__(
        self,
        futures: "Futures",
        message_id: str,
        template: Template,
        body: bytes,
        deadline: float,
    ) -> None:
        # Future.__init__ is not called: see the module
        self.message_id = message_id
        self.size = len(body)
        self.deadline = deadline
        self.template = template
        self.body = body
        self._futures = futures

    @property
    def exchange(self) -> str:  # type: ignore[override]
        return self.template.exchange

    @property
    def routing_key(self) -> str:  # type: ignore[override]
        return self.template.routing_key

    @property
    def _condition(self) -> threading.Condition:  # type: ignore[override]
        with self._futures.lock:
            if self._waiting is None:
                self._waiters: list[Any] = []
                self._done_callbacks: list[Callable[[Any], object]] = []
                self._waiting = threading.Condition(self._futures.lock)
            return self._waiting

    @property
    def _result(self) -> Receipt:  # type: ignore[override]
        return _receipt((self.message_id, self.attempts))

    def cancel(self) -> bool:
        """Take the message back, if it has not been sent yet.

        Returns:
            Whether that was in time. If not, the message goes its way and the future ends as it would have.
        """
        with self._futures.lock:
            first = self._state == PENDING
            cancelled = super().cancel()
        if first and cancelled:
            self._futures.withdrawn(self)
        return cancelled

    def done(self) -> bool:
        return self._state not in (PENDING, RUNNING)

    def result(self, timeout: float | None = None) -> Receipt:
        """The receipt, waited for up to ``timeout`` seconds.

        Raises:
            RabbitKeeperError: how the publish ended instead.
            TimeoutError: it has not ended yet.
            CancelledError: it was cancelled.
            WrongThread: from a callback, before the end: it would never come.
        """
        if self._state == FINISHED and self._exception is None:
            return self._result
        self._futures.check_waiting(self)
        return super().result(timeout)

    def outcome(self) -> Receipt | RabbitKeeperError:
        """How it ended, when it has: the receipt, or the error as a value."""
        return self._result if self._exception is None else self._exception

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """As :meth:`result`, but the error is returned; None for a confirmed publish."""
        if self._state == FINISHED:
            return self._exception
        self._futures.check_waiting(self)
        return super().exception(timeout)


class Futures:
    """The futures of one client.

    Args:
        window: where their messages are counted.
        explain: the error for an entry that was not confirmed.
        withdraw: called, on the thread that cancels, when a future was cancelled before it was sent.
    """

    def __init__(
        self,
        window: Window,
        *,
        explain: Callable[[Settled[PublishFuture]], RabbitKeeperError],
        withdraw: Callable[[PublishFuture], None],
    ) -> None:
        self.lock = threading.RLock()
        self.io_thread: int | None = None  # ident
        self.call_later: CallLater  # the loop's timer; set with the thread
        self.on_ended: Callable[[Sequence[PublishFuture]], None] | None = None
        """Called with those that have ended together and that the window counts no more, for a front that
        waits in another way; on the I/O thread, or on the one that cancels."""
        self.front: object = None  # what its futures are awaited with, if it is not threads
        self._waking = False  # a timer is set
        self._window = window
        self._explain = explain
        self._withdraw = withdraw

    def begin(self, futures: Sequence[PublishFuture]) -> list[PublishFuture]:
        """Those of ``futures`` that have not been cancelled; from now on they cannot be."""
        begun: list[PublishFuture] = []
        with self.lock:
            for future in futures:
                if future._state == PENDING:
                    future._state = RUNNING
                if future._state == RUNNING:
                    begun.append(future)
        return begun

    def confirm(self, futures: Sequence[PublishFuture]) -> None:
        """All of ``futures`` are confirmed."""
        size = 0
        watched: list[PublishFuture] = []
        with self.lock:
            for future in futures:
                size += future.size
                future._state = FINISHED
                if future._waiting is not None:
                    watched.append(future)
                    _notify(future)
        self._release(len(futures), size)
        for future in watched:
            _call_back(future)
        if self.on_ended is not None:
            self.on_ended(futures)

    def settle(self, settled: Iterable[Settled[PublishFuture]]) -> None:
        """Each ends with its error; a cancelled one has ended already."""
        for one in settled:
            self._fail(one.entry, partial(self._explain, one))

    def abandon(self, futures: Iterable[PublishFuture], error: RabbitKeeperError) -> None:
        """End with ``error`` what should have been settled otherwise, before something failed."""
        for future in futures:
            self._fail(future, lambda: error)

    def _fail(self, future: PublishFuture, why: Callable[[], RabbitKeeperError]) -> None:
        with self.lock:
            if future.done():
                return
            future._exception = why()
            future._state = FINISHED
            watched = future._waiting is not None
            if watched:
                _notify(future)
        self._release(1, future.size)
        if watched:
            _call_back(future)
        if self.on_ended is not None:
            self.on_ended((future,))

    def refuse(self, future: PublishFuture, error: RabbitKeeperError) -> None:
        """A future whose message was never counted nor handed over, and of which nobody knows yet."""
        future._exception = error
        future._state = FINISHED

    def withdrawn(self, future: PublishFuture) -> None:
        """A future was cancelled before its message was sent: that counts no more."""
        self._window.release(1, future.size)
        self._window.wake()  # this is any thread, which has no timer
        self._withdraw(future)
        if self.on_ended is not None:
            self.on_ended((future,))

    def loop_is_over(self) -> None:
        """There are no timers any more."""
        self.call_later = lambda _delay, call: call()
        self._wake()

    def _release(self, messages: int, size: int) -> None:
        """Give the window back; who waits for it goes on when it is worth it, or :data:`LINGER` later."""
        if self._window.release(messages, size) and not self._waking:
            self._waking = True
            self.call_later(LINGER, self._wake)

    def _wake(self) -> None:
        self._waking = False
        self._window.wake()

    def check_waiting(self, future: PublishFuture) -> None:
        """Refuse to wait where waiting would keep the answer from coming."""
        if threading.get_ident() == self.io_thread and not future.done():
            raise WrongThread(
                "waiting for a publish in a callback on the client's I/O thread would wait for itself; "
                "use add_done_callback, or wait on another thread"
            )


def _call_back(future: PublishFuture) -> None:
    """Call the callbacks of a future that has ended; without the lock.

    Here whatever they raise is theirs, ``SystemExit`` and ``CancelledError`` too: this is the I/O thread.
    """
    for callback in future._done_callbacks:
        try:
            callback(future)
        except BaseException:
            log.exception("a callback of a publish failed")


def _notify(future: PublishFuture) -> None:
    """Wake those who wait; with the lock held."""
    assert future._waiting is not None  # noqa: S101
    for waiter in future._waiters:
        if future._exception is None:
            waiter.add_result(future)
        else:
            waiter.add_exception(future)
    future._waiting.notify_all()

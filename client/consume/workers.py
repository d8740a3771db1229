"""Workers: threads that call a function with each message of a queue and answer for it."""

import logging
import threading
import time
from collections.abc import Callable
from random import Random
from types import TracebackType
from typing import Literal, Self

from rabbitkeeper.client.consume.consumer import Consumer
from rabbitkeeper.client.consume.handlers import handling, has_ended, wait_for
from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.model.checks import TIMEOUT_MAX, check_timeout
from rabbitkeeper.client.model.errors import RabbitKeeperError, of_another_process
from rabbitkeeper.client.model.events import Event, HandlerFailed
from rabbitkeeper.client.model.retry import Retry
from rabbitkeeper.client.process import this as process

log = logging.getLogger(__name__)

LAST_WORDS = 0.1  # seconds for the threads' own ends, when the time is up

OnError = Literal["requeue", "reject"]


class Workers:
    """``count`` threads that take from one consumer.

    A message is acked when the function returns, unless the function has answered it. When it raises, the
    message is put back or rejected, as ``on_error`` says, and a :class:`HandlerFailed` event tells of it. A
    worker whose calls fail in a row pauses between them, up to a second, so that a message that always fails
    does not keep the broker busy.

    Args:
        consumer: to take from.
        function: called with a message, on a worker's thread.
        count: how many threads.
        on_error: ``"requeue"`` or ``"reject"`` (dead-letter) what the function raised over.
        emit: takes events.
        name: of the threads.
        retry: has a message that the function raised over tried again later; whether it has.
    """

    def __init__(
        self,
        consumer: Consumer,
        function: Callable[[Message], object],
        *,
        count: int,
        on_error: OnError,
        emit: Callable[[Event], None],
        name: str,
        retry: Callable[[Message], bool] | None = None,
    ) -> None:
        self._retry = retry
        self._consumer = consumer
        self._function = function
        self._requeue = on_error == "requeue"
        self._emit = emit
        self._stopping = threading.Event()
        self._pid = process.pid
        self.error: RabbitKeeperError | None = None
        """Why the workers have ended, if not by :meth:`stop` or with the client."""
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{consumer.queue}-{number}", daemon=True)
            for number in range(1, count + 1)
        ]
        try:
            for thread in self._threads:
                thread.start()
        except BaseException:  # the system gives no more threads
            self._threads = [thread for thread in self._threads if thread.ident is not None]
            self.stop(0.0)
            raise

    @property
    def queue(self) -> str:
        """The queue's name, as it was asked for."""
        return self._consumer.queue

    @property
    def active(self) -> bool:
        """Whether a broker has a consumer of it at the moment."""
        return self._consumer.active

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the workers have ended; whether they have, within ``timeout`` seconds.

        Raises:
            RabbitKeeperError: why they ended, if it was an error.
            WrongThread: in a forked child.
        """
        if timeout is not None:
            check_timeout("timeout", timeout, zero=True)
        if process.pid != self._pid:
            raise of_another_process()
        deadline = None if timeout is None else time.monotonic() + timeout
        wait_for(self._threads, TIMEOUT_MAX + time.monotonic() if deadline is None else deadline)
        if self.error is not None:
            raise self.error
        return not any(thread.is_alive() for thread in self._others())

    def stop(self, timeout: float = 10.0) -> int:
        """Take no more from the broker, finish what is in hand, end the threads.

        Args:
            timeout: seconds for the functions to return. Within the function itself, its own message is not
                waited for, nor are others that wait likewise.

        Returns:
            How many messages were left unanswered; they go back to their queue.

        Raises:
            WrongThread: in a forked child, or in a callback on the client's I/O thread.
        """
        return self.begin_stop(timeout)()

    def begin_stop(self, timeout: float) -> Callable[[], int]:
        """As :meth:`stop`, in two steps: begin, and (what comes back) wait."""
        check_timeout("timeout", timeout, zero=True)
        deadline = time.monotonic() + timeout
        wait = self._consumer.begin_stop(timeout)
        self._stopping.set()

        def stopped() -> int:
            left = wait()
            wait_for(self._threads, max(deadline, time.monotonic() + LAST_WORDS))
            return left

        return stopped

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _others(self) -> list[threading.Thread]:
        return [thread for thread in self._threads if thread is not threading.current_thread()]

    def _work(self) -> None:
        retry = Retry(Random())
        try:
            while (message := self._consumer.get()) is not None:
                self._handle(message, retry)
        except RabbitKeeperError as error:
            self.error = error
        finally:
            has_ended()

    def _handle(self, message: Message, retry: Retry) -> None:
        try:
            with handling(message, self._consumer.subscription):
                self._function(message)
        except BaseException as error:  # CancelledError and SystemExit too: the worker goes on
            log.exception("the function for messages of %r failed", message.queue)
            self._emit(HandlerFailed(message.queue, message.message_id, error))
            if self._is_tried_later(message):
                return
            message.nack(requeue=self._requeue)
            self._stopping.wait(retry.failed())
        else:
            message.ack()
            retry.worked()

    def _is_tried_later(self, message: Message) -> bool:
        try:
            return self._retry is not None and not message.answered and self._retry(message)
        except BaseException:  # a signal's, or a copy that cannot be sent: the message goes back
            log.exception("a message of %r could not be retried", message.queue)
            return False

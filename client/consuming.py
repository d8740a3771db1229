"""Consuming as the caller's thread does it: check, subscribe, and wait for the end of a consumer."""

import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from weakref import WeakSet

from rabbitkeeper.client.arguments import check_flag, check_number, queue_name
from rabbitkeeper.client.consume.consumer import Consumer
from rabbitkeeper.client.consume.handlers import handled_here
from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.consume.stream import Offset, check_offset
from rabbitkeeper.client.consume.subscription import Subscription
from rabbitkeeper.client.consume.workers import OnError, Workers
from rabbitkeeper.client.engine.engine import Engine
from rabbitkeeper.client.guard import GRACE, Guard
from rabbitkeeper.client.model.checks import check_timeout
from rabbitkeeper.client.model.consumer_options import DEFAULT, ConsumerOptions
from rabbitkeeper.client.model.errors import InvalidArgument, NoLeader
from rabbitkeeper.client.model.events import Event
from rabbitkeeper.client.model.topology import Queue

Handler = Callable[[Message], object]
AsyncHandler = Callable[[Message], Awaitable[object]]


class Consuming:
    """The consuming half of a client, for any number of threads.

    Args:
        engine: has the subscriptions.
        guard: says where waiting would wait for itself.
        emit: takes events.
        name: of the client, for the names of threads.
    """

    def __init__(
        self,
        engine: Engine,
        guard: Guard,
        *,
        emit: Callable[[Event], None],
        name: str,
    ) -> None:
        self._engine = engine
        self._guard = guard
        self._emit = emit
        self._name = name
        self._workers: WeakSet[Workers] = WeakSet()

    def consume(
        self,
        queue: str | Queue,
        prefetch: int,
        dedupe: int,
        offset: Offset | None = None,
        options: ConsumerOptions = DEFAULT,
        *,
        for_handler: bool = False,
    ) -> Consumer:
        """See ``Client.consume``; ``for_handler``: a function is called with what comes."""
        name = queue_name(queue)
        check_number("prefetch", prefetch, 1, 65535)
        check_number("dedupe", dedupe, 0, 10_000_000)
        check_offset(offset)
        options.check_queue(self.as_declared(queue), is_stream=offset is not None)
        return self._consumer(self._engine.subscribe(name, prefetch, dedupe, offset, options), for_handler)

    def as_declared(self, queue: str | Queue) -> Queue | None:
        """What is known of a queue that is named."""
        return queue if isinstance(queue, Queue) else self._engine.topology.queue(queue)

    def _consumer(self, subscription: Subscription, for_handler: bool) -> Consumer:
        return Consumer(subscription, self._finish, self._engine.drop)

    def handler(self, function: Handler) -> Handler:
        """What is called in place of a user's function: here itself."""
        return function

    def async_handler(self, function: AsyncHandler) -> AsyncHandler:
        """What is awaited in place of a user's function: here itself."""
        return function

    def on_message(
        self,
        queue: str | Queue,
        function: Callable[[Message], object],
        *,
        workers: int,
        prefetch: int,
        dedupe: int,
        on_error: OnError,
        offset: Offset | None = None,
        options: ConsumerOptions = DEFAULT,
        retry: Callable[[Message], bool] | None = None,
    ) -> Workers:
        """See ``Client.on_message``."""
        if not callable(function):
            raise InvalidArgument(f"function {function!r} is not valid: use something that can be called")
        check_number("workers", workers, 1, 1000)
        if on_error not in ("requeue", "reject"):
            raise InvalidArgument(f"on_error {on_error!r} is not valid: use 'requeue' or 'reject'")
        running = Workers(
            self.consume(queue, prefetch, dedupe, offset, options, for_handler=True),
            self.handler(function),
            count=workers,
            on_error=on_error,
            emit=self._emit,
            name=self._name,
            retry=retry,
        )
        self._workers.add(running)
        return running

    def get(self, queue: str | Queue, no_ack: bool, timeout: float) -> Message | None:
        """See ``Client.get``."""
        began = time.time()
        asked = self.ask(queue, no_ack, timeout)
        try:
            return self.got(asked.result(timeout + GRACE), began)
        except FutureTimeout:
            take_back(asked)
            raise NoLeader(f"nothing was heard of {queue_name(queue)!r} within {timeout:g} s") from None
        except BaseException:  # a signal's: nobody gets the message
            take_back(asked)
            raise

    def ask(self, queue: str | Queue, no_ack: bool, timeout: float) -> Future[Message | None]:
        """Ask for one message; see :meth:`Getting.ask`."""
        name = queue_name(queue)
        check_flag("no_ack", no_ack)
        check_timeout("timeout", timeout)
        declared = self.as_declared(queue)
        if declared is not None and declared.is_stream:
            raise InvalidArgument(
                f"{name!r} is a stream, which gives messages to consumers alone: consume it"
            )
        return self._engine.getting.ask(name, timeout, no_ack=no_ack)

    def got(self, message: Message | None, began: float) -> Message | None:
        """What the user is given when this has come: it itself here.

        Args:
            began: when it was asked for, seconds since 1970.
        """
        del began
        return message

    def stop(self, deadline: float) -> None:
        """Let all workers finish what they have in hand, until ``deadline`` (seconds, monotonic)."""
        left = max(0.0, deadline - time.monotonic())
        for wait in [running.begin_stop(left) for running in list(self._workers)]:
            wait()

    def _finish(self, subscription: Subscription, timeout: float) -> Callable[[float], int]:
        """Begin to stop a consumer in ``timeout`` seconds; what comes back waits for it until a deadline, and
        tells how many messages were left unanswered."""
        self._guard.check_process()
        if not self._engine.thread.is_alive():
            return lambda _deadline: subscription.in_hand
        self._guard.check_waiting()
        stopped = self._engine.finish(subscription, time.monotonic() + timeout)

        def wait(deadline: float) -> int:
            handled = handled_here()
            if handled is not None:
                handled.subscription.excuse(1)
            try:
                return stopped.result(max(0.0, deadline - time.monotonic()) + GRACE)
            except FutureTimeout:  # no word of the I/O thread
                return subscription.in_hand
            finally:
                if handled is not None:
                    handled.subscription.excuse(-1)

        return wait


def take_back(asked: Future[Message | None]) -> None:
    """Nobody gets the message that was asked for: it goes back, now or when it comes."""
    if not asked.cancel() and asked.exception() is None:
        message = asked.result()
        if message is not None:
            message.nack(requeue=True)

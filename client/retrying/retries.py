"""Retries: what becomes of a message that a function has failed over.

It waits in the broker and comes again: in its own queue, where that was declared so and RabbitMQ can do it
(from 4.3 on); else a copy of it waits in a wait queue. The message is acked when the copy is confirmed and
not before, so it may come twice and is never lost. When the copy is not confirmed, the message is given back
at once.
"""

import logging
from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeout

from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.engine.engine import Engine
from rabbitkeeper.client.model.backoff import Backoff
from rabbitkeeper.client.model.consumer_options import ConsumerOptions
from rabbitkeeper.client.model.errors import InvalidArgument, RabbitKeeperError
from rabbitkeeper.client.model.events import Event
from rabbitkeeper.client.model.topology import Queue
from rabbitkeeper.client.publishing import Publishing
from rabbitkeeper.client.retrying.message_copy import copy_properties
from rabbitkeeper.client.retrying.wait_queues import WaitQueue, WaitQueues

log = logging.getLogger(__name__)

NATIVE = (4, 3)  # RabbitMQ whose quorum queues delay what comes back
COPY_TIMEOUT = 10.0  # seconds for a wait queue to take a copy; an election takes less


class Retries:
    """Of one consumer. From any thread.

    Args:
        engine: knows the broker, and what is declared.
        publishing: publishes copies.
        queue: that messages come from, by its name.
        emit: takes events.
    """

    def __init__(
        self,
        engine: Engine,
        publishing: Publishing,
        queue: str,
        backoff: Backoff,
        emit: Callable[[Event], None],
    ) -> None:
        self._engine = engine
        self._publishing = publishing
        self._queue = queue
        self._backoff = backoff
        self.waits = WaitQueues(engine, queue, backoff, emit)

    def __call__(self, message: Message) -> bool:
        """Have ``message`` tried again, or reject it after its last try. False: it could not wait; it is the
        caller's to give back."""
        if self.settles(message):
            return True
        wait = self.wait_for(message)
        try:
            wait.declaration.result(COPY_TIMEOUT)
            self._publishing.result(
                self._publishing.publish(
                    "", wait.declared.name, message.body, copy_properties(message), True, COPY_TIMEOUT
                )
            )
        except (RabbitKeeperError, FutureTimeout) as error:
            self.failed(wait, error)
            return False
        message.moved()
        return True

    def settles(self, message: Message) -> bool:
        """Whether nothing has to wait for it elsewhere: it has had its last try, or waits in its own
        queue."""
        if self._is_native:
            message.nack(requeue=True)
        elif self._backoff.delay(message.retries) is None:
            log.warning("a message of %r has failed %d times", self._queue, message.retries + 1)
            message.reject()
        return message.answered

    def wait_for(self, message: Message) -> WaitQueue:
        """Where a copy of it is to wait."""
        return self.waits.get(self._backoff.delay(message.retries) or 0.0)

    def failed(self, wait: WaitQueue, error: BaseException) -> None:
        """A copy was not confirmed there."""
        log.warning("queue %r has not taken a message to wait: %r", wait.declared.name, error)
        self.waits.leave(wait)

    @property
    def _is_native(self) -> bool:
        declared = self._engine.topology.queue(self._queue)
        return self._engine.broker_version >= NATIVE and waits_by_itself(declared, self._backoff)


def waits_by_itself(queue: Queue | None, backoff: Backoff) -> bool:
    """Whether ``queue``, as it was declared, has the arguments for ``backoff``."""
    if queue is None or "x-delayed-retry-type" not in queue.arguments:
        return False
    try:
        wanted = backoff.queue_arguments()
    except InvalidArgument:
        return False
    return wanted.items() <= queue.arguments.items()


def check_retry(retry: object, queue: Queue | None, options: ConsumerOptions, on_error: str) -> None:
    """Refuse what retries do not go with; ``queue``: as it was declared, if that is known."""
    if not isinstance(retry, Backoff):
        raise InvalidArgument(f"retry {retry!r} is not valid: use Backoff(1, 5, 30)")
    if on_error != "requeue":
        raise InvalidArgument("on_error is given with retry: leave it out; after its last try it is rejected")
    if options.no_ack:
        raise InvalidArgument("no_ack is given with retry: what needs no ack cannot be tried again")
    if queue is not None and (queue.is_stream or queue.exclusive or queue.auto_delete):
        raise InvalidArgument(
            f"retry is not valid with queue {queue.name!r}: what waits must find its queue again; "
            "use one that is no stream, and neither exclusive nor deleted by itself"
        )

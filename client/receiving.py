"""What a :class:`Client` offers to those who receive messages: consumers, workers, and single messages."""

from collections.abc import Callable, Mapping
from typing import Any

from rabbitkeeper.client.arguments import queue_name
from rabbitkeeper.client.consume.consumer import Consumer
from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.consume.stream import Offset
from rabbitkeeper.client.consume.workers import OnError, Workers
from rabbitkeeper.client.consuming import Consuming
from rabbitkeeper.client.engine.engine import Engine
from rabbitkeeper.client.event_dispatcher import EventDispatcher
from rabbitkeeper.client.guard import Guard
from rabbitkeeper.client.model.backoff import Backoff
from rabbitkeeper.client.model.consumer_options import ConsumerOptions
from rabbitkeeper.client.model.topology import Queue
from rabbitkeeper.client.publishing import Publishing
from rabbitkeeper.client.retrying.retries import Retries, check_retry


class Receiving:
    """The receiving half of :class:`Client`, for any number of threads."""

    _consuming: Consuming
    _engine: Engine
    _events: EventDispatcher
    _guard: Guard
    _publishing: Publishing

    def consume(
        self,
        queue: str | Queue,
        prefetch: int = 100,
        *,
        dedupe: int = 0,
        offset: Offset | None = None,
        priority: int | None = None,
        exclusive: bool = False,
        no_ack: bool = False,
        arguments: Mapping[str, Any] | None = None,
    ) -> Consumer:
        """The messages of ``queue``, as they come; each is to be answered by hand, from any thread.

        The consumer is restored after every switch. It ends when the loop over it is left, with ``stop``, or
        with the client.

        Args:
            queue: its name, or what was declared.
            prefetch: unanswered messages that the broker may have out to this consumer.
            dedupe: remember the ids of so many acked messages, and ack what comes with one of them again
                without showing it; 0 for not.
            offset: where to begin in a stream, as RabbitMQ's ``x-stream-offset``: ``"first"``, ``"last"``,
                ``"next"``, a number, a datetime, or an interval such as ``"2h"``.
            priority: consumers of a higher one are fed first, as long as their prefetch has room; a consumer
                that says nothing has 0.
            exclusive: be the only consumer of a classic queue, or wait for that. Quorum queues have
                ``x-single-active-consumer`` instead.
            no_ack: the broker takes each message for done when it sends it: one that is on its way when a
                connection breaks is lost, answers do nothing, and the prefetch limits nothing.
            arguments: of the consumer, as RabbitMQ takes them, such as ``{"x-consumer-timeout": 60_000}``.

        Raises:
            InvalidArgument, Closed, WrongThread: at once.
            TopologyError: from the iterator: the queue does not exist, was deleted, or refuses consumers.
            NotAuthorized: likewise; the broker refused.
        """
        self._guard.check_usable()
        options = ConsumerOptions(priority, exclusive, no_ack, arguments)
        return self._consuming.consume(queue, prefetch, dedupe, offset, options)

    def on_message(
        self,
        queue: str | Queue,
        function: Callable[[Message], object],
        *,
        workers: int = 1,
        prefetch: int = 100,
        dedupe: int = 0,
        on_error: OnError = "requeue",
        offset: Offset | None = None,
        priority: int | None = None,
        exclusive: bool = False,
        no_ack: bool = False,
        arguments: Mapping[str, Any] | None = None,
        retry: Backoff | None = None,
    ) -> Workers:
        """Call ``function`` with each message of ``queue``, on threads of its own.

        A message is acked when the function returns, unless it has answered it. When it raises, the message
        is put back (``on_error="requeue"``) or rejected (``"reject"``), and ``HandlerFailed`` is told; with
        ``no_ack`` it is gone.

        Args:
            queue, prefetch, dedupe, offset, priority, exclusive, no_ack, arguments: as in :meth:`consume`.
            function: called with a message. It may use the client.
            workers: threads; with more than one, messages are worked on at the same time.
            on_error: what becomes of a message that the function raised over.
            retry: after which delays such a message is tried again, as ``Backoff(1, 5, 30)``; after the last
                one it is rejected. Its ``attempt`` counts. Until then a copy waits in a queue of its own for
                each delay (``orders.retry.5000``), or the message in its own queue, where that was declared
                with ``Backoff.queue_arguments`` and the broker is RabbitMQ 4.3 or later.

        Raises:
            InvalidArgument, Closed, WrongThread: at once.
        """
        self._guard.check_usable()
        options = ConsumerOptions(priority, exclusive, no_ack, arguments)
        retries = None
        if retry is not None:
            check_retry(retry, self._consuming.as_declared(queue), options, on_error)
            retries = Retries(self._engine, self._publishing, queue_name(queue), retry, self._events.emit)
        return self._consuming.on_message(
            queue,
            function,
            workers=workers,
            prefetch=prefetch,
            dedupe=dedupe,
            on_error=on_error,
            offset=offset,
            options=options,
            retry=retries,
        )

    def get(self, queue: str | Queue, *, no_ack: bool = False, timeout: float = 10.0) -> Message | None:
        """One message of ``queue``, without a consumer; None when it has none ready.

        For a look now and then: each costs two round trips, so whoever wants all messages consumes. The
        message is to be answered; else it goes back when its connection ends.

        Args:
            queue: its name, or what was declared; no stream.
            no_ack: it is done with when the broker sends it, and lost if the connection breaks meanwhile.
            timeout: seconds to the deadline, also over a switch.

        Raises:
            TopologyError: the queue does not exist, refuses, or has not answered by the deadline.
            NotAuthorized: the broker refused.
            NoLeader: no broker was reached.
            InvalidArgument, Closed, WrongThread: at once.
        """
        self._guard.check_usable()
        return self._consuming.get(queue, no_ack, timeout)

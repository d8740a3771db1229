"""What an :class:`AsyncClient` offers to those who receive messages; the names are those of ``Client``."""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from weakref import WeakSet

from rabbitkeeper.client.aio.bridge import Bridge
from rabbitkeeper.client.aio.consuming import AsyncConsumer, AsyncWorkers
from rabbitkeeper.client.aio.retrying import AsyncRetries
from rabbitkeeper.client.arguments import check_number, queue_name
from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.consume.stream import Offset
from rabbitkeeper.client.consume.workers import OnError
from rabbitkeeper.client.consuming import Consuming, take_back
from rabbitkeeper.client.guard import GRACE
from rabbitkeeper.client.model.backoff import Backoff
from rabbitkeeper.client.model.consumer_options import ConsumerOptions
from rabbitkeeper.client.model.errors import InvalidArgument, NoLeader
from rabbitkeeper.client.model.events import Event
from rabbitkeeper.client.model.topology import Queue
from rabbitkeeper.client.retrying.retries import check_retry


class AsyncReceiving:
    """The receiving half of :class:`AsyncClient`."""

    _workers: WeakSet[AsyncWorkers]
    _receiving: Callable[[], tuple[Consuming, Bridge, Callable[[Event], None]]]  # if it can be used here
    _check_loop: Callable[[], None]
    _retries: Callable[[str, Backoff], AsyncRetries]

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
    ) -> AsyncConsumer:
        """The messages of ``queue``, as they come; each is to be answered, by hand or with ``process``.

        Arguments and errors are those of ``Client.consume``.
        """
        consuming, bridge, _ = self._receiving()
        options = ConsumerOptions(priority, exclusive, no_ack, arguments)
        consumer = consuming.consume(queue, prefetch, dedupe, offset, options)
        return AsyncConsumer(consumer, bridge, self._check_loop)

    def on_message(
        self,
        queue: str | Queue,
        function: Callable[[Message], Awaitable[object]],
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
    ) -> AsyncWorkers:
        """Await ``function`` with each message of ``queue``, in ``workers`` tasks.

        A message is acked when the function returns, unless it has answered it. Arguments and errors are
        those of ``Client.on_message``.
        """
        consuming, bridge, emit = self._receiving()
        if not callable(function):
            raise InvalidArgument(f"function {function!r} is not valid: use something that can be called")
        check_number("workers", workers, 1, 1000)
        if on_error not in ("requeue", "reject"):
            raise InvalidArgument(f"on_error {on_error!r} is not valid: use 'requeue' or 'reject'")
        options = ConsumerOptions(priority, exclusive, no_ack, arguments)
        later = None
        if retry is not None:
            check_retry(retry, consuming.as_declared(queue), options, on_error)
            later = self._retries(queue_name(queue), retry)
        plain = consuming.consume(queue, prefetch, dedupe, offset, options, for_handler=True)
        consumer = AsyncConsumer(plain, bridge, self._check_loop)
        awaited = consuming.async_handler(function)
        running = AsyncWorkers(consumer, awaited, count=workers, on_error=on_error, emit=emit, retry=later)
        self._workers.add(running)
        return running

    async def get(self, queue: str | Queue, *, no_ack: bool = False, timeout: float = 10.0) -> Message | None:
        """One message of ``queue``, without a consumer; None when it has none ready.

        A task that is cancelled meanwhile takes no message with it, unless with ``no_ack``. Arguments and
        errors are those of ``Client.get``.
        """
        consuming, bridge, _ = self._receiving()
        began = time.time()
        asked = consuming.ask(queue, no_ack, timeout)
        try:
            is_settled = await bridge.settled(asked, timeout + GRACE)
        except BaseException:  # the task is cancelled: nobody gets the message
            take_back(asked)
            raise
        if not is_settled:
            take_back(asked)
            raise NoLeader(f"nothing was heard of {queue!r} within {timeout:g} s")
        return consuming.got(asked.result(), began)

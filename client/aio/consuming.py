"""Consuming as tasks do it: what is there is taken without waiting, and awaited when nothing is there."""

import asyncio
import logging
import queue
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from types import TracebackType
from typing import Any, Self

from rabbitkeeper.client.aio.bridge import Bridge, Turns, wake
from rabbitkeeper.client.consume.consumer import Consumer
from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.consume.workers import OnError
from rabbitkeeper.client.model.checks import check_timeout
from rabbitkeeper.client.model.errors import RabbitKeeperError
from rabbitkeeper.client.model.events import Event, HandlerFailed
from rabbitkeeper.client.model.retry import Retry

log = logging.getLogger(__name__)

TURN = 64  # messages that one task takes before others have a turn
LAST_WORDS = 0.1  # seconds for tasks that were cancelled at the end


class AsyncConsumer:
    """The messages of one queue, as they come: ``async for message in client.consume("orders"): …``

    Several tasks may take from one. It ends with :meth:`stop`, with the client, with the ``async with`` block
    that it is used in, or when nobody holds it any more, as after a loop that was left. A task that is
    cancelled while it waits takes no message with it.

    Args:
        consumer: that it takes from.
        bridge: to the event loop.
        check_loop: refuses another one.
    """

    def __init__(self, consumer: Consumer, bridge: Bridge, check_loop: Callable[[], None]) -> None:
        self._consumer = consumer
        self._bridge = bridge
        self._check_loop = check_loop
        self._turns = Turns(TURN)
        self._inbox = consumer.subscription.inbox
        news = _News(bridge)  # not a method of this: the inbox would keep it, and it would never be dropped
        self._news = news
        self._inbox.on_news = news.came

    @property
    def queue(self) -> str:
        """The queue's name, as it was asked for."""
        return self._consumer.queue

    @property
    def active(self) -> bool:
        """Whether a broker has a consumer of it at the moment."""
        return self._consumer.active

    async def get(self, timeout: float | None = None) -> Message | None:
        """The next message; None when the consumer has ended.

        Args:
            timeout: seconds to wait; for ever by default.

        Raises:
            queue.Empty: none came within ``timeout`` seconds.
            TopologyError: the queue does not exist, was deleted, or cannot be consumed from.
            NotAuthorized: the broker refused.
            InvalidArgument: ``timeout`` is neither None nor a finite number from 0 on.
            WrongThread: in a forked child, or on another event loop.
        """
        if timeout is None:
            return await self._next()
        check_timeout("timeout", timeout, zero=True)
        try:
            async with asyncio.timeout(timeout):
                return await self._next(is_patient=timeout > 0)
        except TimeoutError:
            raise queue.Empty from None

    async def _next(self, *, is_patient: bool = True) -> Message | None:
        self._check_loop()
        if self._turns.is_due():
            await asyncio.sleep(0)  # before anything is taken: a task may be cancelled here
        while True:
            if self._inbox.has_news:
                with suppress(queue.Empty):
                    return self._consumer.get(0)
            if not is_patient:
                raise queue.Empty
            if self._inbox.has_news:  # what was seen before and left out took the time
                await asyncio.sleep(0)
            else:
                await self._news.wait()

    async def stop(self, timeout: float = 10.0) -> int:
        """Take no more from the broker, and wait until what is in hand is answered.

        What was delivered and not yet taken goes back to its queue at once; what is in hand and unanswered at
        the end does so then. A task that is cancelled meanwhile changes nothing of that.

        Args:
            timeout: seconds to wait.

        Returns:
            How many messages were left unanswered.
        """
        self._check_loop()
        return await self._bridge.in_thread(self._consumer.begin_stop(timeout))

    def excuse(self, messages: int) -> None:
        """Let :meth:`stop` not wait for so many messages more (or fewer): who has them waits for it."""
        if messages:
            self._consumer.subscription.excuse(messages)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        message = await self._next()
        if message is None:
            raise StopAsyncIteration
        return message

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # what is in hand when the block ends will not be answered any more
        await self.stop(0.0)


class _News:
    """Wakes the tasks that wait for one inbox."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._waiting: deque[asyncio.Future[None]] = deque()

    def came(self) -> None:
        """There is something to take. From any thread."""
        self._bridge.post(self._wake)

    async def wait(self) -> None:
        waiter = self._bridge.loop.create_future()
        self._waiting.append(waiter)
        await waiter

    def _wake(self) -> None:
        while self._waiting:
            wake(self._waiting.popleft())


class AsyncWorkers:
    """``count`` tasks that call a function with each message of one consumer, and answer for it.

    A message is acked when the function returns, unless the function has answered it. When it raises, the
    message is put back or rejected, as ``on_error`` says, and a :class:`HandlerFailed` event tells of it. A
    worker whose calls fail in a row pauses between them, up to a second.

    Args:
        consumer: to take from.
        function: called with a message, and awaited.
        count: how many tasks.
        on_error: ``"requeue"`` or ``"reject"`` (dead-letter) what the function raised over.
        emit: takes events.
        retry: has a message that the function raised over tried again later; whether it has.
    """

    def __init__(
        self,
        consumer: AsyncConsumer,
        function: Callable[[Message], Awaitable[object]],
        *,
        count: int,
        on_error: OnError,
        emit: Callable[[Event], None],
        retry: Callable[[Message], Awaitable[bool]] | None = None,
    ) -> None:
        self._retry = retry
        self._consumer = consumer
        self._function = function
        self._requeue = on_error == "requeue"
        self._emit = emit
        self._stopping = asyncio.Event()
        self.error: RabbitKeeperError | None = None
        """Why the workers have ended, if not by :meth:`stop` or with the client."""
        self._handled: dict[asyncio.Task[Any], Message] = {}  # what the workers' functions have in hand
        self._away: set[asyncio.Task[Any]] = set()  # workers whose functions wait for the end
        self._watchers: set[asyncio.Future[None]] = set()  # of those
        name = f"rabbitkeeper-{consumer.queue}"
        self._tasks = [
            asyncio.create_task(self._work(), name=f"{name}-{number}") for number in range(1, count + 1)
        ]

    @property
    def queue(self) -> str:
        """The queue's name, as it was asked for."""
        return self._consumer.queue

    @property
    def active(self) -> bool:
        """Whether a broker has a consumer of it at the moment."""
        return self._consumer.active

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait until the workers have ended; whether they have, within ``timeout`` seconds.

        Raises:
            RabbitKeeperError: why they ended, if it was an error.
        """
        if timeout is not None:
            check_timeout("timeout", timeout, zero=True)
        _, pending = await asyncio.wait(self._tasks, timeout=timeout)
        if self.error is not None:
            raise self.error
        return not pending

    async def stop(self, timeout: float = 10.0) -> int:
        """Take no more from the broker, let the functions finish what is in hand, end the tasks.

        Args:
            timeout: seconds for the functions to return; then their tasks are cancelled. Within the function
                itself, its own message is not waited for, nor are others that wait likewise.

        Returns:
            How many messages were left unanswered; they go back to their queue.
        """
        check_timeout("timeout", timeout, zero=True)
        return await self.stop_for(asyncio.current_task(), timeout)

    async def stop_for(self, caller: "asyncio.Task[Any] | None", timeout: float) -> int:
        """As :meth:`stop`, for who waits for it in ``caller``."""
        deadline = time.monotonic() + timeout
        self._stopping.set()
        message = None if caller is None else self._handled.get(caller)
        if message is None or caller is None:
            left = await self._consumer.stop(timeout)
            await self._end_others(deadline)
            return left
        excused = not message.answered
        self._away.add(caller)
        for watcher in self._watchers:
            wake(watcher)
        self._consumer.excuse(excused)
        try:
            left = await self._consumer.stop(timeout)
            await self._end_others(deadline)
        finally:
            self._away.discard(caller)
            self._consumer.excuse(-excused)
        return left

    async def _end_others(self, deadline: float) -> None:
        """Wait for the tasks that do not wait for the end themselves; cancel them at ``deadline``."""
        while pending := [task for task in self._tasks if not task.done() and task not in self._away]:
            left = max(LAST_WORDS, deadline - time.monotonic())
            watcher = asyncio.get_running_loop().create_future()
            self._watchers.add(watcher)
            try:
                await asyncio.wait([*pending, watcher], timeout=left, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._watchers.discard(watcher)
                watcher.cancel()
            if time.monotonic() >= deadline:
                late = [task for task in pending if not task.done() and task not in self._away]
                for task in late:
                    task.cancel()
                if late:
                    await asyncio.wait(late, timeout=LAST_WORDS)
                return

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _work(self) -> None:
        retry = Retry(Random())
        try:
            async for message in self._consumer:
                await self._handle(message, retry)
        except RabbitKeeperError as error:
            self.error = error

    async def _handle(self, message: Message, retry: Retry) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - it is one of the workers
        self._handled[task] = message
        try:
            await self._function(message)
        except BaseException as error:
            if task.cancelling() or not isinstance(error, Exception | asyncio.CancelledError):
                message.nack(requeue=True)  # what ends the worker or the program says nothing of the message
                raise
            log.exception("the function for messages of %r failed", message.queue)
            self._emit(HandlerFailed(message.queue, message.message_id, error))
            if await self._is_tried_later(message):
                return
            message.nack(requeue=self._requeue)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), retry.failed())
        else:
            message.ack()
            retry.worked()
        finally:
            del self._handled[task]

    async def _is_tried_later(self, message: Message) -> bool:
        try:
            return self._retry is not None and not message.answered and await self._retry(message)
        except asyncio.CancelledError:
            message.nack(requeue=True)
            raise
        except Exception:  # a copy that cannot be sent: the message goes back
            log.exception("a message of %r could not be retried", message.queue)
            return False

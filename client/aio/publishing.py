"""Publishing as a task does it: check, count, hand over, and await what became of it.

What is handed over, and to whom, is :mod:`rabbitkeeper.client.publishing`'s; here is only the waiting: for
room in the window, in the order of asking, and for outcomes, of which the I/O thread tells many at a time.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterable, Callable, Generator, Iterable, Sequence
from functools import partial
from typing import Any, cast

from rabbitkeeper.client.aio.bridge import Bridge, Turns, wake
from rabbitkeeper.client.amqp.properties import BasicProperties
from rabbitkeeper.client.guard import GRACE, Guard
from rabbitkeeper.client.model.errors import PublishInterrupted, PublishUnknown, RabbitKeeperError
from rabbitkeeper.client.model.events import CancelledPublish, Event
from rabbitkeeper.client.publish.future import LINGER, PublishFuture, Receipt
from rabbitkeeper.client.publishing import Publishing, Refused

TURN = 200  # messages that one task hands over before others have a turn; one or two milliseconds

AT_ONCE = 100  # tasks that are woken in one turn of the loop, which takes some milliseconds then

Callback = Callable[["PublishHandle"], object]


class PublishHandle(PublishFuture):
    """A publish on its way: awaited, it is the :class:`Receipt`, or raises one of the SDK's errors.

    It may be awaited by any number of tasks, now or later. A task that is cancelled while it awaits ends only
    its own waiting; :meth:`cancel` takes the message back, if that is not too late.
    """

    _callbacks: "tuple[Callback, ...]" = ()  # on the event loop
    _is_told = False  # on the event loop: that it has ended

    @property
    def bridge(self) -> Bridge:
        """To the loop that it is awaited on."""
        front = self._futures.front
        assert isinstance(front, Bridge)  # noqa: S101 - set before the first of them is made
        return front

    def __await__(self) -> Generator[Any, None, Receipt]:
        if not self.done():
            waiter = self.bridge.loop.create_future()
            self._watch(lambda _: wake(waiter))
            yield from waiter
        return self.result()

    def result(self, timeout: float | None = None) -> Receipt:
        """The receipt of a publish that has ended. It never waits.

        Raises:
            RabbitKeeperError: how the publish ended instead.
            asyncio.CancelledError: it was cancelled.
            asyncio.InvalidStateError: it has not ended yet.
        """
        del timeout
        if not self.done():
            raise asyncio.InvalidStateError("the publish has not ended yet: await it")
        if self.cancelled():
            raise asyncio.CancelledError
        return super().result()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """As :meth:`result`, but the error is returned; None for a confirmed publish."""
        del timeout
        try:
            self.result()
        except RabbitKeeperError as error:
            return error
        return None

    def add_done_callback(self, fn: Callback, *, context: Any = None) -> None:
        """Have ``fn`` called with this when it has ended, on the event loop."""
        if context is not None:
            fn = partial(context.run, fn)
        if self._is_told or self.done():
            self.bridge.loop.call_soon(fn, self)
        else:
            self._watch(fn)

    def _watch(self, callback: Callback) -> None:
        """Have it called at the end. The I/O thread ends it first and then looks for callbacks; here it is
        the other way round, so that one of the two sees the other."""
        self._callbacks = (*self._callbacks, callback)
        if self.done():
            self.bridge.loop.call_soon(self.tell)

    def remove_done_callback(self, fn: Callback) -> int:
        """Have it called no more; how often it would have been."""
        kept = tuple(known for known in self._callbacks if known != fn)
        removed, self._callbacks = len(self._callbacks) - len(kept), kept
        return removed

    def tell(self) -> None:
        """It has ended. On the event loop, and perhaps again."""
        self._is_told = True
        callbacks, self._callbacks = self._callbacks, ()
        for callback in callbacks:
            self.bridge.loop.call_soon(callback, self)


class AsyncPublishing:
    """The publishing half of an asynchronous client. Belongs to its event loop.

    Args:
        publishing: that hands over; its futures are :class:`PublishHandle`.
        guard: says when something cannot be done.
        bridge: to the loop.
        emit: takes events.
        check_usable: refuses it then, or on another loop.
    """

    def __init__(
        self,
        publishing: Publishing,
        guard: Guard,
        bridge: Bridge,
        *,
        emit: Callable[[Event], None],
        check_usable: Callable[[], None],
    ) -> None:
        self._publishing = publishing
        self._prepare = cast("Callable[..., PublishHandle]", publishing.prepare)  # it is what it makes
        self._guard = guard
        self._window = publishing.window
        self._engine = publishing.engine
        self._bridge = bridge
        self._emit = emit
        self._check_usable = check_usable
        self._turns = Turns(TURN)
        self._waiting: deque[_Waiter] = deque()  # for room, in their order
        self._to_tell: deque[PublishHandle] = deque()  # that they have ended
        self._is_telling = False  # some are told in the next turn of the loop
        self._lingers: asyncio.TimerHandle | None = None
        publishing.futures.front = bridge
        publishing.futures.on_ended = self._ended

    async def publish_nowait(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        properties: BasicProperties | None,
        mandatory: bool,
        timeout: float,
    ) -> PublishHandle:
        """See ``AsyncClient.publish_nowait``."""
        if self._turns.is_due():
            await asyncio.sleep(0)  # before anything is handed over: a task may be cancelled here
        guard = self._guard
        if (
            guard.is_closing
            or guard.process.pid != guard.pid
            or self._engine.failure is not None
            or asyncio.get_running_loop() is not self._bridge.loop
        ):
            self._check_usable()
        handle = self._prepare(exchange, routing_key, body, properties, mandatory, timeout)
        if (self._waiting or not self._window.acquire_now(handle.size)) and not await self._room(handle):
            raise self._full(handle, timeout)
        self._engine.publish((handle,))
        return handle

    async def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        properties: BasicProperties | None,
        mandatory: bool,
        timeout: float,
    ) -> Receipt:
        """See ``AsyncClient.publish``."""
        handle = await self.publish_nowait(exchange, routing_key, body, properties, mandatory, timeout)
        try:
            return await self._result(handle)
        except BaseException as error:
            if not isinstance(error, RabbitKeeperError):  # cancelled, or the program ends
                self._leave((handle,))
            raise

    async def publish_many(
        self, messages: "Iterable[Any] | AsyncIterable[Any]", mandatory: bool, timeout: float
    ) -> list[Receipt | RabbitKeeperError]:
        """See ``AsyncClient.publish_many``."""
        many = _Many()
        try:
            try:
                if isinstance(messages, AsyncIterable):
                    async for message in messages:
                        await self._one_of(many, message, mandatory, timeout)
                else:
                    for message in messages:
                        await self._one_of(many, message, mandatory, timeout)
            except _Unusable as error:
                raise error.why from None
            except Exception as error:
                outcomes = await self._outcomes(many)
                raise PublishInterrupted(
                    f"after {len(outcomes)} messages there was no next one to publish: {error!r}", outcomes
                ) from error
            return await self._outcomes(many)
        except BaseException:
            self._leave(one for one in many.under_way if isinstance(one, PublishHandle))
            raise

    async def _one_of(self, many: "_Many", message: Any, mandatory: bool, timeout: float) -> None:
        """Hand over one message of many; in order, as the window allows."""
        if self._turns.is_due():
            await asyncio.sleep(0)
        try:
            self._check_usable()
        except RabbitKeeperError as error:
            raise _Unusable(error) from error
        one = self._publishing.prepared(message, mandatory, timeout)
        if isinstance(one, PublishHandle):
            if (self._waiting or not self._window.acquire_now(one.size)) and not await self._room(one):
                one = Refused(self._full(one, timeout))
            else:
                self._engine.publish((one,))
        many.under_way.append(one)
        while many.under_way and many.under_way[0].done():
            many.outcomes.append(many.under_way.popleft().outcome())

    async def _outcomes(self, many: "_Many") -> list[Receipt | RabbitKeeperError]:
        while many.under_way:
            one = many.under_way[0]
            if isinstance(one, PublishHandle) and not one.done():
                try:
                    await self._result(one)
                except RabbitKeeperError as error:
                    many.outcomes.append(error)
                    many.under_way.popleft()
                    continue
            many.outcomes.append(one.outcome())
            many.under_way.popleft()
        return many.outcomes

    async def _result(self, handle: PublishHandle) -> Receipt:
        """Its receipt, awaited until a little after its deadline."""
        if not handle.done():
            left = max(0.0, handle.deadline - self._publishing.now()) + GRACE
            waiter = self._bridge.loop.create_future()
            handle.add_done_callback(lambda _: wake(waiter))
            timer = self._bridge.loop.call_later(left, wake, waiter)
            try:
                await waiter
            finally:
                timer.cancel()
            if not handle.done():  # the I/O thread did not settle it: it must not be waited for in silence
                raise PublishUnknown(
                    "no outcome by the deadline, and no word of the I/O thread", handle.message_id
                )
        return handle.result()

    def _leave(self, handles: Iterable[PublishHandle]) -> None:
        """Nobody awaits these any more: take them back, or tell what becomes of what has been sent."""
        for handle in list(handles):
            if not handle.cancel() and not handle.cancelled():
                handle.add_done_callback(self._tell)

    def _tell(self, handle: PublishFuture) -> None:
        outcome = handle.outcome()
        error = None if isinstance(outcome, Receipt) else outcome
        self._emit(CancelledPublish(handle.message_id, handle.exchange, handle.routing_key, error))

    def _full(self, handle: PublishHandle, timeout: float) -> RabbitKeeperError:
        error = self._publishing.never_sent(f"the window stayed full for {timeout:g} s", handle.message_id)
        self._publishing.dropped(handle, error)
        return error

    # -- room in the window

    async def _room(self, handle: PublishHandle) -> bool:
        """Wait until there is room, behind those who came before; whether it is counted now."""
        waiter = _Waiter(handle.size, self._bridge.loop.create_future())
        self._waiting.append(waiter)
        left = max(0.0, handle.deadline - self._publishing.now())
        timer = self._bridge.loop.call_later(left, wake, waiter.woken)
        self._let_in()  # who has given room back just now has perhaps not seen that somebody waits
        try:
            await waiter.woken
        except asyncio.CancelledError:
            if waiter.is_counted:
                self._window.release(1, waiter.size)
            self._publishing.dropped(handle)
            raise
        finally:
            timer.cancel()
            if not waiter.is_counted:
                self._waiting.remove(waiter)
            self._let_in()  # those behind it may pass now
        return waiter.is_counted

    def _let_in(self) -> None:
        """Let in whom there is room for, in their order; some now, the rest in the next turn of the loop."""
        for _ in range(AT_ONCE):
            if not self._waiting or not self._window.acquire_now(self._waiting[0].size):
                return
            waiter = self._waiting.popleft()
            waiter.is_counted = True
            wake(waiter.woken)
        self._bridge.loop.call_soon(self._let_in)

    def _ended(self, ended: Sequence[PublishFuture]) -> None:
        """These have ended. On any thread.

        The loop is not woken when nobody waits, of whom it would be told.
        """
        handles = cast("Sequence[PublishHandle]", ended)
        awaited = [one for one in handles if one._callbacks]  # without a call: once a message
        if awaited or (self._waiting and (self._lingers is None or self._window.is_worth_waking)):
            self._bridge.post(partial(self._told, awaited))

    def _told(self, awaited: list[PublishHandle]) -> None:
        self._to_tell += awaited
        if self._to_tell and not self._is_telling:
            self._is_telling = True
            self._bridge.loop.call_soon(self._tell_some)  # more of this turn may have ended
        if not self._waiting:
            return
        if self._window.is_worth_waking:
            self._let_in()
        elif self._lingers is None:  # a task that is woken for each message does little else
            self._lingers = self._bridge.loop.call_later(LINGER, self._linger_is_over)

    def _tell_some(self) -> None:
        """Some now, the rest in the next turn of the loop: each that is told may be a task that goes on."""
        for _ in range(min(AT_ONCE, len(self._to_tell))):
            self._to_tell.popleft().tell()
        self._is_telling = bool(self._to_tell)
        if self._is_telling:
            self._bridge.loop.call_soon(self._tell_some)

    def _linger_is_over(self) -> None:
        self._lingers = None
        self._let_in()


class _Waiter:
    """One who waits for room."""

    def __init__(self, size: int, woken: "asyncio.Future[None]") -> None:
        self.size = size
        self.woken = woken
        self.is_counted = False


class _Many:
    """Of one ``publish_many``: outcomes in order, and what has none yet."""

    def __init__(self) -> None:
        self.outcomes: list[Receipt | RabbitKeeperError] = []
        self.under_way: deque[PublishHandle | PublishFuture | Refused] = deque()


class _Unusable(Exception):
    """The client takes nothing any more."""

    def __init__(self, why: RabbitKeeperError) -> None:
        super().__init__(str(why))
        self.why = why

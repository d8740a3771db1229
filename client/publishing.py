"""Publishing as the caller's thread does it: check, count, hand over, and wait for what became of it."""

import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import TimeoutError as FutureTimeout
from itertools import count, islice
from typing import Any, ClassVar, NoReturn

from rabbitkeeper.client.amqp.properties import BasicProperties, message_id_of
from rabbitkeeper.client.engine.engine import Engine
from rabbitkeeper.client.guard import GRACE
from rabbitkeeper.client.model.checks import TIMEOUT_MAX, check_timeout
from rabbitkeeper.client.model.errors import (
    Blocked,
    Closed,
    InvalidArgument,
    Nacked,
    NoLeader,
    PublishInterrupted,
    PublishUnknown,
    RabbitKeeperError,
    Unroutable,
    WrongThread,
)
from rabbitkeeper.client.publish.entry import Outcome, Settled
from rabbitkeeper.client.publish.future import Futures, PublishFuture, Receipt
from rabbitkeeper.client.publish.templates import Templates
from rabbitkeeper.client.publish.window import Window

BURST = 256  # messages that publish_many takes at once from what is there already
_NUMBERS = frozenset({int, float})


class Publishing:
    """The publishing half of a client, for any number of threads.

    Args:
        engine: takes what is handed over.
        window: counts what has no outcome.
        future_type: of what is handed over.
        now: the engine's clock; seconds, monotonic.
    """

    _futures_type: ClassVar[type[Futures]] = Futures

    def __init__(
        self,
        engine: Engine,
        window: Window,
        *,
        future_type: type[PublishFuture] = PublishFuture,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.engine = engine
        self._future_type = future_type
        self.window = window
        self.now = now
        self.futures = self._futures_type(window, explain=self._explain, withdraw=engine.withdraw)
        self._templates = Templates()
        # With a number behind it, an id that no other client makes; of one length, for the templates.
        self._id_prefix = uuid.uuid4().hex[:22]
        self._ids = count(1_000_000_000)
        self.locks = (self.futures.lock, window.lock)  # which the I/O thread takes, too
        engine.report_to(self.futures)

    @property
    def unconfirmed(self) -> int:
        """Messages without an outcome."""
        return self.window.open_messages

    def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        properties: BasicProperties | None,
        mandatory: bool,
        timeout: float,
    ) -> PublishFuture:
        """See ``Client.publish_nowait``."""
        future = self.prepare(exchange, routing_key, body, properties, mandatory, timeout)
        is_counted = False
        try:
            is_counted = self.window.acquire_now(future.size)
            if not is_counted:
                is_counted = self._await_room(future, timeout)
            self.engine.publish((future,))
        except BaseException:  # a signal's: who does not get the future must not keep its place
            if is_counted:
                future.cancel()
            else:
                self.dropped(future)
            raise
        return future

    def _await_room(self, future: PublishFuture, timeout: float) -> bool:
        if threading.get_ident() == self.futures.io_thread:
            raise WrongThread(
                "the window is full, and waiting for it in a callback on the client's I/O thread would "
                "wait for itself; publish on another thread"
            )
        return bool(self.window.acquire((future.size,), future.deadline)) or self._give_up(future, timeout)

    def _give_up(self, future: PublishFuture, timeout: float) -> NoReturn:
        error = self.never_sent(f"the window stayed full for {timeout:g} s", future.message_id)
        self.dropped(future, error)
        raise error

    def dropped(self, future: PublishFuture, error: RabbitKeeperError | None = None) -> None:
        """A future that nobody gets, and whose message was not handed over: over ``error``, or since its
        caller was interrupted. For who observes publishes."""

    def result(self, future: PublishFuture) -> Receipt:
        """A publish's receipt, waited for until a little after its deadline.

        Raises:
            PublishError: it ended otherwise.
        """
        try:
            return future.result(max(0.0, future.deadline - self.now()) + GRACE)
        except FutureTimeout:  # the I/O thread did not settle it: it must not be waited for in silence
            raise PublishUnknown(
                "no outcome by the deadline, and no word of the I/O thread", future.message_id
            ) from None

    def publish_many(
        self,
        messages: Iterable[tuple[Any, ...]],
        mandatory: bool,
        timeout: float,
        check_usable: Callable[[], None],
    ) -> list[Receipt | RabbitKeeperError]:
        """See ``Client.publish_many``; ``check_usable`` is called before each burst."""
        outcomes: list[Receipt | RabbitKeeperError] = []
        under_way: deque[PublishFuture | Refused] = deque()
        # What is there already can be taken in bursts. Anything else may keep us waiting for the next one, so
        # each is sent before that is asked for.
        most = BURST if isinstance(messages, list | tuple) else 1
        source = iter(messages)
        while True:
            try:
                burst = list(islice(source, most))
            except Exception as error:
                outcomes += self._outcomes_of(under_way)
                raise PublishInterrupted(
                    f"after {len(outcomes)} messages there was no next one to publish: {error!r}", outcomes
                ) from error
            if not burst:
                break
            check_usable()
            prepared = [self.prepared(message, mandatory, timeout) for message in burst]
            self._hand_over([one for one in prepared if isinstance(one, PublishFuture)], timeout)
            under_way.extend(prepared)
            while under_way and under_way[0].done():
                outcomes.append(under_way.popleft().outcome())
        return outcomes + self._outcomes_of(under_way)

    def _outcomes_of(
        self, under_way: Iterable["PublishFuture | Refused"]
    ) -> list[Receipt | RabbitKeeperError]:
        outcomes: list[Receipt | RabbitKeeperError] = []
        for one in under_way:
            try:
                outcomes.append(one.outcome() if isinstance(one, Refused) else self.result(one))
            except RabbitKeeperError as error:
                outcomes.append(error)
        return outcomes

    def prepare(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        properties: BasicProperties | None,
        mandatory: bool,
        timeout: float,
    ) -> PublishFuture:
        """Check a message and make its future; nothing is handed over.

        Raises:
            InvalidArgument: it cannot be sent.
        """
        if type(body) is not bytes:
            if not isinstance(body, bytes | bytearray | memoryview):
                raise InvalidArgument(
                    f"body of type {type(body).__name__} is not valid: use bytes, as in text.encode()"
                )
            body = bytes(body)
        if type(timeout) not in _NUMBERS or not 0 < timeout <= TIMEOUT_MAX:
            check_timeout("timeout", timeout)
        template = self._templates.get(exchange, routing_key, properties, mandatory=mandatory)
        if template.header_size > self.engine.frame_max:
            raise InvalidArgument(
                f"properties take {template.header_size} bytes, and the broker takes "
                f"{self.engine.frame_max} (frame_max): make the headers smaller, or put "
                "what they hold into the body"
            )
        message_id = None if properties is None else message_id_of(properties)
        if message_id is None:
            message_id = self._id_prefix + str(next(self._ids))
        return self._future_type(self.futures, message_id, template, body, self.now() + timeout)

    def prepared(self, message: Any, mandatory: bool, timeout: float) -> "PublishFuture | Refused":
        """As :meth:`prepare`, for one message of many: the error is returned."""
        properties = None
        try:
            if len(message) == 3:
                exchange, routing_key, body = message
            else:
                exchange, routing_key, body, properties = message
        except (TypeError, ValueError):
            return Refused(
                InvalidArgument(
                    f"a message of type {type(message).__name__} is not valid: use a tuple (exchange, "
                    "routing key, body) or (exchange, routing key, body, properties)"
                )
            )
        try:
            return self.prepare(exchange, routing_key, body, properties, mandatory, timeout)
        except InvalidArgument as error:
            return Refused(error)

    def _hand_over(self, futures: list[PublishFuture], timeout: float) -> None:
        """Hand over in order, as the window allows; what it keeps out until its deadline ends there."""
        while futures:
            counted = 0
            try:
                counted = self.window.acquire([future.size for future in futures], futures[0].deadline)
                self.engine.publish(futures[:counted])
            except BaseException:  # a signal's: nobody gets these futures
                for future in futures[:counted]:
                    future.cancel()
                raise
            if not counted:
                error = self.never_sent(f"the window stayed full for {timeout:g} s", futures[0].message_id)
                self.futures.refuse(futures[0], error)
            futures = futures[counted or 1 :]

    def never_sent(self, what: str, message_id: str | None) -> RabbitKeeperError:
        """Why a message was not sent, as far as is known now."""
        snapshot = self.engine.snapshot
        if snapshot.blocked:
            return Blocked(f"{what}: the broker blocks publishers ({snapshot.blocked})", message_id)
        if snapshot.target is not None:
            return Blocked(f"{what}: {snapshot.target.member} takes no more at the moment", message_id)
        last = f"; last error: {snapshot.error}" if snapshot.error else ""
        return NoLeader(f"{what}: no broker is reached{last}", message_id)

    def _explain(self, settled: Settled[PublishFuture]) -> RabbitKeeperError:
        """The error for a publish that was not confirmed."""
        entry = settled.entry
        name, where = entry.message_id, f"to exchange {entry.exchange!r} with key {entry.routing_key!r}"
        match settled.outcome:
            case Outcome.RETURNED:
                return Unroutable(f"no queue took the message {where}: {settled.detail}", name)
            case Outcome.NACKED:
                return Nacked(f"message {where}: {settled.detail or 'refused until its deadline'}", name)
            case Outcome.UNKNOWN if settled.detail:
                return PublishUnknown(
                    f"the message {where} was sent without an answer, and refused when it was sent again: "
                    f"{settled.detail}",
                    name,
                )
            case Outcome.UNKNOWN:
                return PublishUnknown(f"no answer by the deadline for the message {where}", name)
            case Outcome.UNSENT:
                return self.never_sent(f"the message {where} was not sent by its deadline", name)
        sent = "it may or may not be there" if entry.attempts else "it was not sent"
        return Closed(f"the client was closed before the message {where} was confirmed: {sent}", name)


class Refused:
    """The place of a message that cannot be sent, among those that can."""

    def __init__(self, error: RabbitKeeperError) -> None:
        self._error = error

    def done(self) -> bool:
        return True

    def outcome(self) -> RabbitKeeperError:
        return self._error

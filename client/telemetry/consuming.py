"""Consuming that is observed: messages as they come, as they are worked on, and as they are answered."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType

from rabbitkeeper.client.consume.consumer import Consumer
from rabbitkeeper.client.consume.message import Message, Processing
from rabbitkeeper.client.consume.subscription import Subscription
from rabbitkeeper.client.consuming import AsyncHandler, Consuming, Handler
from rabbitkeeper.client.telemetry.observer import ClientObserver, Tracer


class ObservedConsuming(Consuming):
    """See the module; :meth:`observe` is called before anything else."""

    _observers: Sequence[ClientObserver] = ()
    _tracer: Tracer | None = None

    def observe(self, observers: Sequence[ClientObserver], tracer: Tracer | None) -> None:
        """Tell ``observers``, of which ``tracer`` may be one."""
        self._observers, self._tracer = observers, tracer

    def _consumer(self, subscription: Subscription, for_handler: bool) -> Consumer:
        taking = ObservedTaking(subscription.get, self._observers, self._tracer, is_asked=not for_handler)
        return ObservedConsumer(subscription, self._finish, self._engine.drop, taking)

    def got(self, message: Message | None, began: float) -> Message | None:
        if message is None:
            return None
        return ObservedTaking(lambda _: None, self._observers, self._tracer, is_asked=True).taken(
            message, began
        )

    def handler(self, function: Handler) -> Handler:
        tracer = self._tracer
        if tracer is None:
            return function

        def traced(message: Message) -> None:
            with tracer.processing(message):
                function(message)

        return traced

    def async_handler(self, function: AsyncHandler) -> AsyncHandler:
        tracer = self._tracer
        if tracer is None:
            return function

        async def traced(message: Message) -> None:
            with tracer.processing(message):
                await function(message)

        return traced


class ObservedConsumer(Consumer):
    """A consumer that takes its messages with ``taking``."""

    def __init__(
        self,
        subscription: Subscription,
        finish: Callable[[Subscription, float], Callable[[float], int]],
        drop: Callable[[Subscription], None],
        taking: "ObservedTaking",
    ) -> None:
        super().__init__(subscription, finish, drop)
        self._get = taking


class ObservedTaking:
    """Takes messages as a consumer does, and tells of them. It does not know the consumer, which ends when
    nobody holds it any more.

    Args:
        take: the way to take them unobserved.
        is_asked: somebody asks for each message, and waits for it; else a function is called with it.
    """

    def __init__(
        self,
        take: Callable[[float | None], Message | None],
        observers: Sequence[ClientObserver],
        tracer: Tracer | None,
        *,
        is_asked: bool,
    ) -> None:
        self._take = take
        self._observers = observers
        self._tracer = tracer
        self._asking = tracer if is_asked else None

    def __call__(self, timeout: float | None) -> Message | None:
        began = time.time()
        message = self._take(timeout)
        return None if message is None else self.taken(message, began)

    def taken(self, message: Message, began: float) -> Message:
        """Tell of ``message``, that was asked for then (seconds since 1970); what its user gets."""
        try:
            for observer in self._observers:
                observer.received(message)
            if self._asking is not None:
                self._asking.asked(message, began)
            return message if self._tracer is None else TracedMessage(message, self._tracer)
        except BaseException:  # a signal's: nobody gets the message
            message.nack(requeue=True)
            raise


class TracedMessage(Message):
    """A message whose answering, and its ``process`` blocks, are traced."""

    __slots__ = ("_tracer",)

    def __init__(self, message: Message, tracer: Tracer) -> None:
        for name in Message.__slots__:
            setattr(self, name, getattr(message, name))
        self._tracer = tracer

    def ack(self) -> None:
        if not self.answered:
            with self._tracer.settling(self, "ack"):
                super().ack()

    def nack(self, *, requeue: bool = True) -> None:
        if not self.answered:
            with self._tracer.settling(self, "nack" if requeue else "reject"):
                super().nack(requeue=requeue)

    def process(self, *, requeue: bool = True) -> Processing:
        return TracedProcessing(self, self._tracer.processing(self), requeue=requeue)


class TracedProcessing(Processing):
    """See :meth:`Message.process`; the answer is in the span."""

    def __init__(self, message: Message, span: AbstractContextManager[None], *, requeue: bool) -> None:
        super().__init__(message, requeue=requeue)
        self._span = span

    def __enter__(self) -> Message:
        self._span.__enter__()
        return super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            super().__exit__(kind, error, trace)
        finally:
            self._span.__exit__(kind, error, trace)

    async def __aenter__(self) -> Message:
        return self.__enter__()

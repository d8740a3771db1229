"""Publishing that is observed: each message from its being handed over, over each attempt, to its end."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from rabbitkeeper.client.amqp.properties import BasicProperties
from rabbitkeeper.client.engine.snapshot import Snapshot
from rabbitkeeper.client.model.errors import RabbitKeeperError
from rabbitkeeper.client.publish.future import Futures, PublishFuture
from rabbitkeeper.client.publishing import Publishing
from rabbitkeeper.client.telemetry.observer import ClientObserver, Tracer


class ObservedFutures(Futures):
    """Futures whose ways are told."""

    observers: Sequence[ClientObserver] = ()
    snapshot: Callable[[], Snapshot]  # the engine's; set before anything is handed over

    def begin(self, futures: Sequence[PublishFuture]) -> list[PublishFuture]:
        begun = super().begin(futures)
        target = self.snapshot().target
        for observer in self.observers:
            observer.sending(begun, None if target is None else target.address)
        return begun

    def confirm(self, futures: Sequence[PublishFuture]) -> None:
        for observer in self.observers:  # before those who wait go on: what they look at is complete
            observer.confirmed(futures)
        super().confirm(futures)

    def _fail(self, future: PublishFuture, why: Callable[[], RabbitKeeperError]) -> None:
        def told() -> RabbitKeeperError:  # is called if the future has not ended before
            error = why()
            for observer in self.observers:
                observer.failed(future, error)
            return error

        super()._fail(future, told)

    def refuse(self, future: PublishFuture, error: RabbitKeeperError) -> None:
        for observer in self.observers:
            observer.failed(future, error)
        super().refuse(future, error)

    def withdrawn(self, future: PublishFuture) -> None:
        for observer in self.observers:
            observer.taken_back(future)
        super().withdrawn(future)


class ObservedPublishing(Publishing):
    """See the module; :meth:`observe` is called before anything else."""

    _futures_type: ClassVar[type[Futures]] = ObservedFutures
    _observers: Sequence[ClientObserver] = ()
    _tracer: Tracer | None = None

    def observe(self, observers: Sequence[ClientObserver], tracer: Tracer | None) -> None:
        """Tell ``observers``, of which ``tracer`` may be one."""
        assert isinstance(self.futures, ObservedFutures)  # noqa: S101 - as said above
        self.futures.observers = self._observers = observers
        self.futures.snapshot = lambda: self.engine.snapshot
        self._tracer = tracer

    def prepare(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        properties: BasicProperties | None,
        mandatory: bool,
        timeout: float,
    ) -> PublishFuture:
        future = super().prepare(exchange, routing_key, body, properties, mandatory, timeout)
        if self._tracer is not None:
            traced, future.trace = self._tracer.publishing(future, properties)
            if traced is not properties:
                template = self._templates.get(exchange, routing_key, traced, mandatory=mandatory)
                if template.header_size <= self.engine.frame_max:  # else it goes without the context
                    future.template = template
        return future

    def dropped(self, future: PublishFuture, error: RabbitKeeperError | None = None) -> None:
        for observer in self._observers:
            if error is None:
                observer.taken_back(future)
            else:
                observer.failed(future, error)

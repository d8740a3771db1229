"""Chooses, when a client is made, whether its halves are observed.

Without telemetry they are the plain ones: nothing is asked for each message, and no library is imported.
"""

from collections.abc import Callable, Iterable

from rabbitkeeper.client.consuming import Consuming
from rabbitkeeper.client.engine.engine import Engine
from rabbitkeeper.client.guard import Guard
from rabbitkeeper.client.model.errors import InvalidArgument
from rabbitkeeper.client.model.events import Event
from rabbitkeeper.client.publish.future import PublishFuture
from rabbitkeeper.client.publish.window import Window
from rabbitkeeper.client.publishing import Publishing
from rabbitkeeper.client.status import Status
from rabbitkeeper.client.telemetry.consuming import ObservedConsuming
from rabbitkeeper.client.telemetry.observer import ClientObserver, Telemetry, Tracer
from rabbitkeeper.client.telemetry.publishing import ObservedPublishing


class Observed:
    """The choice for one client.

    Args:
        telemetry: what it was given.
        group, name: the client's.

    Raises:
        InvalidArgument: something of ``telemetry`` is none, or more than one makes spans.
    """

    def __init__(self, telemetry: Iterable[Telemetry], group: str, name: str) -> None:
        if not isinstance(telemetry, Iterable):
            raise InvalidArgument(
                f"telemetry {telemetry!r} is not valid: use a list, as in telemetry=[OpenTelemetry()]"
            )
        self._observers: list[ClientObserver] = []
        for one in telemetry:
            make = getattr(one, "observer", None)
            observer = make(group, name) if callable(make) else None
            if not isinstance(observer, ClientObserver):
                raise InvalidArgument(
                    f"telemetry {one!r} is not valid: use OpenTelemetry() or Prometheus(), of "
                    "rabbitkeeper.client.telemetry"
                )
            self._observers.append(observer)
        tracers = [one for one in self._observers if isinstance(one, Tracer)]
        if len(tracers) > 1:
            raise InvalidArgument("telemetry has more than one that makes spans: use one of them")
        self._tracer = tracers[0] if tracers else None

    def publishing(
        self,
        engine: Engine,
        window: Window,
        *,
        future_type: type[PublishFuture],
        now: Callable[[], float] | None = None,
    ) -> Publishing:
        clock = {} if now is None else {"now": now}
        if not self._observers:
            return Publishing(engine, window, future_type=future_type, **clock)
        observed = ObservedPublishing(engine, window, future_type=future_type, **clock)
        observed.observe(self._observers, self._tracer)
        return observed

    def consuming(
        self, engine: Engine, guard: Guard, *, emit: Callable[[Event], None], name: str
    ) -> Consuming:
        if not self._observers:
            return Consuming(engine, guard, emit=emit, name=name)
        observed = ObservedConsuming(engine, guard, emit=emit, name=name)
        observed.observe(self._observers, self._tracer)
        return observed

    def begin(
        self, status: Callable[[], Status], on_event: Callable[[Callable[[Event], object]], None]
    ) -> None:
        """The client has reached a broker."""
        for observer in self._observers:
            on_event(observer.event)
            observer.begin(status)

"""Traces and metrics of a client, with the library ``opentelemetry-api`` (the extra ``opentelemetry``).

``Client(…, telemetry=[OpenTelemetry()])``; one object may be given to any number of clients. The names are in
:mod:`conventions`; what becomes of spans and metrics, the application's SDK and exporters decide. Without an
SDK the API does nothing.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from opentelemetry import metrics, propagate, trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, TracerProvider

from rabbitkeeper.client.amqp.properties import BasicProperties
from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.model.events import Event, Switched
from rabbitkeeper.client.publish.future import PublishFuture
from rabbitkeeper.client.status import Status as ClientStatus
from rabbitkeeper.client.telemetry import conventions as named
from rabbitkeeper.client.telemetry.counts import CountingObserver
from rabbitkeeper.client.telemetry.instruments import Instruments
from rabbitkeeper.client.telemetry.observer import ClientObserver, Tracer

SCOPE = "rabbitkeeper.client"

Attributes = dict[str, str | int | bool]


class OpenTelemetry:
    """Makes spans and metrics for the clients that it is given to.

    Args:
        tracer_provider, meter_provider: the global ones by default.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        release = version("rabbitkeeper")
        self._tracer = trace.get_tracer(SCOPE, release, tracer_provider)
        self._instruments = Instruments(metrics.get_meter(SCOPE, release, meter_provider))

    def observer(self, group: str, name: str) -> ClientObserver:
        """See :class:`Telemetry`."""
        return TracingObserver(self._tracer, self._instruments, group, name)


@dataclass(slots=True)
class PublishTrace:
    """Of one publish: its span, and what is measured of it."""

    span: Span
    began: float  # seconds, monotonic
    measured: Attributes


class TracingObserver(Tracer):
    """Spans and metrics of one client."""

    def __init__(self, tracer: trace.Tracer, instruments: Instruments, group: str, name: str) -> None:
        self._tracer = tracer
        self._instruments = instruments
        self._counting = CountingObserver(instruments.counts.of(group, name))
        self._of_client: Attributes = {named.SYSTEM: named.RABBITMQ, named.CLIENT_ID: name}

    # -- publishing

    def publishing(
        self, future: PublishFuture, properties: BasicProperties | None
    ) -> tuple[BasicProperties | None, object]:
        few = named.few_published_to(future.exchange, future.routing_key)
        attributes: Attributes = {
            **self._of_client,
            named.OPERATION: "publish",
            named.OPERATION_TYPE: "send",
            named.DESTINATION: named.published_to(future.exchange, future.routing_key),
            named.MESSAGE_ID: future.message_id,
        }
        if future.routing_key:
            attributes[named.ROUTING_KEY] = future.routing_key
        if properties is not None and isinstance(properties.correlation_id, str):
            attributes[named.CONVERSATION_ID] = properties.correlation_id
        headers = {} if properties is None else dict(properties.headers or {})
        own = _creation(headers)  # the application's own: it is left as it is
        span = self._tracer.start_span(
            f"publish {few}",
            kind=SpanKind.PRODUCER if own is None else SpanKind.CLIENT,
            attributes=attributes,
            links=_links(own),
        )
        measured: Attributes = {
            named.SYSTEM: named.RABBITMQ,
            named.OPERATION: "publish",
            named.OPERATION_TYPE: "send",
            named.DESTINATION_TEMPLATE: few,
        }
        made = PublishTrace(span, time.monotonic(), measured)
        carrier: dict[str, str] = {}
        if own is None:
            propagate.inject(carrier, trace.set_span_in_context(span))
        if not carrier:
            return properties, made
        sent: BasicProperties = BasicProperties() if properties is None else copy(properties)
        sent.headers = {**headers, **carrier}
        return sent, made

    def sending(self, futures: Sequence[PublishFuture], address: str | None) -> None:
        self._counting.sending(futures, address)
        server = {} if address is None else named.server(address)
        for future in futures:
            made = future.trace
            if isinstance(made, PublishTrace) and made.span.is_recording():
                made.span.add_event("sent", {named.ATTEMPT: future.attempts + 1, **server})
                made.span.set_attributes(server)  # of the last one, as the conventions want it

    def confirmed(self, futures: Sequence[PublishFuture]) -> None:
        self._counting.confirmed(futures)
        for future in futures:
            self._ended(future, None)

    def failed(self, future: PublishFuture, error: Exception) -> None:
        self._counting.failed(future, error)
        self._ended(future, error)

    def taken_back(self, future: PublishFuture) -> None:
        self._counting.taken_back(future)
        if isinstance(future.trace, PublishTrace) and future.trace.span.is_recording():
            future.trace.span.add_event("taken back")
        self._ended(future, None)

    def _ended(self, future: PublishFuture, error: Exception | None) -> None:
        made, future.trace = future.trace, None  # once
        if not isinstance(made, PublishTrace):
            return
        measured = made.measured
        if error is not None:
            _note(made.span, error)
            measured = {**measured, named.ERROR_TYPE: named.error_type(error)}
        if future.attempts:
            self._instruments.sent.add(1, measured)
        self._instruments.duration.record(time.monotonic() - made.began, measured)
        made.span.set_attribute(named.ATTEMPTS, future.attempts)
        made.span.end()

    # -- consuming

    def received(self, message: Message) -> None:
        self._counting.received(message)
        self._instruments.consumed.add(1, self._measured(message, "receive", "receive"))

    def asked(self, message: Message, began: float) -> None:
        span = self._tracer.start_span(
            f"receive {message.queue}",
            kind=SpanKind.CLIENT,
            attributes=self._attributes(message, "receive", "receive"),
            links=_links(_creation(message.headers)),
            start_time=int(began * 1e9),
        )
        span.end()
        self._instruments.duration.record(
            max(0.0, time.time() - began), self._measured(message, "receive", "receive")
        )

    @contextmanager
    def processing(self, message: Message) -> Iterator[None]:
        """The producer's context is linked; where there is no span around, it is the parent as well, so that
        what one message brings about is one trace."""
        creation = _creation(message.headers)
        is_alone = not trace.get_current_span().get_span_context().is_valid
        measured = self._measured(message, "process", "process")
        began = time.monotonic()
        span = self._tracer.start_span(
            f"process {message.queue}",
            context=creation if is_alone else None,
            kind=SpanKind.CONSUMER,
            attributes=self._attributes(message, "process", "process"),
            links=_links(creation),
        )
        token = attach(trace.set_span_in_context(span, creation if is_alone else None))
        try:
            yield
        except BaseException as error:
            span.record_exception(error)
            _note(span, error)
            measured[named.ERROR_TYPE] = named.error_type(error)
            raise
        finally:
            detach(token)
            span.end()
            self._instruments.process_duration.record(time.monotonic() - began, measured)

    @contextmanager
    def settling(self, message: Message, how: str) -> Iterator[None]:
        began = time.monotonic()
        with self._tracer.start_as_current_span(
            f"{how} {message.queue}",
            kind=SpanKind.CLIENT,
            attributes=self._attributes(message, how, "settle"),
            links=_links(_creation(message.headers)),
        ):
            yield
        self._instruments.duration.record(time.monotonic() - began, self._measured(message, how, "settle"))

    def _attributes(self, message: Message, operation: str, kind: str) -> Attributes:
        attributes: Attributes = {
            **self._of_client,
            named.OPERATION: operation,
            named.OPERATION_TYPE: kind,
            named.DESTINATION: named.consumed_from(message.exchange, message.routing_key, message.queue),
            named.DELIVERY_TAG: message.delivery_tag,
            named.REDELIVERED: message.redelivered,
        }
        if message.routing_key:
            attributes[named.ROUTING_KEY] = message.routing_key
        if message.message_id is not None:
            attributes[named.MESSAGE_ID] = message.message_id
        if isinstance(message.properties.correlation_id, str):
            attributes[named.CONVERSATION_ID] = message.properties.correlation_id
        return attributes

    def _measured(self, message: Message, operation: str, kind: str) -> Attributes:
        return {
            named.SYSTEM: named.RABBITMQ,
            named.OPERATION: operation,
            named.OPERATION_TYPE: kind,
            named.DESTINATION_TEMPLATE: message.queue,
        }

    # -- the client itself

    def event(self, event: Event) -> None:
        self._counting.event(event)
        if isinstance(event, Switched) and not event.planned:
            self._instruments.gap.record(event.gap, self._of_client)

    def begin(self, status: Callable[[], ClientStatus]) -> None:
        self._counting.begin(status)


def _creation(headers: Mapping[str, Any]) -> Context | None:
    """The context that a message was made in, as its headers have it; None if they have none."""
    carrier = {
        name: value.decode(errors="replace") if isinstance(value, bytes) else value
        for name, value in headers.items()
        if isinstance(name, str) and isinstance(value, str | bytes)
    }
    if not carrier:
        return None
    context = propagate.extract(carrier, Context())
    return context if trace.get_current_span(context).get_span_context().is_valid else None


def _links(creation: Context | None) -> list[Link]:
    return [] if creation is None else [Link(trace.get_current_span(creation).get_span_context())]


def _note(span: Span, error: BaseException) -> None:
    span.set_attribute(named.ERROR_TYPE, named.error_type(error))
    span.set_status(Status(StatusCode.ERROR, str(error)))

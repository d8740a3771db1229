"""A simulated client that OpenTelemetry's real SDK observes, and what it was given."""

from queue import Empty
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from simulation.client import Simulation

from rabbitkeeper.client.amqp.properties import BasicProperties
from rabbitkeeper.client.consume.consumer import Consumer
from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.consuming import Consuming
from rabbitkeeper.client.guard import Guard
from rabbitkeeper.client.publish.future import PublishFuture
from rabbitkeeper.client.telemetry.opentelemetry import OpenTelemetry


class Recorded:
    """What an application's SDK was given."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self.tracer = provider.get_tracer("application")
        self._reader = InMemoryMetricReader()
        self.telemetry = OpenTelemetry(provider, MeterProvider([self._reader]))

    def spans(self, kind: str) -> list[ReadableSpan]:
        """Those of one type of operation, in the order of their ends."""
        return [
            one
            for one in self._spans.get_finished_spans()
            if one.attributes and one.attributes.get("messaging.operation.type") == kind
        ]

    def span(self, kind: str) -> ReadableSpan:
        (one,) = self.spans(kind)
        return one

    def points(self, name: str) -> list[Any]:
        """The data points of a metric."""
        data = self._reader.get_metrics_data()
        if data is None:
            return []
        return [
            point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


def publish(
    simulation: Simulation,
    properties: BasicProperties | None = None,
    *,
    exchange: str = "",
    key: str = "orders",
    timeout: float = 10.0,
) -> PublishFuture:
    future = simulation.client.publishing.publish(exchange, key, b"body", properties, True, timeout)
    simulation.client.futures.append(future)
    return future


def consuming(simulation: Simulation) -> Consuming:
    client = simulation.client
    return client.observed.consuming(client.engine, Guard(client.engine), emit=client.emit, name="simulated")


def take(simulation: Simulation, consumer: Consumer) -> Message:
    """The next message; time passes until it comes."""
    taken: list[Message] = []

    def came() -> bool:
        try:
            message = consumer.get(0)
        except Empty:
            return False
        assert message is not None
        taken.append(message)
        return True

    simulation.until(came, 10.0)
    return taken[0]


def linked(span: ReadableSpan) -> list[int]:
    return [link.context.span_id for link in span.links]


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    name: int = span.context.span_id
    return name

"""Publishes of a simulated client as spans and metrics, with OpenTelemetry's real SDK."""

from collections.abc import Callable

import pytest
from opentelemetry.trace import SpanKind, StatusCode
from simulation.client import Simulation
from support.client.recorded_telemetry import Recorded, consuming, linked, publish, take

from rabbitkeeper.client.amqp.properties import BasicProperties
from rabbitkeeper.client.model.errors import InvalidArgument
from rabbitkeeper.client.publish.future import PublishFuture


def test_a_publish_is_a_producer_span_as_the_conventions_have_it(
    recorded: Recorded, simulation: Simulation
) -> None:
    future = publish(simulation, BasicProperties(correlation_id="c1"))
    simulation.client.all_done()
    span = recorded.span("send")
    assert (span.name, span.kind) == ("publish orders", SpanKind.PRODUCER)
    assert span.status.status_code is StatusCode.UNSET
    assert dict(span.attributes or {}) == {
        "messaging.system": "rabbitmq",
        "messaging.client.id": "simulated",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.destination.name": "orders",
        "messaging.rabbitmq.destination.routing_key": "orders",
        "messaging.message.id": future.message_id,
        "messaging.message.conversation_id": "c1",
        "server.address": "a",
        "server.port": 5672,
        "rabbitkeeper.attempts": 1,
    }
    (sent,) = span.events
    assert sent.name == "sent"
    assert dict(sent.attributes or {}) == {
        "rabbitkeeper.attempt": 1,
        "server.address": "a",
        "server.port": 5672,
    }


def test_a_span_of_the_application_is_the_parent(recorded: Recorded, simulation: Simulation) -> None:
    with recorded.tracer.start_as_current_span("request") as request:
        publish(simulation)
    simulation.client.all_done()
    parent = recorded.span("send").parent
    assert parent is not None
    assert parent.span_id == request.get_span_context().span_id


def test_each_attempt_over_a_failover_is_seen_with_its_broker(
    recorded: Recorded, simulation: Simulation
) -> None:
    futures = [publish(simulation) for _ in range(100)]
    simulation.run(0.0022)  # some are confirmed, some under way
    simulation.cluster.kill("a")
    simulation.client.all_done()
    spans = {one.attributes["messaging.message.id"]: one for one in recorded.spans("send") if one.attributes}
    assert len(spans) == 100
    for future in futures:
        attempts = future.result().attempts
        sent = [event.attributes or {} for event in spans[future.message_id].events]
        assert [one["rabbitkeeper.attempt"] for one in sent] == list(range(1, attempts + 1))
        assert sent[0]["server.address"] == "a"
        assert (spans[future.message_id].attributes or {})["rabbitkeeper.attempts"] == attempts
    again = [future for future in futures if future.result().attempts > 1]
    assert again
    last = (spans[again[-1].message_id].events[-1].attributes or {})["server.address"]
    assert last == simulation.client.member != "a"
    (republished,) = recorded.points("rabbitkeeper.client.republished.messages")
    assert republished.value == sum(future.result().attempts - 1 for future in futures)
    (gap,) = recorded.points("rabbitkeeper.client.switch.gap")
    assert gap.count == 1


def test_the_context_is_in_the_headers_and_the_callers_properties_are_left_alone(
    recorded: Recorded, simulation: Simulation
) -> None:
    own = BasicProperties(headers={"x": 1}, content_type="text/plain")
    publish(simulation, own)
    simulation.client.all_done()
    assert own.headers == {"x": 1}
    message = take(simulation, consuming(simulation).consume("orders", 10, 0))
    context = recorded.span("send").context
    assert context is not None
    assert message.headers["x"] == 1
    assert message.headers["traceparent"].startswith(f"00-{context.trace_id:032x}-{context.span_id:016x}-")
    assert message.properties.content_type == "text/plain"


def test_a_context_that_the_application_has_put_there_is_kept_and_linked(
    recorded: Recorded, simulation: Simulation
) -> None:
    own = f"00-{7:032x}-{9:016x}-01"
    publish(simulation, BasicProperties(headers={"traceparent": own}))
    simulation.client.all_done()
    span = recorded.span("send")
    assert (span.kind, linked(span)) == (SpanKind.CLIENT, [9])
    assert take(simulation, consuming(simulation).consume("orders", 10, 0)).headers["traceparent"] == own


def test_what_does_not_fit_a_frame_with_the_context_goes_without(
    recorded: Recorded, simulation: Simulation
) -> None:
    most = simulation.client.engine.frame_max
    fits = BasicProperties(headers={"x": "x" * (most - 320)})
    future = publish(simulation, fits)
    simulation.client.all_done()
    assert future.exception(0) is None
    message = take(simulation, consuming(simulation).consume("orders", 10, 0))
    assert list(message.headers) == ["x"]
    with pytest.raises(InvalidArgument):
        publish(simulation, BasicProperties(headers={"x": "x" * most}))
    assert len(recorded.spans("send")) == 1


@pytest.mark.parametrize(
    ("fails", "named"),
    [
        (lambda simulation: publish(simulation, key="nowhere"), "Unroutable"),
        (lambda simulation: publish(simulation, exchange="none"), "Nacked"),
    ],
)
def test_a_publish_that_fails_has_the_error(
    recorded: Recorded, simulation: Simulation, fails: Callable[[Simulation], PublishFuture], named: str
) -> None:
    future = fails(simulation)
    simulation.client.all_done()
    span = recorded.span("send")
    assert (span.attributes or {})["error.type"] == named == type(future.exception(0)).__name__
    assert span.status.status_code is StatusCode.ERROR
    (duration,) = recorded.points("messaging.client.operation.duration")
    assert duration.attributes["error.type"] == named


def test_one_that_is_taken_back_ends_too(recorded: Recorded, simulation: Simulation) -> None:
    simulation.cluster.raise_alarm()
    simulation.run(0.1)
    future = publish(simulation)
    assert future.cancel()
    assert [event.name for event in recorded.span("send").events] == ["taken back"]
    assert recorded.points("messaging.client.sent.messages") == []
    simulation.client.futures.clear()
    simulation.cluster.clear_alarm()


def test_a_window_that_stays_full_ends_the_span() -> None:
    recorded = Recorded()
    simulation = Simulation(window=1, telemetry=[recorded.telemetry]).started()
    simulation.cluster.hold_confirms()
    publish(simulation)
    publishing = simulation.client.publishing
    future = publishing.prepare("", "orders", b"x", None, True, 5.0)
    publishing.dropped(future, publishing.never_sent("the window stayed full", future.message_id))
    publishing.dropped(future)  # once is once
    (span,) = recorded.spans("send")
    assert (span.attributes or {})["error.type"] == "Blocked"
    simulation.cluster.release_confirms()
    simulation.client.all_done()
    simulation.come_to_rest()


def test_outcomes_blocked_time_and_what_is_unconfirmed_are_metrics(
    recorded: Recorded, simulation: Simulation
) -> None:
    for _ in range(3):
        publish(simulation)
    publish(simulation, key="nowhere")
    simulation.client.all_done()
    outcomes = {
        point.attributes["rabbitkeeper.outcome"]: point.value
        for point in recorded.points("rabbitkeeper.client.published.messages")
    }
    assert outcomes == {"confirmed": 3, "unroutable": 1}
    simulation.cluster.raise_alarm()
    simulation.run(0.5)
    publish(simulation)
    (unconfirmed,) = recorded.points("rabbitkeeper.client.unconfirmed.messages")
    assert unconfirmed.value == 1
    simulation.cluster.clear_alarm()
    simulation.client.all_done()
    (blocked,) = recorded.points("rabbitkeeper.client.blocked.time")
    assert blocked.value > 0
    assert blocked.attributes["rabbitkeeper.group"] == "orders"

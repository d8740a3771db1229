"""What a simulated client consumes as spans and metrics, with OpenTelemetry's real SDK; and for asyncio."""

import asyncio

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from simulation.async_client import AsyncScene, play
from simulation.client import Simulation
from support.client.recorded_telemetry import Recorded, consuming, id_of, linked, publish, take

from rabbitkeeper.client.amqp.properties import BasicProperties
from rabbitkeeper.client.consume.message import Message


def test_receiving_and_settling_link_to_the_producer(recorded: Recorded, simulation: Simulation) -> None:
    publish(simulation)
    simulation.client.all_done()
    message = take(simulation, consuming(simulation).consume("orders", 10, 0))
    message.ack()
    message.ack()
    simulation.run(0.1)
    producer = id_of(recorded.span("send"))
    for kind, name in (("receive", "receive orders"), ("settle", "ack orders")):
        span = recorded.span(kind)
        assert (span.name, span.kind, linked(span)) == (name, SpanKind.CLIENT, [producer])
        attributes = span.attributes or {}
        assert attributes["messaging.destination.name"] == "orders"
        assert attributes["messaging.rabbitmq.message.delivery_tag"] == 1
    assert len(simulation.journal.acked) == 1
    (consumed,) = recorded.points("messaging.client.consumed.messages")
    assert consumed.value == 1


def test_a_block_that_processes_is_a_consumer_span_in_the_producers_trace(
    recorded: Recorded, simulation: Simulation
) -> None:
    publish(simulation)
    simulation.client.all_done()
    message = take(simulation, consuming(simulation).consume("orders", 10, 0))
    with message.process():
        inside = trace.get_current_span().get_span_context()
    simulation.run(0.1)
    producer, span = recorded.span("send"), recorded.span("process")
    assert (span.kind, linked(span), id_of(span)) == (SpanKind.CONSUMER, [id_of(producer)], inside.span_id)
    assert span.context is not None
    assert producer.context is not None
    assert span.context.trace_id == producer.context.trace_id
    settled = recorded.span("settle").parent
    assert settled is not None
    assert settled.span_id == inside.span_id
    assert not trace.get_current_span().get_span_context().is_valid
    (duration,) = recorded.points("messaging.process.duration")
    assert duration.count == 1


def test_within_a_span_of_the_application_that_is_the_parent(
    recorded: Recorded, simulation: Simulation
) -> None:
    publish(simulation)
    simulation.client.all_done()
    message = take(simulation, consuming(simulation).consume("orders", 10, 0))
    with recorded.tracer.start_as_current_span("batch") as batch, message.process():
        pass
    simulation.run(0.1)
    span = recorded.span("process")
    assert span.parent is not None
    assert span.parent.span_id == batch.get_span_context().span_id
    assert linked(span) == [id_of(recorded.span("send"))]


def test_a_block_that_raises_has_the_error_and_the_message_goes_back(
    recorded: Recorded, simulation: Simulation
) -> None:
    publish(simulation)
    simulation.client.all_done()
    consumer = consuming(simulation).consume("orders", 10, 0)
    message = take(simulation, consumer)
    with pytest.raises(KeyError), message.process():
        raise KeyError("x")
    span = recorded.span("process")
    assert (span.attributes or {})["error.type"] == "KeyError"
    assert span.status.status_code is StatusCode.ERROR
    assert recorded.span("settle").name == "nack orders"
    assert take(simulation, consumer).redelivered


def test_what_a_function_is_called_with_is_processed_and_not_received(
    recorded: Recorded, simulation: Simulation
) -> None:
    publish(simulation)
    simulation.client.all_done()
    half = consuming(simulation)
    seen: list[bool] = []
    handler = half.handler(lambda _: seen.append(trace.get_current_span().get_span_context().is_valid))
    message = take(simulation, half.consume("orders", 10, 0, for_handler=True))
    handler(message)
    message.ack()
    simulation.run(0.1)
    assert seen == [True]
    assert recorded.spans("receive") == []
    assert linked(recorded.span("process")) == [id_of(recorded.span("send"))]
    assert recorded.span("settle").name == "ack orders"


def test_foreign_headers_are_no_context(recorded: Recorded, simulation: Simulation) -> None:
    publish(simulation, BasicProperties(headers={"traceparent": b"\xff", "tracestate": 5, "x": [1]}))
    simulation.client.all_done()
    message = take(simulation, consuming(simulation).consume("orders", 10, 0))
    with message.process():
        pass
    simulation.run(0.1)
    assert linked(recorded.span("receive")) != [0]


def test_the_asynchronous_client_is_traced_too() -> None:
    recorded = Recorded()

    async def script(scene: AsyncScene) -> None:
        receipt = await scene.client.publish("", "orders", b"first")
        consumer = scene.client.consume("orders")
        message = await consumer.get()
        assert message is not None
        async with message.process():
            assert trace.get_current_span().get_span_context().is_valid
        await consumer.stop()
        done: list[bytes] = []

        async def handler(message: Message) -> None:
            assert trace.get_current_span().get_span_context().is_valid
            done.append(message.body)

        workers = scene.client.on_message("orders", handler)
        await scene.client.publish("", "orders", b"second")
        await scene.until(lambda: done)
        await workers.stop()
        assert receipt.message_id

    play(script, telemetry=[recorded.telemetry])
    first, second = recorded.spans("send")
    assert [linked(one) for one in recorded.spans("receive")] == [[id_of(first)]]
    assert [linked(one) for one in recorded.spans("process")] == [[id_of(first)], [id_of(second)]]
    assert [one.name for one in recorded.spans("settle")] == ["ack orders"] * 2


def test_a_task_that_is_cancelled_as_it_waits_for_room_ends_its_span() -> None:
    recorded = Recorded()

    async def script(scene: AsyncScene) -> None:
        scene.cluster.hold_confirms()
        first = await scene.client.publish_nowait("", "orders", b"x")
        waits = asyncio.create_task(scene.client.publish("", "orders", b"y"))
        await scene.turns(5)
        waits.cancel()
        await scene.until(waits.done)
        assert [[event.name for event in one.events] for one in recorded.spans("send")] == [["taken back"]]
        scene.cluster.release_confirms()
        await first

    play(script, window=1, telemetry=[recorded.telemetry])
    assert len(recorded.spans("send")) == 2

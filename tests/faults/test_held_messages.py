"""What the consumers of a node held that is gone: others get it soon, whatever RabbitMQ's own time for it."""

import functools
from collections.abc import Iterator

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from support.waiting import wait_for

from rabbitkeeper.compose.local import Local

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq, pytest.mark.timeout(300)]

SOON = 30.0  # seconds, on a busy host; RabbitMQ 4.3 by itself waits for 60
HELD = 10  # messages


@pytest.fixture(scope="module")
def local() -> Iterator[Local]:
    with Local(zookeepers=1, members=3, group="held") as local:
        local.wait_ready(180)
        yield local


def connect(local: Local, member: str) -> BlockingChannel:
    host, port = local.amqp(member)
    parameters = pika.ConnectionParameters(
        host, port, credentials=pika.PlainCredentials(*local.credentials), heartbeat=0
    )
    return pika.BlockingConnection(parameters).channel()


def consume(channel: BlockingChannel, queue: str) -> list[bytes]:
    """What is delivered, and never acked."""
    delivered: list[bytes] = []
    channel.basic_qos(prefetch_count=HELD)
    channel.basic_consume(queue, lambda _channel, _method, _properties, body: delivered.append(body))
    return delivered


def has_all(got: list[bytes], held: list[bytes]) -> bool:
    return sorted(got) == sorted(held)


def test_what_a_node_that_is_gone_held_is_delivered_to_others(local: Local) -> None:
    gone, stays = connect(local, "node3"), connect(local, "node1")
    held, got = {}, {}
    for queue, single_active in (("competing", False), ("single-active", True)):
        arguments = {"x-queue-type": "quorum", "x-single-active-consumer": single_active}
        gone.queue_declare(queue, durable=True, arguments=arguments)
        for number in range(HELD):
            gone.basic_publish("", queue, b"%d" % number)
        held[queue] = consume(gone, queue)
    wait_for(
        lambda: all(len(bodies) == HELD for bodies in held.values()),
        "all are held",
        tick=lambda: gone.connection.process_data_events(0.05),
    )
    for queue in held:
        got[queue] = consume(stays, queue)
    stays.connection.process_data_events(0.5)
    assert not any(got.values())
    local.kill_node("node3")
    for queue in held:
        waits = functools.partial(stays.connection.process_data_events, 0.05)
        wait_for(
            functools.partial(has_all, got[queue], held[queue]), f"the rest of {queue}", SOON, tick=waits
        )

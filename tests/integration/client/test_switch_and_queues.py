"""Queues on a real cluster that a switch could cost something: auto-delete, or with a delivery limit."""

import queue
import time
from contextlib import suppress

import pytest
from support.announcer import Announcer
from support.queues import publish, take
from support.waiting import wait_for

from rabbitkeeper.client import Binding, Client, Exchange, Queue
from rabbitkeeper.client.model.events import ConsumerLost, Event, QueueRenamed

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq]


@pytest.mark.parametrize("name", ["passing", ""], ids=["named", "server-named"])
def test_a_queue_that_goes_with_its_last_consumer_survives_a_move_and_a_broken_connection(
    client: Client, announcer: Announcer, name: str
) -> None:
    passing = Queue(name, auto_delete=True)
    events: list[Event] = []
    client.on_event(events.append)
    client.declare(Exchange("passing", "fanout", auto_delete=True), passing, Binding("passing", passing.name))
    consumer = client.consume(passing, prefetch=10)
    wait_for(lambda: consumer.active, "it is taken on")
    for number in range(50):
        client.publish("passing", "", b"%d" % number)
    announcer.lead("node2")
    try:
        wait_for(lambda: client.status().member == "node2", "the client has moved")
        assert sorted(take(consumer, 50), key=int) == [b"%d" % number for number in range(50)]
        assert not [event for event in events if isinstance(event, QueueRenamed)]
        client.publish("passing", "", b"moved")
        assert take(consumer, 1) == [b"moved"]
        announcer.close_connections("node2")
        until = time.monotonic() + 30
        got: list[bytes] = []
        while not got and time.monotonic() < until:  # the queue is new: what came before it is nowhere
            client.publish("passing", "", b"again", mandatory=False)
            with suppress(queue.Empty):
                message = consumer.get(0.2)
                assert message is not None
                message.ack()
                got.append(message.body)
        assert got == [b"again"]
        assert not [event for event in events if isinstance(event, ConsumerLost) and event.final]
    finally:
        announcer.lead("node1")
        consumer.stop(1)


def test_four_planned_moves_cost_no_message_of_a_queue_with_a_delivery_limit(
    client: Client, announcer: Announcer
) -> None:
    client.declare(Queue("moved", arguments={"x-delivery-limit": 2}))
    publish(client, "moved", 50)
    consumer = client.consume("moved", prefetch=50)
    wait_for(lambda: client.status().in_hand == 50, "all are here, and none is taken")
    seen: list[bytes] = []
    try:
        for name in ("node2", "node3", "node1", "node2"):
            announcer.lead(name)
            wait_for(lambda name=name: client.status().member == name, "the client has moved")  # type: ignore[misc]
            until = time.monotonic() + 6.5  # longer than the old connection was kept before
            while time.monotonic() < until:
                seen += take(consumer, 1)
                time.sleep(0.7)
        seen += take(consumer, 50 - len(seen))
        assert seen == [b"%d" % number for number in range(50)]
    finally:
        announcer.lead("node1")
        consumer.stop(1)

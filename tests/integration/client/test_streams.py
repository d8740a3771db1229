"""Streams on a real cluster: a consumer goes on where it was."""

import pytest
from support.announcer import Announcer
from support.queues import take
from support.waiting import wait_for

from rabbitkeeper.client import Client, Queue

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq]


def numbers(first: int, last: int) -> list[bytes]:
    return [b"%d" % number for number in range(first, last)]


def send(client: Client, queue: str, bodies: list[bytes]) -> None:
    assert all(client.publish_many([("", queue, body) for body in bodies]))


def test_a_consumer_goes_on_behind_what_it_took_after_a_planned_move_and_a_broken_connection(
    client: Client, announcer: Announcer
) -> None:
    log = Queue("log", type="stream")
    client.declare(log)
    send(client, "log", numbers(0, 200))
    consumer = client.consume(log, prefetch=50, offset="first")
    assert take(consumer, 60) == numbers(0, 60)
    announcer.lead("node3")
    try:
        wait_for(lambda: client.status().member == "node3", "the client has moved")
        assert take(consumer, 60) == numbers(60, 120)
        announcer.close_connections("node3")
        assert take(consumer, 80) == numbers(120, 200)
        send(client, "log", numbers(200, 210))
        assert take(consumer, 10) == numbers(200, 210)
    finally:
        announcer.lead("node1")
        consumer.stop(1)


def test_a_consumer_begins_where_it_is_told(client: Client) -> None:
    log = Queue("offsets", type="stream")
    client.declare(log)
    send(client, "offsets", numbers(0, 30))
    with client.consume(log, offset=7) as seventh:
        message = seventh.get(20)
        assert message is not None
        assert message.headers["x-stream-offset"] == 7
        assert message.body == b"7"
    following = client.consume(log)
    wait_for(lambda: following.active, "it is taken on")
    send(client, "offsets", [b"new"])
    assert take(following, 1) == [b"new"]
    following.stop(1)

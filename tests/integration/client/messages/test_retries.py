"""Delayed retries on a real cluster: through the kill of a broker, and by the queue itself where it can."""

import time
from collections import Counter
from threading import Lock

import pytest
from support.agent.rabbitmq_version import rabbitmq_version
from support.announcer import Announcer
from support.queues import depth
from support.waiting import wait_for

from rabbitkeeper.client import Backoff, Client, Message, Queue

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq]


class Flaky:
    """Fails over each message so often."""

    def __init__(self, failures: int) -> None:
        self.seen: list[tuple[bytes, int, float]] = []  # body, attempt, seconds
        self.done: set[bytes] = set()
        self._failures = failures
        self._counts: Counter[bytes] = Counter()
        self._lock = Lock()

    def __call__(self, message: Message) -> None:
        with self._lock:
            self._counts[message.body] += 1
            self.seen.append((message.body, message.attempt, time.monotonic()))
            if self._counts[message.body] <= self._failures:
                raise KeyError(message.body)
            self.done.add(message.body)


def test_no_message_that_waits_is_lost_when_the_broker_is_killed_that_everything_goes_over(
    client: Client, announcer: Announcer
) -> None:
    client.declare(Queue("flaky"))
    function = Flaky(2)
    bodies = {b"%d" % number for number in range(100)}
    with client.on_message("flaky", function, workers=4, retry=Backoff(1, 2)):
        client.publish_many([("", "flaky", body) for body in sorted(bodies)])
        wait_for(lambda: len(function.seen) >= 60, "some wait, some are worked on")
        announcer.local.kill_broker("node1")
        try:
            wait_for(lambda: function.done == bodies, "all are done")
        finally:
            announcer.local.start_broker("node1")
        wait_for(lambda: client.status().in_hand == 0, "all are answered")
    wait_for(lambda: depth(announcer, "flaky") == 0, "nothing is left")
    assert max(attempt for _, attempt, _ in function.seen) >= 3


def test_each_delay_is_kept_and_after_the_last_the_message_is_a_dead_letter(
    client: Client, announcer: Announcer
) -> None:
    """On RabbitMQ 4.3 and later the queue does it by itself; the wait queues stay empty there."""
    backoff = Backoff(0.5, 1)
    dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "retry-dead"}
    client.declare(Queue("retry-dead"), Queue("retry-own", arguments={**backoff.queue_arguments(), **dead}))
    function = Flaky(10)
    with client.on_message("retry-own", function, retry=backoff):
        client.publish("", "retry-own", b"x")
        with client.consume("retry-dead") as letters:
            letter = letters.get(30)
            assert letter is not None
            letter.ack()
    assert [attempt for _, attempt, _ in function.seen] == [1, 2, 3]
    times = [seen for _, _, seen in function.seen]
    assert times[1] - times[0] >= 0.45
    assert times[2] - times[1] >= 0.95
    assert (letter.retries == 0) == (rabbitmq_version(announcer.local)[:2] >= (4, 3))

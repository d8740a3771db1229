"""Delays, and the copies that wait: values alone."""

import pytest

from rabbitkeeper.client.model.backoff import Backoff
from rabbitkeeper.client.model.errors import InvalidArgument
from rabbitkeeper.client.model.topology import Queue
from rabbitkeeper.client.retrying.retries import waits_by_itself
from rabbitkeeper.client.retrying.wait_queues import wait_queue


def test_each_retry_has_its_delay_and_after_the_last_there_is_none() -> None:
    backoff = Backoff(1, 5.5, 30)
    assert [backoff.delay(retries) for retries in range(5)] == [1.0, 5.5, 30.0, None, None]


@pytest.mark.parametrize("delays", [(), (0,), (-1,), (True,), ("1",), (float("nan"),), (1e9,), (1,) * 33])
def test_what_is_no_delay_is_refused(delays: tuple[float, ...]) -> None:
    with pytest.raises(InvalidArgument, match=r"is not valid: use seconds|has 1 to 32 delays"):
        Backoff(*delays)


@pytest.mark.parametrize(
    ("backoff", "first", "longest"),
    [(Backoff(2), 2000, 2000), (Backoff(1, 2, 3), 1000, 3000), (Backoff(0.5, 1, 1.2, 1.2), 500, 1200)],
)
def test_delays_that_grow_evenly_are_a_queues_own(backoff: Backoff, first: int, longest: int) -> None:
    arguments = backoff.queue_arguments()
    assert arguments == {
        "x-delayed-retry-type": "failed",
        "x-delayed-retry-min": first,
        "x-delayed-retry-max": longest,
        "x-delivery-limit": len(backoff.delays),
    }
    queue = Queue("orders", arguments={**arguments, "x-dead-letter-exchange": "dead"})
    assert waits_by_itself(queue, backoff)
    assert not waits_by_itself(queue, Backoff(7))
    assert not waits_by_itself(queue, Backoff(1, 5, 30))
    assert not waits_by_itself(Queue("orders"), backoff)
    assert not waits_by_itself(None, backoff)


def test_others_are_not_and_the_error_says_which_would_be() -> None:
    with pytest.raises(InvalidArgument, match=r"use Backoff\(1.0, 2.0, 3.0\)"):
        Backoff(1, 5, 3).queue_arguments()


def test_a_wait_queue_keeps_a_message_until_its_target_has_it() -> None:
    queue = wait_queue("orders", 5.0)
    assert queue.name == "orders.retry.5000"
    assert queue.declared_arguments == {
        "x-queue-type": "quorum",
        "x-message-ttl": 5000,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": "orders",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
    assert wait_queue("orders", 0.25, 3).name == "orders.retry.250.3"
    with pytest.raises(InvalidArgument, match="the name of a wait queue"):
        wait_queue("o" * 250, 5.0)

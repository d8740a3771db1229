"""Delivery limits: what the client does by itself uses none of them up, as far as the broker lets it."""

import logging
import queue
from contextlib import suppress

import pytest
from simulation.client import Simulation

from rabbitkeeper.client.model.topology import Queue

LIMITED = Queue("limited", arguments={"x-delivery-limit": 2})
WITH_PLACE = Queue(
    "limited",
    arguments={
        "x-delivery-limit": 2,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": "dead",
    },
)


@pytest.mark.parametrize("counts_given_back", [False, True], ids=["from 4.3 on", "before"])
@pytest.mark.parametrize("answers_each", [0.05, 1.0, 8.0], ids=str)
def test_planned_moves_use_up_no_delivery_however_slow_the_user(
    answers_each: float, counts_given_back: bool
) -> None:
    """Before, 29 of 50 messages were dropped unseen after four switchovers."""
    simulation = Simulation().started()
    simulation.cluster.counts_given_back = counts_given_back
    simulation.client.declare(LIMITED)
    subscription = simulation.client.subscribe("limited", prefetch=50)
    ids = simulation.published(50, "limited")
    simulation.run(0.1)
    seen: list[str | None] = []
    leads = iter("bcab")
    next_move = simulation.time.now
    for _ in range(300):
        if simulation.time.now >= next_move and (name := next(leads, None)):
            simulation.group.lead(name)
            next_move = simulation.time.now + 20.0
        with suppress(queue.Empty):
            message = subscription.get(0)
            assert message is not None
            seen.append(message.message_id)
            message.ack()
        simulation.run(answers_each)
    assert seen == ids, "each was shown once, in order"
    assert simulation.journal.dropped == []
    simulation.come_to_rest()


def test_what_was_delivered_and_not_taken_goes_back_as_unseen_when_a_connection_is_let_go() -> None:
    simulation = Simulation().started()
    simulation.client.declare(LIMITED)
    subscription = simulation.client.subscribe("limited", prefetch=10)
    simulation.published(10, "limited")
    simulation.run(0.1)
    first = subscription.get(0)
    simulation.group.lead("b")
    simulation.run(700.0)  # the user answers nothing
    limited = simulation.cluster.queues["limited"]
    failures = {one.message_id: one.failures for one in (*limited.ready, *limited.in_hand)}
    assert first is not None
    assert failures.pop(str(first.message_id)) == 1
    assert set(failures.values()) == {0}
    simulation.come_to_rest()


def test_a_message_that_always_fails_ends_at_its_dead_letter_exchange() -> None:
    simulation = Simulation().started("dead")
    simulation.client.declare(WITH_PLACE)
    subscription = simulation.client.subscribe("limited")
    (name,) = simulation.published(1, "limited")
    attempts = 0
    for _ in range(10):
        simulation.run(0.1)
        for message in simulation.client.take(subscription):
            attempts += 1
            message.nack()
    assert attempts == 3
    assert simulation.stored("dead") == [name]
    simulation.come_to_rest()


@pytest.mark.parametrize(
    ("declared", "warns"),
    [(LIMITED, True), (WITH_PLACE, False), (Queue("limited", arguments={"x-delivery-limit": -1}), False)],
)
def test_a_limit_without_a_place_for_what_is_over_it_is_warned_of_once(
    declared: Queue, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    simulation = Simulation().started()
    simulation.client.declare(declared)
    with caplog.at_level(logging.WARNING, logger="rabbitkeeper.client.consume"):
        simulation.client.subscribe("limited")
        simulation.client.subscribe("limited")
        simulation.run(0.1)
        simulation.cluster.kill("a")
        simulation.run(3.0)
    told = [record for record in caplog.records if "dead-letter" in record.message]
    assert len(told) == warns
    simulation.come_to_rest()

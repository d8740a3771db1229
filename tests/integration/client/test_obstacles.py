"""What stands in the way of a working client, each put there by somebody else, and taken away again."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pika
import pytest
from pika.exceptions import ChannelClosedByBroker
from support.agent.rabbitmq_version import rabbitmq_version
from support.announcer import Announcer
from support.queues import empties, publish
from support.waiting import wait_for

from rabbitkeeper.client import Binding, Client, Exchange, Queue
from rabbitkeeper.client.consume.consumer import Consumer
from rabbitkeeper.client.model.events import ConsumerLost, ConsumerMissing, DeclarationFailed, Event
from rabbitkeeper.client.routing import placement
from rabbitkeeper.coordinator.model.records import MemberStatus

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq]


def takes(consumer: Consumer, body: bytes) -> None:
    message = consumer.get(30)
    assert message is not None
    assert message.body == body
    message.ack()


def missing(events: list[Event], queue: str) -> list[ConsumerMissing]:
    return [event for event in events if isinstance(event, ConsumerMissing) and event.queue == queue]


def own(connection: pika.BlockingConnection, queue: str) -> None:
    """Declare an exclusive queue, as soon as who had one of the name before is seen to be gone."""

    def declared() -> bool:
        try:
            connection.channel().queue_declare(queue, exclusive=True)
        except ChannelClosedByBroker:
            return False
        return True

    wait_for(declared, f"{queue} belongs to somebody else")


def test_what_cannot_be_declared_again_is_told_and_stops_nothing_else(announcer: Announcer) -> None:
    with announcer.client() as client:
        events: list[Event] = []
        client.on_event(events.append)
        client.declare(
            Exchange("typed", "fanout"),
            Queue("mine", exclusive=True),
            Queue("unhindered"),
            Binding("typed", "unhindered"),
        )
        mine, unhindered = client.consume("mine"), client.consume("unhindered")
        wait_for(lambda: client.status().consumers == 2, "both consume")
        with announcer.stranger() as stranger:
            with announcer.nobody_there(client):
                stranger.exchange_delete("typed")
                stranger.exchange_declare("typed", "topic", durable=True)
                own(stranger.connection, "mine")
            client.publish("typed", "", b"bound")
            takes(unhindered, b"bound")
            wait_for(lambda: bool(missing(events, "mine")), "a consumer is told to be missing")
            assert missing(events, "mine")[0].seconds >= 5
            assert "RESOURCE_LOCKED" in missing(events, "mine")[0].why
            assert not missing(events, "unhindered")
            assert (client.status().consumers, client.status().consumers_wanted) == (1, 2)
            failed = {
                event.entity: (event.final, event.why)
                for event in events
                if isinstance(event, DeclarationFailed)
            }
            assert set(failed) == {"exchange 'typed'", "queue 'mine'"}
            assert failed["exchange 'typed'"][0], "another type does not pass by itself"
            assert "PRECONDITION_FAILED" in failed["exchange 'typed'"][1]
            assert not failed["queue 'mine'"][0], "a lock does"
            stranger.exchange_delete("typed")
        wait_for(lambda: client.status().consumers == 2, "both consume again")
        client.publish("", "mine", b"back")
        takes(mine, b"back")
        with announcer.nobody_there(client):
            pass
        client.publish("typed", "any key, as it is a fanout", b"restored")
        takes(unhindered, b"restored")


def test_a_consumer_kept_out_by_somebody_else_is_told_and_comes_back(
    client: Client, announcer: Announcer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "rabbitkeeper.client.consume.subscription")
    client.declare(Queue("taken", type="classic"))
    events: list[Event] = []
    client.on_event(events.append)
    consumer = client.consume("taken")
    wait_for(lambda: consumer.active, "it consumes")
    with announcer.stranger() as stranger:
        stranger.queue_delete("taken")
        stranger.queue_declare("taken", exclusive=True)
        wait_for(lambda: bool(missing(events, "taken")), "the consumer is told to be missing")
        caplog.clear()
    # his queue is gone with him, and nobody has declared another yet
    wait_for(lambda: "no queue 'taken'" in caplog.text, "the consumer has seen that")
    with announcer.stranger() as stranger:
        stranger.queue_declare("taken", durable=True)
    wait_for(lambda: consumer.active, "it consumes again")
    client.publish("", "taken", b"x")
    takes(consumer, b"x")


@contextmanager
def impatient(announcer: Announcer, timeout: int) -> Iterator[None]:
    """node1 waits for acks for ``timeout`` milliseconds, on channels that are opened meanwhile."""
    ctl = announcer.local.ctl("node1")

    def put(timeout: int, interval: int) -> list[int]:
        before = ctl._run(
            "eval",
            "[begin {ok, Before} = application:get_env(rabbit, Key), application:set_env(rabbit, Key, Value),"
            f" Before end || {{Key, Value}} <- [{{consumer_timeout, {timeout}}},"
            f" {{channel_tick_interval, {interval}}}]].",
        )
        found: list[int] = json.loads(before)
        return found

    before = put(timeout, 100)
    try:
        yield
    finally:
        put(*before)


def test_an_ack_that_takes_too_long_costs_the_consumer_its_channel_and_nothing_else(
    announcer: Announcer,
) -> None:
    # Up to 4.2 the broker closes the channel; then the queue takes the messages back and ends the consumer.
    ends = rabbitmq_version(announcer.local) >= (4, 3)
    with impatient(announcer, 1500), announcer.client() as client:
        events: list[Event] = []
        client.on_event(events.append)
        client.declare(Queue("slow"), Queue("quick"))
        publish(client, "slow", 3)
        slow, quick = client.consume("slow", prefetch=10), client.consume("quick")
        stale = next(slow)
        wait_for(lambda: any(isinstance(event, ConsumerLost) for event in events), "the consumer is lost")
        wait_for(lambda: client.status().consumers == 2, "it is there again")
        stale.ack()
        for number in range(3):
            message = slow.get(30)
            assert message is not None
            assert message.body == b"%d" % number, "as before: the stale ack has done nothing"
            assert message.redelivered
            message.ack()
        client.publish("", "quick", b"x")
        takes(quick, b"x")
        empties(client, announcer, "slow")
        lost = next(event for event in events if isinstance(event, ConsumerLost))
        assert (lost.queue, lost.final) == ("slow", False)
        assert ("the broker ended the consumer" if ends else "PRECONDITION_FAILED") in lost.why
        assert ends or "timed out" in lost.why
        assert client.status().last_switch is None, "the connection has not been touched"


def test_consumers_spread_over_all_leave_a_draining_member_and_return_to_it(
    announcer: Announcer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients: list[Client] = []
    bodies: list[bytes] = []

    def on(member: str) -> list[Client]:
        return [client for client in clients if client.status().member == member]

    def join() -> None:
        client = announcer.client(spread="members")
        clients.append(client)
        client.on_message("shared", lambda message: bodies.append(message.body), prefetch=5)

    with announcer.client() as producer:
        producer.declare(Queue("shared"))
        try:
            for _ in range(9):
                join()
            while not all(on(member) for member in announcer.members):
                assert len(clients) < 50, "a member that is never chosen"
                join()
            wait_for(lambda: all(client.status().consumers == 1 for client in clients), "all consume")
            sent = 0

            def flows() -> None:
                nonlocal sent
                producer.publish("", "shared", b"%d" % sent)
                sent += 1

            def leaves() -> bool:
                flows()
                return not on("node2")

            def returns() -> bool:
                flows()
                return bool(on("node2"))

            left = on("node2")
            announcer.status("node2", MemberStatus.DRAINING)
            wait_for(leaves, "all have left the draining member")
            for client in left:
                last = client.status().last_switch
                assert last is not None
                assert (last.previous, last.planned) == ("node2", True)
            monkeypatch.setattr(placement, "ROUND", 2.0)  # seconds in which they compare what members carry
            for member in announcer.members:
                announcer.status(member, MemberStatus.RUNNING, connections=len(on(member)))
            wait_for(returns, "some are back")
            wait_for(lambda: all(client.status().consumers == 1 for client in clients), "all consume again")
            wait_for(lambda: len(bodies) >= sent, "everything has come")
            assert sorted(bodies, key=int) == [b"%d" % number for number in range(sent)], "each once"
        finally:
            for member in announcer.members:
                announcer.status(member, MemberStatus.RUNNING)
            for client in clients:
                client.close(2)

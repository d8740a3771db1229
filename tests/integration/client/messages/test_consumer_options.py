"""Consumers with options, and single messages, on a real cluster."""

import pytest
from support.announcer import Announcer
from support.queues import depth, publish, take
from support.waiting import wait_for

from rabbitkeeper.client import Client, InvalidArgument, Queue, TopologyError
from rabbitkeeper.client.model.events import ConsumerStarted, Event

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq]


def await_consumers(announcer: Announcer, queue: str, count: int) -> None:
    """A quorum queue has taken a consumer on some time after it was answered so."""
    with announcer.stranger("node2") as channel:
        wait_for(
            lambda: channel.queue_declare(queue, passive=True).method.consumer_count == count,
            "the queue has its consumers",
        )


def test_a_priority_is_fed_first_and_without_acks_nothing_is_kept(
    client: Client, announcer: Announcer
) -> None:
    for queue in (Queue("options"), Queue("options-classic", type="classic")):
        client.declare(queue)
        with client.consume(queue) as low, client.consume(queue, prefetch=3, priority=5) as high:
            await_consumers(announcer, queue.name, 2)
            publish(client, queue.name, 5)
            assert take(low, 2) == [b"3", b"4"]
            assert take(high, 3) == [b"0", b"1", b"2"]
        with client.consume(queue, prefetch=1, no_ack=True) as careless:
            publish(client, queue.name, 20)
            taken = take(careless, 20)  # some were on their way to a consumer before
            assert sorted(taken, key=int) == [b"%d" % number for number in range(20)]
        assert depth(announcer, queue.name) == 0


def test_an_exclusive_consumer_moves_with_the_client_and_keeps_others_out(
    client: Client, announcer: Announcer
) -> None:
    alone = Queue("alone", type="classic")
    client.declare(alone)
    seen: list[Event] = []
    client.on_event(seen.append)
    consumer = client.consume(alone, exclusive=True)
    wait_for(lambda: consumer.active, "it is taken on")
    announcer.lead("node2")
    try:
        wait_for(lambda: ConsumerStarted("alone", "node2") in seen, "the client has moved with its consumer")
        with announcer.client(name="other") as others:
            waiting = others.consume("alone", exclusive=True)
            publish(client, "alone", 3)
            assert take(consumer, 3) == [b"0", b"1", b"2"]
            assert not waiting.active
            consumer.stop(1)
            wait_for(lambda: waiting.active, "the other has its turn")
    finally:
        announcer.lead("node1")


def test_a_quorum_queue_lets_others_consume_beside_an_exclusive_consumer_so_it_is_refused(
    client: Client, announcer: Announcer
) -> None:
    queue = Queue("exclusively")
    client.declare(queue)
    with announcer.stranger() as channel:
        for tag in ("one", "two"):
            assert (
                channel.basic_consume("exclusively", lambda *_: None, exclusive=True, consumer_tag=tag) == tag
            )
    for named in (queue, queue.name):
        with pytest.raises(InvalidArgument, match="x-single-active-consumer"):
            client.consume(named, exclusive=True)


def test_single_messages_are_got_answered_and_looked_for_where_there_are_none(
    client: Client, announcer: Announcer
) -> None:
    client.declare(Queue("got-one-by-one"))
    publish(client, "got-one-by-one", 3)
    first = client.get("got-one-by-one")
    assert first is not None
    with pytest.raises(TopologyError, match="no queue"):
        client.get("nowhere")
    announcer.lead("node3")
    try:
        wait_for(lambda: client.status().member == "node3", "the client has moved")
        first.ack()  # over the connection that was left
        second = client.get("got-one-by-one", no_ack=True)
        assert second is not None
        assert (first.body, second.body) == (b"0", b"1")
        announcer.close_connections("node3")
        third = client.get("got-one-by-one")
        assert third is not None
        third.ack()
        assert third.body == b"2"
        wait_for(lambda: depth(announcer, "got-one-by-one") == 0, "the queue is empty")
        assert client.get("got-one-by-one") is None
    finally:
        announcer.lead("node1")


def test_a_stream_of_others_costs_its_consumer_alone_what_it_does_not_do(
    client: Client, announcer: Announcer
) -> None:
    with announcer.client(name="other") as others:
        others.declare(Queue("log-of-others", type="stream"))
    with pytest.raises(TopologyError, match="NOT_IMPLEMENTED"):
        client.get("log-of-others")
    consumer = client.consume("log-of-others", no_ack=True)
    with pytest.raises(TopologyError):
        consumer.get(20)
    client.declare(Queue("nothing-yet"))
    assert client.get("nothing-yet") is None

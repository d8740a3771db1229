"""Consumers on a real cluster: every form of them, and what brokers do to them."""

import queue
import threading
from contextlib import nullcontext
from itertools import islice
from typing import Any

import pika
import pytest
from click.testing import CliRunner
from support.agent.rabbitmq_version import rabbitmq_version
from support.announcer import GROUP, Announcer
from support.queues import depth, empties, publish
from support.waiting import wait_for

from rabbitkeeper.client import (
    Binding,
    Client,
    Exchange,
    InvalidArgument,
    Message,
    Nacked,
    Queue,
    TopologyError,
)
from rabbitkeeper.client.model.events import (
    ConsumerLost,
    ConsumerStarted,
    Disconnected,
    Event,
    HandlerFailed,
    QueueRenamed,
    Switched,
)
from rabbitkeeper.coordinator.cli.root import root
from rabbitkeeper.coordinator.model.records import MemberStatus

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq]


# -- acks


def test_acks_from_many_threads_in_any_order_reach_the_broker(client: Client, announcer: Announcer) -> None:
    client.declare(Queue("many"))
    publish(client, "many", 600)
    consumer = client.consume("many", prefetch=600)
    messages = [next(consumer) for _ in range(600)]
    kept = messages[100]

    def answer(part: list[Message]) -> None:
        for message in reversed(part):
            if message is not kept:
                message.ack()

    threads = [threading.Thread(target=answer, args=(messages[start::4],)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_for(lambda: client.status().in_hand == 1, "all but one are answered")
    assert consumer.stop(0) == 1
    with client.consume("many") as another:
        again = next(another)
        assert again.body == kept.body, "what was not acked comes again, and nothing else does"
        assert again.redelivered
        assert again.attempt == 2
        again.ack()
        empties(client, announcer, "many")


def test_an_answer_after_the_consumer_is_gone_does_nothing(client: Client) -> None:
    client.declare(Queue("stale"))
    publish(client, "stale", 1)
    with client.consume("stale") as consumer:
        stale = next(consumer)
    with client.consume("stale") as consumer:
        fresh = next(consumer)
        stale.ack()
        fresh.ack()
        client.publish("", "stale", b"on")
        assert next(consumer).body == b"on"


def test_a_rejected_message_is_dead_lettered_and_so_is_one_over_the_delivery_limit(
    client: Client,
) -> None:
    client.declare(
        Queue("dead"),
        Queue(
            "limited",
            arguments={
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": "dead",
                "x-delivery-limit": 2,
            },
        ),
    )
    publish(client, "limited", 1)
    attempts = []
    with client.consume("limited") as consumer:
        for message in islice(consumer, 3):
            attempts.append(message.attempt)
            message.nack()
        dead = client.consume("dead")
        last = dead.get(20)
        assert last is not None
        last.ack()
        assert attempts == [1, 2, 3]
        client.publish("", "limited", b"refused")
        next(consumer).reject()
        refused = dead.get(20)
        assert refused is not None
        assert refused.body == b"refused"
        refused.ack()


def test_a_second_copy_of_an_acked_message_is_not_shown(client: Client, announcer: Announcer) -> None:
    client.declare(Queue("twice"))
    copy = pika.BasicProperties(message_id="the-same")
    with client.consume("twice", dedupe=10) as consumer:
        client.publish("", "twice", b"1", copy)
        next(consumer).ack()
        client.publish("", "twice", b"2", copy)
        client.publish("", "twice", b"3")
        third = next(consumer)
        assert third.body == b"3"
        third.ack()
        wait_for(lambda: client.status().in_hand == 0, "the copy was acked unseen")
    empties(client, announcer, "twice")


# -- workers, and the end


def test_workers_ack_what_returns_and_give_back_what_raises(client: Client, announcer: Announcer) -> None:
    client.declare(Queue("work"))
    events: list[Event] = []
    client.on_event(events.append)
    done: list[bytes] = []
    threads: set[str] = set()

    def work(message: Message) -> None:
        threads.add(threading.current_thread().name)
        if message.body == b"7" and message.attempt == 1:
            raise ValueError(message.body)
        client.publish("", "worked", message.body, mandatory=False)
        done.append(message.body)

    publish(client, "work", 30)
    with client.on_message("work", work, workers=3):
        wait_for(lambda: len(done) == 30, "all are worked on")
    assert sorted(done, key=int) == [b"%d" % number for number in range(30)]
    assert len(threads) <= 3
    failures = [event for event in events if isinstance(event, HandlerFailed)]
    assert [str(event.error) for event in failures] == ["b'7'"]
    empties(client, announcer, "work")


def test_a_stop_finishes_what_is_in_hand_and_gives_back_the_rest(
    client: Client, announcer: Announcer
) -> None:
    client.declare(Queue("stopping"))
    publish(client, "stopping", 50)
    started, go_on = threading.Event(), threading.Event()
    done: list[bytes] = []

    def work(message: Message) -> None:
        started.set()
        go_on.wait(30)
        done.append(message.body)

    running = client.on_message("stopping", work, prefetch=10)
    assert started.wait(20)
    stopped: list[int] = []
    stopping = threading.Thread(target=lambda: stopped.append(running.stop(30)))
    stopping.start()
    wait_for(lambda: client.status().in_hand == 1, "what was not begun has gone back")
    go_on.set()
    stopping.join(30)
    assert stopped == [0]
    assert done == [b"0"]
    wait_for(lambda: depth(announcer, "stopping") == 49, "one is done and 49 are there")


def test_get_waits_no_longer_than_asked(client: Client) -> None:
    client.declare(Queue("silent"))
    consumer = client.consume("silent")
    with pytest.raises(queue.Empty):
        consumer.get(0.05)
    consumer.stop()
    assert consumer.get(1) is None
    assert list(consumer) == []


@pytest.mark.parametrize(
    ("options", "what"),
    [({"prefetch": 0}, "prefetch"), ({"dedupe": -1}, "dedupe"), ({"prefetch": True}, "prefetch")],
)
def test_arguments_that_mean_nothing_are_refused_at_once(
    client: Client, options: dict[str, Any], what: str
) -> None:
    with pytest.raises(InvalidArgument, match=what):
        client.consume("my-queue", **options)
    with pytest.raises(InvalidArgument, match="site"):
        Client("127.0.0.1:1", "group", ("a", "b"), spread="site")


# -- what brokers do to consumers


def test_a_deleted_queue_is_told_and_ends_its_consumer(client: Client, announcer: Announcer) -> None:
    # a classic queue: over the end of a quorum queue RabbitMQ 3.10 closes the connection (541) in one case of
    # ten, and everything declared is declared again
    client.declare(Queue("doomed", type="classic"), Queue("spared"))
    events: list[Event] = []
    client.on_event(events.append)
    doomed, spared = client.consume("doomed"), client.consume("spared")
    wait_for(lambda: client.status().consumers == 2, "both consume")
    with announcer.stranger() as stranger:
        stranger.queue_delete("doomed")
    with pytest.raises(TopologyError, match="doomed"):
        doomed.get(30)
    wait_for(
        lambda: [event.final for event in events if isinstance(event, ConsumerLost)] == [False, True],
        "it is told",
    )
    client.publish("", "spared", b"x")
    message = spared.get(20)
    assert message is not None
    message.ack()


def test_of_two_consumers_of_a_single_active_one_the_other_takes_over(client: Client) -> None:
    client.declare(Queue("single", arguments={"x-single-active-consumer": True}))
    first = client.consume("single")
    wait_for(lambda: first.active, "the first is taken on")
    second = client.consume("single")
    wait_for(lambda: client.status().consumers == 2, "both are taken on")
    client.publish("", "single", b"1")
    message = first.get(20)
    assert message is not None
    message.ack()
    first.stop(5)
    client.publish("", "single", b"2")
    message = second.get(20)
    assert message is not None
    assert message.body == b"2"
    message.ack()


# -- switching


def started_on(events: list[Event]) -> list[str]:
    """The members on which a consumer has begun."""
    return [event.member for event in events if isinstance(event, ConsumerStarted)]


def test_a_planned_move_repeats_nothing_and_takes_acks_over_the_old_connection(
    client: Client, announcer: Announcer
) -> None:
    client.declare(Queue("moving"))
    events: list[Event] = []
    client.on_event(events.append)
    publish(client, "moving", 20)
    consumer = client.consume("moving", prefetch=20)
    in_hand = [next(consumer) for _ in range(5)]
    wait_for(lambda: client.status().in_hand == 20, "the rest is here and not taken")
    announcer.lead("node3")
    try:
        wait_for(lambda: client.status().member == "node3", "the client has moved")
        for message in in_hand:
            message.ack()
        rest = [next(consumer) for _ in range(15)]
        assert not any(message.redelivered for message in rest)
        for message in rest:
            message.ack()
        empties(client, announcer, "moving")
        last = client.status().last_switch
        assert last is not None
        assert (last.previous, last.member, last.planned, last.gap) == ("node1", "node3", True, 0.0)
        assert [type(event) for event in events if isinstance(event, Switched | Disconnected)] == [Switched]
        # Consumers follow on a connection of their own, when what was in hand is answered.
        wait_for(lambda: len(started_on(events)) > 1, "the consumer has moved, too")
        assert started_on(events) == ["node1", "node3"]
    finally:
        announcer.lead("node1")


def test_after_a_crash_everything_is_there_again_with_the_queues_that_the_broker_names(
    announcer: Announcer,
) -> None:
    keeps = rabbitmq_version(announcer.local) >= (4, 3)
    with announcer.client() as client:
        events: list[Event] = []
        client.on_event(events.append)
        private = Queue("", exclusive=True)
        client.declare(Exchange("news", "fanout"), private, Binding("news", private.name), Queue("steady"))
        before = client.queue_name(private)
        news, steady = client.consume(private), client.consume("steady")
        wait_for(lambda: client.status().consumers == 2, "both consume")
        announcer.local.kill_broker("node1")
        try:
            wait_for(
                lambda: client.status().consumers == 2 and client.status().member != "node1", "both again"
            )
            wait_for(lambda: client.queue_name(private) != before, "the queue has another name")
            assert [event.name for event in events if isinstance(event, QueueRenamed)] == [
                client.queue_name(private)
            ]
            # Up to 4.2 with Mnesia an exclusive queue goes with its node; Khepri keeps it until that is back,
            # and what is routed to it as well is refused.
            with pytest.raises(Nacked) if keeps else nullcontext():
                client.publish("news", "", b"again")
            client.publish("", "steady", b"too")
            for consumer, body in ((news, b"again"), (steady, b"too")):
                message = consumer.get(30)
                assert message is not None
                assert message.body == body
                message.ack()
            last = client.status().last_switch
            assert last is not None
            assert not last.planned
            assert last.gap > 0
        finally:
            announcer.local.start_broker("node1")
            announcer.status("node1", MemberStatus.RUNNING)
            announcer.lead("node1")


def test_clients_that_spread_are_on_all_members_and_none_follows_the_leader(announcer: Announcer) -> None:
    clients = [announcer.client(spread="members") for _ in range(12)]
    try:
        members = {client.status().member for client in clients}
        assert len(members) > 1
        clients[0].declare(Queue("spread"))
        for number, client in enumerate(clients):
            client.publish("", "spread", b"%d" % number)
        with clients[0].consume("spread") as consumer:
            for message in islice(consumer, 12):
                message.ack()
        places = [client.status().member for client in clients]
        announcer.lead("node2")
        wait_for(lambda: all(client.status().leader == "node2" for client in clients), "all have seen it")
        assert [client.status().member for client in clients] == places
    finally:
        announcer.lead("node1")
        for client in clients:
            client.close(1)


# -- the commands


def test_the_tutorial_from_the_command_line(announcer: Announcer) -> None:
    user, password = announcer.local.credentials
    environment = {
        "RABBITKEEPER_ZOOKEEPER": announcer.local.zookeeper_hosts,
        "RABBITKEEPER_GROUP": GROUP,
        "RABBITKEEPER_USER": user,
        "RABBITKEEPER_PASSWORD": password,
    }
    runner = CliRunner(env=environment)
    text = "Message 1\nMessage 2\n"
    sent = runner.invoke(root, ["publish", "--declare", "-k", "from-the-shell"], input=text)
    assert sent.exit_code == 0, sent.output
    assert "2 confirmed" in sent.stderr
    got = runner.invoke(root, ["consume", "from-the-shell", "-n", "2"])
    assert got.exit_code == 0, got.output
    assert got.stdout == text
    nowhere = runner.invoke(root, ["publish", "-k", "no-such-queue", "x"])
    assert nowhere.exit_code == 1
    assert "no-such-queue" in nowhere.stderr
    unknown = runner.invoke(root, ["publish", "-k", "x", "x"], env={"RABBITKEEPER_PASSWORD": None})
    assert unknown.exit_code == 2
    assert "RABBITKEEPER_PASSWORD" in unknown.stderr

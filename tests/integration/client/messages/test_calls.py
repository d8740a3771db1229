"""Calls on a real cluster: threads, tasks, and programs that know nothing of the SDK."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import pika
import pytest
from support.announcer import GROUP, Announcer
from support.waiting import PATIENCE, wait_for

from rabbitkeeper.client import AsyncClient, Client, Message, NoReply, Queue, Unroutable
from rabbitkeeper.client.rpc.replies import EXPIRES

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq]


def test_calls_survive_the_kill_of_the_broker_that_everything_goes_over(
    client: Client, announcer: Announcer
) -> None:
    """Requests are under way when it is killed, some of them with their servers, some not taken yet."""
    client.declare(Queue("rpc"))
    assert client.status().member == "node1"
    began = time.monotonic()

    def work(message: Message) -> None:
        time.sleep(0.02)
        client.reply(message, b"re: " + message.body)

    with client.on_message("rpc", work, workers=4), ThreadPoolExecutor(20) as callers:
        assert client.call("", "rpc", b"first").body == b"re: first"
        bodies = [b"%d" % number for number in range(300)]
        calls = [callers.submit(client.call, "", "rpc", body, timeout=60.0) for body in bodies]
        wait_for(lambda: sum(call.done() for call in calls) >= 50, "some have their replies")
        announcer.local.kill_broker("node1")
        try:
            replies = [call.result().body for call in calls]
        finally:
            announcer.local.start_broker("node1")
    assert replies == [b"re: " + body for body in bodies]
    assert client.status().last_switch is not None
    assert time.monotonic() - began < EXPIRES  # else it would show nothing


def test_a_call_without_a_reply_says_so_and_its_request_expires(client: Client) -> None:
    client.declare(Queue("rpc-unanswered"))
    with pytest.raises(NoReply, match="whether somebody has worked on it is not known"):
        client.call("", "rpc-unanswered", b"1", timeout=1.0)
    wait_for(lambda: client.check(Queue("rpc-unanswered")) == 0, "the request has expired")
    with pytest.raises(Unroutable):
        client.call("", "nowhere", b"1", timeout=10.0)


def test_calls_of_tasks_are_answered_by_a_program_that_has_pika_alone(announcer: Announcer) -> None:
    local = announcer.local

    async def run() -> list[bytes]:
        async with AsyncClient(
            local.zookeeper_hosts, GROUP, local.credentials, name="async-rpc", timeout=PATIENCE
        ) as client:
            await client.declare(Queue("rpc-foreign"))
            calls = asyncio.gather(*(client.call("", "rpc-foreign", b"%d" % number) for number in range(10)))
            await asyncio.to_thread(answer)
            return [reply.body for reply in await calls]

    def answer() -> None:
        with announcer.stranger("node3") as channel:
            for _, (method, properties, body) in zip(
                range(10), channel.consume("rpc-foreign", inactivity_timeout=PATIENCE), strict=False
            ):
                channel.basic_publish(
                    "",
                    properties.reply_to,
                    b"re: " + body,
                    pika.BasicProperties(correlation_id=properties.correlation_id),
                )
                channel.basic_ack(method.delivery_tag)

    assert asyncio.run(run()) == [b"re: %d" % number for number in range(10)]


def test_a_caller_that_has_pika_alone_is_answered_and_one_that_has_gone_is_no_error(
    client: Client, announcer: Announcer
) -> None:
    client.declare(Queue("rpc-served"))
    with announcer.stranger("node2") as channel:
        got: list[bytes] = []
        direct = "amq.rabbitmq.reply-to"  # RabbitMQ's own: no queue at all
        channel.basic_consume(direct, lambda *reply: got.append(reply[3]), auto_ack=True)
        properties = pika.BasicProperties(reply_to=direct, correlation_id="1")
        channel.basic_publish("", "rpc-served", b"0", properties)
        own = channel.queue_declare("", exclusive=True).method.queue
        properties = pika.BasicProperties(reply_to=own, correlation_id="2")
        channel.basic_publish("", "rpc-served", b"1", properties)
        wait_for(lambda: client.check(Queue("rpc-served")) == 2, "both are there")
        request = client.get("rpc-served")
        assert request is not None
        assert client.reply(request, b"re: " + request.body) is not None
        request.ack()
        until = time.monotonic() + PATIENCE
        while not got and time.monotonic() < until:
            channel.connection.process_data_events(0.1)
        assert got == [b"re: 0"]
    request = client.get("rpc-served")
    assert request is not None
    assert client.reply(request, b"nobody") is None
    request.ack()

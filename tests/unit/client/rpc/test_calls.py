"""Requests and their replies, over switches and with everything that may become of them."""

import asyncio

import pytest
from simulation.async_client import AsyncScene, play

from rabbitkeeper.client.aio import calling
from rabbitkeeper.client.amqp.properties import BasicProperties
from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.model.errors import Closed, InvalidArgument, NoReply, Unroutable

REPLIES = "rabbitkeeper.replies."


def reply_queues(scene: AsyncScene) -> list[str]:
    return [name for name in scene.cluster.queues if name.startswith(REPLIES)]


def serve(scene: AsyncScene, copies: int = 1) -> list[Message]:
    """Answer each request with its own body; the requests so far."""
    seen: list[Message] = []

    async def work(message: Message) -> None:
        seen.append(message)
        for _ in range(copies):
            assert await scene.client.reply(message, b"re: " + message.body)

    scene.client.on_message("orders", work, workers=4)
    return seen


def test_each_call_gets_its_own_reply_over_one_queue() -> None:
    async def script(scene: AsyncScene) -> None:
        seen = serve(scene)
        replies = await asyncio.gather(
            *(scene.client.call("", "orders", b"%d" % number) for number in range(20))
        )
        assert [reply.body for reply in replies] == [b"re: %d" % number for number in range(20)]
        assert len(reply_queues(scene)) == 1
        asked = seen[0].properties
        assert asked.reply_to == reply_queues(scene)[0]
        assert 0 < int(asked.expiration) <= 30_000
        assert {reply.answered for reply in replies} == {True}
        await scene.until(lambda: scene.cluster.kept == set())

    play(script)


def test_a_call_survives_the_loss_of_its_broker_before_and_after_the_request() -> None:
    async def script(scene: AsyncScene) -> None:
        server = scene.client.consume("orders")
        early = asyncio.create_task(scene.client.call("", "orders", b"early"))
        request = await server.get()
        assert request is not None
        scene.cluster.kill("a")
        late = asyncio.create_task(scene.client.call("", "orders", b"late"))
        while not (early.done() and late.done()):
            request = await server.get()
            assert request is not None
            await scene.client.reply(request, b"re: " + request.body)
            request.ack()
            await scene.turns(100)
        assert ((await early).body, (await late).body) == (b"re: early", b"re: late")
        assert len(reply_queues(scene)) == 1
        await server.stop()

    play(script)


def test_a_second_reply_and_one_that_nobody_waits_for_any_more_are_passed_over() -> None:
    async def script(scene: AsyncScene) -> None:
        seen = serve(scene, copies=2)
        assert (await scene.client.call("", "orders", b"1")).body == b"re: 1"
        assert (await scene.client.call("", "orders", b"2")).body == b"re: 2"
        late = await scene.client.reply(seen[0], b"late")
        assert late is not None
        await scene.until(lambda: scene.cluster.kept == set())
        assert (await scene.client.call("", "orders", b"3")).body == b"re: 3"

    play(script)


def test_a_call_without_a_reply_says_so_at_its_deadline() -> None:
    async def script(scene: AsyncScene) -> None:
        with pytest.raises(NoReply, match=r"no reply came within 0.2 s: whether somebody") as raised:
            await scene.client.call("", "orders", b"1", timeout=0.2)
        request = await scene.client.get("orders")
        assert request is not None
        assert request.properties.correlation_id == raised.value.correlation_id
        assert await scene.client.reply(request, b"too late") is not None
        request.ack()
        with pytest.raises(Unroutable):
            await scene.client.call("", "nowhere", b"1")
        assert scene.behind.replies.queue().pending == {}

    play(script)


def test_a_reply_to_a_caller_that_has_gone_is_no_error() -> None:
    async def script(scene: AsyncScene) -> None:
        with pytest.raises(NoReply):
            await scene.client.call("", "orders", b"1", timeout=0.2)
        (name,) = reply_queues(scene)
        request = await scene.client.get("orders")
        assert request is not None
        scene.behind.replies.queue().give_up()
        await scene.until(lambda: name not in scene.cluster.queues)
        assert await scene.client.reply(request, b"1") is None
        request.ack()

    play(script)


def test_a_queue_for_replies_that_gets_no_consumer_is_given_up_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calling, "CONSUMER_PATIENCE", 0.2)

    async def script(scene: AsyncScene) -> None:
        serve(scene)
        task = asyncio.create_task(scene.client.call("", "orders", b"1"))
        await scene.until(lambda: reply_queues(scene))
        (dead,) = reply_queues(scene)
        scene.cluster.queues[dead].lose_leader(1e6)  # as one that was declared while a node was killed
        assert (await task).body == b"re: 1"
        await scene.until(lambda: dead not in scene.cluster.queues)
        assert len(reply_queues(scene)) == 1

    play(script)


def test_replies_whose_queue_was_deleted_are_told_as_lost_and_the_next_call_has_another() -> None:
    async def script(scene: AsyncScene) -> None:
        task = asyncio.create_task(scene.client.call("", "orders", b"1"))
        await scene.until(lambda: len(scene.cluster.queues["orders"].ready) == 1)
        (name,) = reply_queues(scene)
        scene.cluster.delete_queue(name)
        with pytest.raises(NoReply, match="the queue for replies is gone"):
            await task
        serve(scene)
        assert (await scene.client.call("", "orders", b"2")).body == b"re: 2"

    play(script)


def test_a_call_ends_with_its_client() -> None:
    async def script(scene: AsyncScene) -> None:
        task = asyncio.create_task(scene.client.call("", "orders", b"1"))
        await scene.until(lambda: len(scene.cluster.queues["orders"].ready) == 1)
        await scene.client.close(1.0)
        with pytest.raises(Closed):
            await task

    play(script)


def test_what_means_nothing_is_refused_at_the_call() -> None:
    async def script(scene: AsyncScene) -> None:
        for name in ("reply_to", "correlation_id"):
            with pytest.raises(InvalidArgument, match=f"properties.{name} is set: leave it out"):
                await scene.client.call("", "orders", b"", BasicProperties(**{name: "x"}))
        with pytest.raises(InvalidArgument, match="properties of type dict"):
            await scene.client.call("", "orders", b"", {})
        with pytest.raises(InvalidArgument, match="timeout 0 is not valid"):
            await scene.client.call("", "orders", b"", timeout=0)
        await scene.client.publish("", "orders", b"no request")
        message = await scene.client.get("orders")
        assert message is not None
        with pytest.raises(InvalidArgument, match="the message has no reply_to"):
            await scene.client.reply(message, b"")
        with pytest.raises(InvalidArgument, match="message of type str is not valid"):
            await scene.client.reply("message", b"")  # type: ignore[arg-type]
        message.ack()
        assert reply_queues(scene) == []

    play(script)

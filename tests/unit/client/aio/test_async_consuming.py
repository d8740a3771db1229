"""Consuming with ``async for`` and in tasks."""

import asyncio
import gc
import queue

import pytest
from simulation.async_client import PATIENCE, AsyncScene, play

from rabbitkeeper.client.aio.consuming import TURN, AsyncConsumer
from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.model.errors import InvalidArgument, TopologyError
from rabbitkeeper.client.model.events import HandlerFailed
from rabbitkeeper.client.model.topology import Queue
from rabbitkeeper.client.publish.future import Receipt


async def published(scene: AsyncScene, count: int) -> list[str]:
    outcomes = await scene.client.publish_many([("", "orders", b"%d" % number) for number in range(count)])
    return [outcome.message_id for outcome in outcomes if isinstance(outcome, Receipt)]


async def taken(consumer: AsyncConsumer, count: int) -> list[str | None]:
    """So many messages, acked."""
    ids: list[str | None] = []
    async for message in consumer:
        message.ack()
        ids.append(message.message_id)
        if len(ids) == count:
            break
    return ids


def test_messages_come_in_order_and_those_that_come_later_are_awaited() -> None:
    async def script(scene: AsyncScene) -> None:
        consumer = scene.client.consume("orders")
        task = asyncio.create_task(taken(consumer, 250))
        await scene.turns(20)
        sent = await published(scene, 250)
        assert await task == sent
        assert await consumer.stop() == 0
        assert scene.cluster.kept == set()
        assert await consumer.get() is None

    play(script)


def test_a_consumer_is_restored_after_a_failover() -> None:
    async def script(scene: AsyncScene) -> None:
        async with scene.client.consume("orders") as consumer:
            sent = await published(scene, 10)
            assert await taken(consumer, 10) == sent
            scene.cluster.kill("a")
            missing = set(await published(scene, 10))
            while missing:  # what was acked just before may come again
                missing -= set(await taken(consumer, 1))
        assert consumer.queue == "orders"
        assert not consumer.active

    play(script)


def test_a_message_is_acked_when_its_block_ends_and_put_back_when_it_raises() -> None:
    async def script(scene: AsyncScene) -> None:
        consumer = scene.client.consume("orders")
        (name,) = await published(scene, 1)
        message = await _message(consumer)
        assert message.message_id == name
        with pytest.raises(KeyError):
            async with message.process():
                raise KeyError
        again = await _message(consumer)
        assert (again.message_id, again.redelivered) == (name, True)
        with pytest.raises(KeyError), again.process(requeue=False):
            raise KeyError
        await published(scene, 1)
        message = await _message(consumer)
        async with message.process() as same:
            await asyncio.sleep(0)
        assert same is message
        assert message.answered
        await consumer.stop()
        assert scene.journal.rejected == {name: 1}
        assert scene.cluster.kept == set()

    play(script)


def test_a_task_that_is_cancelled_in_the_block_puts_the_message_back() -> None:
    async def script(scene: AsyncScene) -> None:
        consumer = scene.client.consume("orders")
        (name,) = await published(scene, 1)

        async def works() -> None:
            async with (await _message(consumer)).process(requeue=False):
                await asyncio.Event().wait()

        task = asyncio.create_task(works())
        await scene.until(lambda: scene.journal.delivered)
        await scene.turns(20)
        task.cancel()
        assert (await _message(consumer)).message_id == name
        assert task.cancelled()

    play(script)


def test_a_task_that_is_cancelled_while_it_waits_takes_nothing_with_it() -> None:
    async def script(scene: AsyncScene) -> None:
        consumer = scene.client.consume("orders")
        for turns in range(60):
            task = asyncio.create_task(consumer.get())
            sending = asyncio.create_task(published(scene, 1))
            await scene.turns(turns)
            task.cancel()
            (name,) = await sending
            got = (
                await task
                if not task.cancelled() and not await _is_cancelled(task)
                else await _message(consumer)
            )
            assert got is not None
            assert got.message_id == name
            got.ack()

    play(script)


def test_tasks_share_a_consumer() -> None:
    async def script(scene: AsyncScene) -> None:
        consumer = scene.client.consume("orders")
        got: list[str | None] = []

        async def takes() -> None:
            async for message in consumer:
                got.append(message.message_id)
                message.ack()
                await asyncio.sleep(0)

        tasks = [asyncio.create_task(takes()) for _ in range(5)]
        sent = await published(scene, 100)
        await scene.until(lambda: len(got) == 100)
        assert sorted(map(str, got)) == sorted(sent)
        await consumer.stop()
        await asyncio.gather(*tasks)

    play(script)


def test_what_does_not_come_in_time_is_an_empty_queue() -> None:
    async def script(scene: AsyncScene) -> None:
        consumer = scene.client.consume("orders")
        with pytest.raises(queue.Empty):
            await consumer.get(0)
        with pytest.raises(queue.Empty):
            await consumer.get(0.01)
        with pytest.raises(InvalidArgument):
            await consumer.get(-1)
        await published(scene, 1)
        assert (await _message(consumer)).body == b"0"

    play(script)


def test_a_second_copy_is_left_out_and_what_is_behind_it_comes() -> None:
    async def script(scene: AsyncScene) -> None:
        from pika import BasicProperties

        consumer = scene.client.consume("orders", dedupe=10)
        for name in ("one", "one", "one", "two"):
            await scene.client.publish("", "orders", b"1", BasicProperties(message_id=name))
        assert await taken(consumer, 2) == ["one", "two"]

    play(script)


def test_a_queue_that_is_not_there_is_an_error_of_the_iterator() -> None:
    async def script(scene: AsyncScene) -> None:
        with pytest.raises(TopologyError):
            await taken(scene.client.consume("nowhere"), 1)

    play(script)


def test_a_task_that_finds_messages_without_end_leaves_turns_to_others() -> None:
    async def script(scene: AsyncScene) -> None:
        consumer = scene.client.consume("orders", prefetch=1000)
        await published(scene, 10 * TURN)
        await scene.until(lambda: len(scene.journal.delivered) == 10 * TURN)
        await scene.turns(50)
        others = 0

        async def other() -> None:
            nonlocal others
            while True:
                others += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        await taken(consumer, 10 * TURN)
        assert others >= 9
        task.cancel()
        await scene.until(task.done)

    play(script)


def test_a_consumer_that_nobody_holds_ends() -> None:
    async def script(scene: AsyncScene) -> None:
        async def use() -> None:
            consumer = scene.client.consume("orders")
            await published(scene, 1)
            await _message(consumer)

        await use()
        gc.collect()
        await scene.until(lambda: scene.behind.engine.consumers.wanted == 0)
        assert len(scene.cluster.kept) == 1

    play(script)


# -- workers


def test_workers_await_a_function_with_each_message() -> None:
    async def script(scene: AsyncScene) -> None:
        got: list[str | None] = []

        async def handle(message: Message) -> None:
            await asyncio.sleep(0)
            got.append(message.message_id)

        async with scene.client.on_message("orders", handle, workers=3) as workers:
            sent = await published(scene, 50)
            await scene.until(lambda: len(got) == 50)
            assert workers.queue == "orders"
            assert workers.active
        assert sorted(map(str, got)) == sorted(sent)
        assert scene.cluster.kept == set()
        assert await workers.wait(1.0)

    play(script)


def test_a_message_whose_function_fails_comes_again() -> None:
    async def script(scene: AsyncScene) -> None:
        attempts = 0

        async def handle(_message: Message) -> None:
            nonlocal attempts
            attempts += 1
            if attempts == 1:
                raise KeyError

        workers = scene.client.on_message("orders", handle)
        (name,) = await published(scene, 1)
        await scene.until(lambda: attempts == 2)
        (failed,) = scene.simulation.client.seen(HandlerFailed)
        assert (failed.message_id, type(failed.error)) == (name, KeyError)
        assert await workers.stop() == 0
        assert scene.cluster.kept == set()

    play(script)


def test_a_function_that_does_not_return_is_cancelled_at_the_end_and_its_message_goes_back() -> None:
    async def script(scene: AsyncScene) -> None:
        begun = asyncio.Event()

        async def handle(_message: Message) -> None:
            begun.set()
            await asyncio.Event().wait()

        workers = scene.client.on_message("orders", handle, on_error="reject")
        await published(scene, 1)
        await begun.wait()
        assert await workers.stop(0.05) == 1
        assert len(scene.cluster.kept) == 1

    play(script)


@pytest.mark.parametrize("messages", [1, 2])
def test_functions_may_stop_the_workers_that_call_them(messages: int) -> None:
    """One waits for the other, and not for itself; two do not wait for one another."""

    async def script(scene: AsyncScene) -> None:
        left: list[int] = []
        both = asyncio.Barrier(messages)

        async def handle(_message: Message) -> None:
            await both.wait()
            left.append(await workers.stop(1000.0))

        workers = scene.client.on_message("orders", handle, workers=2)
        await published(scene, messages)
        assert await workers.wait(PATIENCE)
        assert left == [0] * messages
        await scene.until(lambda: scene.cluster.kept == set())

    play(script)


def test_a_function_may_close_the_client() -> None:
    async def script(scene: AsyncScene) -> None:
        async def handle(_message: Message) -> None:
            await scene.client.close(1000.0)

        workers = scene.client.on_message("orders", handle, workers=2)
        await published(scene, 1)
        assert await workers.wait(PATIENCE)
        assert scene.behind.is_closed

    play(script)


def test_a_function_that_cancels_something_of_its_own_has_failed_and_its_worker_goes_on() -> None:
    async def script(scene: AsyncScene) -> None:
        attempts = 0

        async def handle(_message: Message) -> None:
            nonlocal attempts
            attempts += 1
            if attempts == 1:
                raise asyncio.CancelledError

        async with scene.client.on_message("orders", handle):
            await published(scene, 1)
            await scene.until(lambda: attempts == 2)
        (failed,) = scene.simulation.client.seen(HandlerFailed)
        assert isinstance(failed.error, asyncio.CancelledError)
        assert scene.cluster.kept == set()

    play(script)


def test_workers_of_a_queue_that_is_not_there_say_so() -> None:
    async def script(scene: AsyncScene) -> None:
        async def handle(_message: Message) -> None: ...

        with pytest.raises(TopologyError):
            await scene.client.on_message("nowhere", handle).wait()
        for given in ({"workers": 0}, {"on_error": "ignore"}, {"prefetch": 0}):
            with pytest.raises(InvalidArgument):
                scene.client.on_message("orders", handle, **given)

    play(script)


def test_topology_is_declared_and_asked_about() -> None:
    async def script(scene: AsyncScene) -> None:
        client = scene.client
        await client.declare(Queue("more"))
        await client.publish_many([("", "more", b"1")] * 3)
        assert await client.check(Queue("more")) == 3
        assert await client.purge("more") == 3
        assert await client.delete(Queue("more")) == 0
        with pytest.raises(TopologyError):
            await client.check(Queue("more"))
        with pytest.raises(InvalidArgument):
            await client.declare("more")  # type: ignore[arg-type]

    play(script)


async def _message(consumer: AsyncConsumer) -> Message:
    message = await consumer.get()
    assert message is not None
    return message


async def _is_cancelled(task: "asyncio.Task[Message | None]") -> bool:
    await asyncio.wait({task})
    return task.cancelled()

"""Single messages and consumers' options, in tasks."""

import pytest
from simulation.async_client import AsyncScene, cancelled_after, play

from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.model.errors import InvalidArgument, TopologyError
from rabbitkeeper.client.publish.future import Receipt


async def published(scene: AsyncScene, count: int) -> list[str]:
    outcomes = await scene.client.publish_many([("", "orders", b"%d" % number) for number in range(count)])
    return [outcome.message_id for outcome in outcomes if isinstance(outcome, Receipt)]


def test_single_messages_are_got_and_a_task_that_is_cancelled_takes_none_with_it() -> None:
    async def script(scene: AsyncScene) -> None:
        assert await scene.client.get("orders") is None
        sent = await published(scene, 2)
        message = await scene.client.get("orders")
        assert message is not None
        assert message.message_id == sent[0]
        message.ack()
        for turns in range(12):
            other = await cancelled_after(turns, scene.client.get("orders"))
            if other is not None:
                other.nack()
        await scene.until(lambda: len(scene.cluster.queues["orders"].ready) == 1)
        last = await scene.client.get("orders", no_ack=True)
        assert last is not None
        assert last.message_id == sent[1]
        with pytest.raises(TopologyError, match="no queue"):
            await scene.client.get("nowhere")
        with pytest.raises(InvalidArgument, match="timeout"):
            await scene.client.get("orders", timeout=0)

    play(script)


def test_consumers_take_the_same_options_as_in_threads() -> None:
    async def script(scene: AsyncScene) -> None:
        arguments = {"x-consumer-timeout": 60_000}
        consumer = scene.client.consume("orders", priority=1, no_ack=True, arguments=arguments)
        sent = await published(scene, 3)
        got = [await consumer.get(), await consumer.get(), await consumer.get()]
        assert [message and message.message_id for message in got] == sent
        assert await consumer.stop() == 0
        seen: list[str | None] = []

        async def handle(message: Message) -> None:
            seen.append(message.message_id)

        workers = scene.client.on_message("orders", handle, no_ack=True)
        (name,) = await published(scene, 1)
        await scene.until(lambda: seen)
        assert seen == [name]
        await workers.stop()
        with pytest.raises(InvalidArgument, match="exclusive is not valid with a quorum queue"):
            scene.client.consume("orders", exclusive=True)

    play(script)

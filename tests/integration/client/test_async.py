"""The asynchronous client on a real cluster: nothing is lost, whatever becomes of brokers, tasks and loop."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable

import pytest
from support.announcer import GROUP, Announcer
from support.queues import depth
from support.waiting import PATIENCE, wait_for

from rabbitkeeper.client import AsyncClient, Queue, Receipt, events

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq]

HEARTBEAT = 5  # seconds
COUNT = 3000

Script = Callable[[AsyncClient], Awaitable[object]]


def play(announcer: Announcer, script: Script, heartbeat: int = 10) -> None:
    """Run ``script`` with a client on an event loop of its own; no thread of it is left."""
    local = announcer.local

    async def run() -> None:
        async with AsyncClient(
            local.zookeeper_hosts,
            GROUP,
            local.credentials,
            heartbeat=heartbeat,
            name="async",
            timeout=PATIENCE,
        ) as client:
            await script(client)

    asyncio.run(run())
    wait_for(
        lambda: not [one for one in threading.enumerate() if one.name.startswith("async")], "its threads end"
    )


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what changes is no event of asyncio's
            await asyncio.sleep(0.01)


async def drained(client: AsyncClient, queue: str, wanted: set[bytes]) -> None:
    """Take and ack until each of ``wanted`` has come; some may come again."""
    async with asyncio.timeout(PATIENCE), client.consume(queue, prefetch=500) as consumer:
        async for message in consumer:
            async with message.process():
                wanted.discard(message.body)
            if not wanted:
                break
        assert await consumer.stop() == 0


def test_many_messages_go_out_and_come_in(announcer: Announcer) -> None:
    async def script(client: AsyncClient) -> None:
        await client.declare(Queue("async-many"))
        outcomes = await client.publish_many(("", "async-many", b"%d" % number) for number in range(COUNT))
        assert all(isinstance(outcome, Receipt) for outcome in outcomes)
        await drained(client, "async-many", {b"%d" % number for number in range(COUNT)})

    play(announcer, script)
    wait_for(lambda: depth(announcer, "async-many") == 0, "all is acked")


def test_tasks_publish_on_through_moves_and_broken_connections(announcer: Announcer) -> None:
    async def script(client: AsyncClient) -> None:
        await client.declare(Queue("async-moves"))
        sent: set[bytes] = set()
        going = True

        async def publish(task: int) -> None:
            number = 0
            while going:
                body = b"%d-%d" % (task, number)
                await client.publish("", "async-moves", body, timeout=PATIENCE)
                sent.add(body)
                number += 1

        tasks = [asyncio.create_task(publish(task)) for task in range(20)]
        for name in ("node2", "node3"):
            await until(lambda: len(sent) > 100)
            await asyncio.to_thread(announcer.lead, name)
            await until(lambda name=name: client.status().member == name)  # type: ignore[misc]
            seen = client.status().last_switch
            await asyncio.to_thread(announcer.close_connections, name)
            await until(lambda seen=seen: client.status().last_switch != seen)  # type: ignore[misc]
        going = False
        await asyncio.gather(*tasks)
        await drained(client, "async-moves", sent)

    try:
        play(announcer, script)
    finally:
        announcer.lead("node1")


def test_a_loop_that_stands_still_for_three_heartbeats_loses_nothing(announcer: Announcer) -> None:
    async def script(client: AsyncClient) -> None:
        await client.declare(Queue("async-still"))
        lost: list[events.Event] = []
        client.on_event(lambda event: lost.append(event) if isinstance(event, events.Disconnected) else None)
        handles = [await client.publish_nowait("", "async-still", b"%d" % number) for number in range(100)]
        time.sleep(3.2 * HEARTBEAT)  # noqa: ASYNC251 - what is tried
        assert len(await asyncio.gather(*handles)) == 100
        await drained(client, "async-still", {b"%d" % number for number in range(100)})
        assert lost == []

    play(announcer, script, HEARTBEAT)


def test_fifty_consumers_are_all_there_again_after_their_connections_were_closed(
    announcer: Announcer,
) -> None:
    async def script(client: AsyncClient) -> None:
        queues = [f"async-fifty-{number}" for number in range(50)]
        await client.declare(*(Queue(name, type="classic") for name in queues), timeout=PATIENCE)
        got: set[bytes] = set()

        async def handle(message: object) -> None:
            got.add(message.body)  # type: ignore[attr-defined]

        workers = [client.on_message(name, handle) for name in queues]
        for turn in range(3):
            await until(lambda: client.status().consumers == 50)
            await asyncio.to_thread(announcer.close_connections, client.status().member or "node1")
            sent = {b"%d-%d" % (turn, number) for number in range(50)}
            places = zip(queues, sent, strict=True)
            outcomes = await client.publish_many(
                [("", name, body) for name, body in places], timeout=PATIENCE
            )
            assert all(isinstance(outcome, Receipt) for outcome in outcomes)
            await until(lambda sent=sent: sent <= got)  # type: ignore[misc]
        # It may just be moving back to the leader.
        await until(lambda: all(one.active for one in workers))
        assert not await workers[0].wait(0)

    play(announcer, script)
    for number in range(50):
        wait_for(lambda number=number: depth(announcer, f"async-fifty-{number}") == 0, "all is acked")  # type: ignore[misc]

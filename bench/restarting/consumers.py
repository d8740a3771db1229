"""``bench operations --consumers``: consumers of one ``AsyncClient`` over rolling restarts."""

import asyncio
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field

from common import NotInTime, operate, wait

from rabbitkeeper.client import AsyncClient, Queue
from rabbitkeeper.compose.local import Local

EVERY = 0.02  # seconds between two messages
TICK = 0.001  # seconds
QUEUES = 10
PATIENCE = 60.0  # seconds for consumers and messages to be there
# Prints the longest time that its loop was late by, in milliseconds, when it is told to end.
BARE = """
import asyncio, sys, time
async def main():
    longest, over = 0.0, asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    while not over.done():
        began = time.perf_counter()
        await asyncio.sleep(0.001)
        longest = max(longest, time.perf_counter() - began - 0.001)
    print(longest * 1000)
asyncio.run(main())
"""


@dataclass(slots=True)
class Traffic:
    """What one event loop has done."""

    confirmed: set[int] = field(default_factory=set)
    delivered: set[int] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)
    longest: float = 0.0  # seconds by which the loop was late
    ended: int = 0  # consumers
    missed: int = 0  # rounds after which some were missing


async def consume(client: AsyncClient, queue: Queue, traffic: Traffic) -> None:
    async for message in client.consume(queue, prefetch=20):
        traffic.delivered.add(int(message.body))
        message.ack()


async def publish(client: AsyncClient, queues: list[Queue], traffic: Traffic) -> None:
    number = 0
    while True:
        await asyncio.sleep(EVERY)
        number += 1
        try:
            await client.publish("", queues[number % len(queues)].name, b"%d" % number)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            traffic.failures.append(repr(error))
        else:
            traffic.confirmed.add(number)


async def watch(traffic: Traffic) -> None:
    while True:
        began = time.perf_counter()
        await asyncio.sleep(TICK)
        traffic.longest = max(traffic.longest, time.perf_counter() - began - TICK)


def counted(local: Local, queues: list[Queue]) -> int:
    """The consumers of the queues, by RabbitMQ's word."""
    found = local.ctl(next(iter(local.members)))._json("list_queues", "name", "consumers")
    names = {queue.name for queue in queues}
    return sum(int(one["consumers"] or 0) for one in found if one["name"] in names)


def counted_in_time(local: Local, queues: list[Queue], wanted: int) -> int:
    """The same, when all are there or it has been waited for long."""
    with suppress(NotInTime):
        wait(lambda: counted(local, queues) == wanted or None, "all consumers are there", PATIENCE)
        return wanted
    return counted(local, queues)


def measure(local: Local, rounds: int, consumers: int) -> bool:
    """Restart all brokers in turn so many times, while messages come.

    Returns:
        Whether all consumers, counted at the broker, were there after each round, and all messages came.
    """
    with subprocess.Popen(
        [sys.executable, "-c", BARE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as bare:
        traffic = asyncio.run(_measure(local, rounds, consumers))
        longest = float(bare.communicate()[0]) / 1000
    lost = len(traffic.confirmed - traffic.delivered)
    print(
        f"{rounds * len(local.members)} restarts; confirmed {len(traffic.confirmed)}, lost {lost}, "
        f"failed {len(traffic.failures)}, consumers that ended {traffic.ended}, rounds with some missing "
        f"{traffic.missed}; the loop was late by {traffic.longest * 1000:.1f} ms at the most, "
        f"one without a client by {longest * 1000:.1f} ms"
    )
    for failure in traffic.failures[:5]:
        print(failure)
    return not (lost or traffic.failures or traffic.ended or traffic.missed)


async def _measure(local: Local, rounds: int, consumers: int) -> Traffic:
    queues = [Queue(f"restarts-{number}") for number in range(QUEUES)]
    traffic = Traffic()
    async with AsyncClient(local.zookeeper_hosts, local.group, local.credentials) as client:
        await client.declare(*queues)
        consuming = [
            asyncio.create_task(consume(client, queues[number % QUEUES], traffic))
            for number in range(consumers)
        ]
        publishing = asyncio.create_task(publish(client, queues, traffic))
        watching = asyncio.create_task(watch(traffic))
        for number in range(1, rounds + 1):
            took = await asyncio.to_thread(operate, local, lambda one: one.rolling_restart(by="bench"))
            count = await asyncio.to_thread(counted_in_time, local, queues, consumers)
            traffic.missed += count != consumers
            print(f"{number:3}. {took:5.1f} s; consumers {count} of {consumers}", flush=True)
        publishing.cancel()
        with suppress(NotInTime):
            arrived = lambda: not traffic.confirmed - traffic.delivered or None  # noqa: E731
            await asyncio.to_thread(wait, arrived, "all messages come", PATIENCE)
        traffic.ended = sum(task.done() for task in consuming)
        tasks = [*consuming, publishing, watching]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return traffic

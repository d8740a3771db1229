"""``bench publish --loops``: what an event loop and a client do to one another, in processes of their own."""

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from rabbitkeeper.client import AsyncClient, Client, Queue
from rabbitkeeper.compose.local import Local

CLIENTS = ("rabbitkeeper-threads", "rabbitkeeper-async", "aio-pika")
BODY = b"x" * 256
QUEUE = "bench-loops"
LATENCIES = 300  # publishes
SECONDS = 3.0  # of publishing as fast as it goes
TASKS = 1000
HEARTBEAT = 2  # seconds
BLOCKED = 8.0  # seconds
HELD = 10.0  # milliseconds, at the most

Publish = Callable[[], Awaitable[object]]


async def _client(order: dict[str, Any], stack: AsyncExitStack, heartbeat: int) -> Publish:
    """What publishes one message and awaits its confirm."""
    credentials = tuple(order["credentials"])
    if order["client"] == "rabbitkeeper-async":
        client = AsyncClient(
            order["zookeeper"], order["group"], credentials, heartbeat=heartbeat, window=TASKS
        )
        await stack.enter_async_context(client)
        return lambda: client.publish("", QUEUE, BODY)
    import aio_pika

    connection = await aio_pika.connect_robust(
        host=order["host"], port=order["port"], login=credentials[0], password=credentials[1],
        heartbeat=heartbeat,
    )  # fmt: skip
    stack.push_async_callback(connection.close)
    exchange = (await connection.channel(publisher_confirms=True)).default_exchange
    persistent = aio_pika.DeliveryMode.PERSISTENT
    return lambda: exchange.publish(aio_pika.Message(BODY, delivery_mode=persistent), QUEUE)


def in_threads(order: dict[str, Any]) -> dict[str, Any]:
    """The latency of ``Client.publish``."""
    with Client(order["zookeeper"], order["group"], tuple(order["credentials"])) as client:
        took = []
        for _ in range(LATENCIES):
            began = time.perf_counter()
            client.publish("", QUEUE, BODY)
            took.append(time.perf_counter() - began)
    return {"latency": took}


async def in_a_loop(order: dict[str, Any]) -> dict[str, Any]:
    """All three."""
    async with AsyncExitStack() as stack:
        publish = await _client(order, stack, HEARTBEAT)
        took = []
        for _ in range(LATENCIES):
            began = time.perf_counter()
            await publish()
            took.append(time.perf_counter() - began)
        held, count = await _held(publish)
        failed = 0
        time.sleep(BLOCKED)  # noqa: ASYNC251 - what is measured
        began = time.perf_counter()
        try:
            async with asyncio.timeout(30):
                await publish()
        except Exception as error:  # noqa: BLE001 - whatever the client raises is what is counted
            print(f"{order['client']}: {error!r}", file=sys.stderr)
            failed = 1
        again = time.perf_counter() - began
    return {"latency": took, "held": held, "rate": count / SECONDS, "again": again, "failed": failed}


async def _held(publish: Publish) -> tuple[list[float], int]:
    """By how many seconds a sleep of a millisecond is late while all publish, and how many were confirmed."""
    late: list[float] = []
    end, count = time.perf_counter() + SECONDS, 0

    async def look() -> None:
        while time.perf_counter() < end:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            late.append(time.perf_counter() - began - 0.001)

    async def publish_on() -> None:
        nonlocal count
        while time.perf_counter() < end:
            await publish()
            count += 1

    await asyncio.gather(look(), *(publish_on() for _ in range(TASKS)))
    return late, count


def measure(local: Local, group: str, client: str) -> dict[str, Any]:
    """One client in a process of its own."""
    host, port = local.amqp("node1")
    order = {
        "client": client,
        "host": host,
        "port": port,
        "credentials": local.credentials,
        "zookeeper": local.zookeeper_hosts,
        "group": group,
    }
    done = subprocess.run(
        [sys.executable, __file__, json.dumps(order)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=120,
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def show(results: dict[str, list[dict[str, Any]]]) -> None:
    """A row for each client."""
    columns = ("latency ms", "99 %", "held ms", "99 %", "worst", "rate", "again s", "failed")
    print(f"{'':22}" + "".join(f"{one:>12}" for one in columns))
    for client, rounds in results.items():
        fields = _percentiles(rounds, "latency")[:2]
        if "held" in rounds[0]:
            fields += _percentiles(rounds, "held")
            fields += [statistics.median(one["rate"] for one in rounds)]
            fields += [statistics.median(one["again"] for one in rounds)]
            fields += [float(sum(one["failed"] for one in rounds))]
        print(f"{client:22}" + "".join(f"{field:12,.2f}" for field in fields))
    worst = statistics.median(1000 * max(one["held"]) for one in results["rabbitkeeper-async"])
    verdict = "reached" if worst <= HELD else "MISSED"
    print(f"rabbitkeeper-async: held {worst:.1f} ms at the most; looked for: {HELD:g} or less: {verdict}")


def _percentiles(rounds: list[dict[str, Any]], what: str) -> list[float]:
    """Medians over the rounds: of the median, of the 99th percentile and of the worst; milliseconds."""
    each = [sorted(one[what]) for one in rounds]
    return [
        1000 * statistics.median(one[int((len(one) - 1) * part)] for one in each) for part in (0.5, 0.99, 1)
    ]


def compare(local: Local, group: str, rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Each client, round after round, each round beginning with another one."""
    with Client(local.zookeeper_hosts, group, local.credentials) as client:
        client.declare(Queue(QUEUE, arguments={"x-max-length": 10_000}))
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in CLIENTS}
    for number in range(rounds):
        turn = number % len(CLIENTS)
        for name in (*CLIENTS[turn:], *CLIENTS[:turn]):
            results[name].append(measure(local, group, name))
    return results


def main() -> None:
    order = json.loads(sys.argv[1])
    threads = order["client"] == "rabbitkeeper-threads"
    print(json.dumps(in_threads(order) if threads else asyncio.run(in_a_loop(order))))


if __name__ == "__main__":
    main()

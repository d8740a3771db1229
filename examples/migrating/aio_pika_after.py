"""The same orders with RabbitKeeper.

python aio_pika_after.py publish FIRST LAST
python aio_pika_after.py consume             until Ctrl-C
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rabbitkeeper.client import AsyncClient, Binding, Exchange, Queue


@asynccontextmanager
async def connected() -> AsyncIterator[AsyncClient]:
    """A client with everything declared; it declares it again wherever it goes."""
    async with AsyncClient(
        os.environ["RABBITKEEPER_ZOOKEEPER"],
        os.environ["RABBITKEEPER_GROUP"],
        (os.environ["RABBITKEEPER_USER"], os.environ["RABBITKEEPER_PASSWORD"]),
    ) as client:
        await client.declare(
            Exchange("shop-aio-pika", "direct"),
            Queue("orders-aio-pika"),
            Binding("shop-aio-pika", "orders-aio-pika", "order"),
        )
        yield client


async def publish(first: int, last: int) -> None:
    """Each order until it is confirmed."""
    async with connected() as client:
        for number in range(first, last + 1):
            await client.publish("shop-aio-pika", "order", f"order {number}".encode())
            print(f"confirmed: order {number}", flush=True)
            await asyncio.sleep(0.05)


async def consume() -> None:
    """For ever."""
    async with connected() as client:
        async for message in client.consume("orders-aio-pika", prefetch=100):
            async with message.process():
                print(f"received: {message.body.decode()}", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "publish":
        asyncio.run(publish(int(sys.argv[2]), int(sys.argv[3])))
    else:
        asyncio.run(consume())

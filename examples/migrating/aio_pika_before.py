"""Orders with aio-pika: a robust connection to one address, and publishing until it has worked.

python aio_pika_before.py publish FIRST LAST
python aio_pika_before.py consume            until Ctrl-C
"""

import asyncio
import os
import sys
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractQueue
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError

ADDRESS = os.environ["AMQP_URLS"].split(",")[0]  # of a load balancer, as a rule


async def declared(channel: AbstractChannel) -> tuple[AbstractExchange, AbstractQueue]:
    """Everything; a robust channel declares it again."""
    exchange = await channel.declare_exchange("shop-aio-pika", aio_pika.ExchangeType.DIRECT, durable=True)
    queue = await channel.declare_queue("orders-aio-pika", durable=True, arguments={"x-queue-type": "quorum"})
    await queue.bind(exchange, "order")
    return exchange, queue


async def publish(first: int, last: int) -> None:
    """Each order until it is confirmed."""
    async with await aio_pika.connect_robust(ADDRESS, reconnect_interval=1) as connection:
        exchange, _queue = await declared(await connection.channel())
        for number in range(first, last + 1):
            message = aio_pika.Message(
                f"order {number}".encode(),
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                message_id=str(uuid4()),
            )
            while True:
                try:
                    await exchange.publish(message, "order", timeout=10)
                    break
                except (AMQPError, ChannelInvalidStateError, OSError, TimeoutError):
                    await asyncio.sleep(1)
            print(f"confirmed: order {number}", flush=True)
            await asyncio.sleep(0.05)


async def consume() -> None:
    """For ever."""
    async with await aio_pika.connect_robust(ADDRESS, reconnect_interval=1) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=100)
        _exchange, queue = await declared(channel)
        async with queue.iterator() as messages:
            async for message in messages:
                async with message.process():
                    print(f"received: {message.body.decode()}", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "publish":
        asyncio.run(publish(int(sys.argv[2]), int(sys.argv[3])))
    else:
        asyncio.run(consume())

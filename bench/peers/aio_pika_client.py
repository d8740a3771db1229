"""aio-pika."""

import asyncio
from urllib.parse import quote

import aio_pika
from common import ACK_EVERY, PREFETCH, Result, Stopwatch, Where


def consume(where: Where, queue: str, count: int) -> Result:
    """See :mod:`peers`."""
    return asyncio.run(_consume(where, queue, count))


def url(where: Where) -> str:
    """With the credentials in it."""
    return f"amqp://{quote(where.username)}:{quote(where.password)}@{where.host}:{where.port}/"


async def _consume(where: Where, name: str, count: int) -> Result:
    connection = await aio_pika.connect(url(where))
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=PREFETCH)
    queue = await channel.get_queue(name, ensure=False)
    got = 0
    watch = Stopwatch()
    finished: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

    async def take(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        nonlocal got, watch
        if not got:
            watch = Stopwatch()
        got += 1
        if got % ACK_EVERY == 0:
            await message.ack(multiple=True)
        if got == count:
            finished.set_result(watch.result(count - 1))

    await queue.consume(take)
    result = await finished
    await connection.close()
    return result

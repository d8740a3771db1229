"""RabbitKeeper's own client. Each message is acked by itself; the client sends few acks."""

import time

from common import PREFETCH, Result, Stopwatch, Where

from rabbitkeeper.client import Client


def consume(where: Where, queue: str, count: int) -> Result:
    """See :mod:`peers`."""
    with Client(where.zookeeper, where.group, (where.username, where.password)) as client:
        consumer = client.consume(queue, prefetch=PREFETCH)
        next(consumer).ack()
        watch = Stopwatch()
        for got, message in enumerate(consumer, 2):
            message.ack()
            if got == count:
                break
        while client.status().in_hand:
            time.sleep(0.001)
        return watch.result(count - 1)

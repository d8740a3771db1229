"""kombu, over py-amqp."""

import kombu
from common import ACK_EVERY, PREFETCH, Result, Stopwatch, Where


def consume(where: Where, queue: str, count: int) -> Result:
    """See :mod:`peers`."""
    got = 0
    watch = Stopwatch()

    def take(message: kombu.Message) -> None:
        nonlocal got, watch
        if not got:
            watch = Stopwatch()
        got += 1
        if got % ACK_EVERY == 0:
            message.ack(multiple=True)

    with kombu.Connection(
        hostname=where.host, port=where.port, userid=where.username, password=where.password
    ) as connection:
        channel = connection.channel()
        consumer = kombu.Consumer(
            channel, [kombu.Queue(queue, no_declare=True)], on_message=take, prefetch_count=PREFETCH
        )
        consumer.consume()
        while got < count:
            connection.drain_events(timeout=30)
        return watch.result(count - 1)

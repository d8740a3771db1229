"""amqpstorm."""

import amqpstorm
from common import ACK_EVERY, PREFETCH, Result, Stopwatch, Where


def consume(where: Where, queue: str, count: int) -> Result:
    """See :mod:`peers`."""
    got = 0
    watch = Stopwatch()
    with amqpstorm.Connection(where.host, where.username, where.password, port=where.port) as connection:
        channel = connection.channel()
        channel.basic.qos(PREFETCH)
        channel.basic.consume(queue=queue)
        for message in channel.build_inbound_messages(auto_decode=False):
            if not got:
                watch = Stopwatch()
            got += 1
            if got % ACK_EVERY == 0:
                channel.basic.ack(message.delivery_tag, multiple=True)
            if got == count:
                break
        return watch.result(count - 1)

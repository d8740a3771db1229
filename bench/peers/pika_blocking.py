"""pika's BlockingConnection."""

import pika
from common import ACK_EVERY, PREFETCH, Result, Stopwatch, Where


def parameters(where: Where) -> pika.ConnectionParameters:
    """For both of pika's connections."""
    return pika.ConnectionParameters(
        where.host, where.port, credentials=pika.PlainCredentials(where.username, where.password)
    )


def consume(where: Where, queue: str, count: int) -> Result:
    """See :mod:`peers`."""
    connection = pika.BlockingConnection(parameters(where))
    channel = connection.channel()
    channel.basic_qos(prefetch_count=PREFETCH)
    got = 0
    watch = Stopwatch()

    def take(_channel: object, method: pika.spec.Basic.Deliver, _properties: object, _body: bytes) -> None:
        nonlocal got, watch
        if not got:
            watch = Stopwatch()
        got += 1
        if got % ACK_EVERY == 0:
            channel.basic_ack(method.delivery_tag, multiple=True)
        if got == count:
            channel.stop_consuming()

    channel.basic_consume(queue, take)
    channel.start_consuming()
    result = watch.result(count - 1)
    connection.close()
    return result

"""pika's SelectConnection."""

import pika
from common import ACK_EVERY, PREFETCH, Result, Stopwatch, Where

from peers.pika_blocking import parameters


def consume(where: Where, queue: str, count: int) -> Result:
    """See :mod:`peers`."""
    got = 0
    watch = Stopwatch()
    result: Result | None = None

    def take(
        channel: pika.channel.Channel, method: pika.spec.Basic.Deliver, _properties: object, _body: bytes
    ) -> None:
        nonlocal got, watch, result
        if not got:
            watch = Stopwatch()
        got += 1
        if got % ACK_EVERY == 0:
            channel.basic_ack(method.delivery_tag, multiple=True)
        if got == count:
            result = watch.result(count - 1)
            connection.close()

    def opened(channel: pika.channel.Channel) -> None:
        channel.basic_qos(prefetch_count=PREFETCH, callback=lambda _: channel.basic_consume(queue, take))

    connection: pika.SelectConnection = pika.SelectConnection(
        parameters(where),
        on_open_callback=lambda _: connection.channel(on_open_callback=opened),
        on_close_callback=lambda *_: connection.ioloop.stop(),
    )
    connection.ioloop.start()
    assert result is not None
    return result

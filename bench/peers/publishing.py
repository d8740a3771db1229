"""One publisher, in a process of its own: reads what to do as JSON, prints what it measured as JSON.

Every client publishes the same: 256 bytes, persistent, mandatory, with a message id of 32 characters, to the
default exchange, and counts a message when it is confirmed. Each makes its queue again, so that nobody finds
another's backlog, and publishes for a moment before it is measured.
"""

import asyncio
import itertools
import json
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any

BODY = b"x" * 256
WINDOW = 1000
WARM_UP = 0.3  # seconds


class Order:
    """What to do, and the clock of it."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.host: str = order["host"]
        self.port: int = order["port"]
        self.username, self.password = order["credentials"]
        self.zookeeper: str = order["zookeeper"]
        self.group: str = order["group"]
        self.kind: str = order["kind"]
        self.seconds: float = order["seconds"]
        self.queue = f"bench-{order['client']}-{self.kind}"
        self.arguments = {"x-queue-type": self.kind}
        self._confirmed_before = 0
        self._wall = self._cpu = 0.0
        self._begun = False
        self.end = time.monotonic() + WARM_UP

    def goes_on(self, confirmed: int) -> bool:
        """Whether to publish more; measuring begins when the warm-up is over."""
        now = time.monotonic()
        if now < self.end:
            return True
        if self._begun:
            return False
        self._begun = True
        self._confirmed_before, self._wall, self._cpu = confirmed, now, time.process_time()
        self.end = now + self.seconds
        return True

    def done(self, confirmed: int) -> None:
        """Everything is confirmed: print the result."""
        count = confirmed - self._confirmed_before
        cpu, wall = time.process_time() - self._cpu, time.monotonic() - self._wall
        print(json.dumps({"rate": count / wall, "cpu_us": cpu / count * 1e6, "count": count}))


def ids() -> Callable[[], str]:
    numbers = itertools.count()
    return lambda: f"{next(numbers):032x}"


def prepare(order: Order) -> None:
    """Make the queue again."""
    import pika

    credentials = pika.PlainCredentials(order.username, order.password)
    parameters = pika.ConnectionParameters(order.host, order.port, credentials=credentials)
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    channel.queue_delete(order.queue)
    channel.queue_declare(order.queue, durable=True, arguments=order.arguments)
    connection.close()


def clean_up(order: Order) -> None:
    import pika

    credentials = pika.PlainCredentials(order.username, order.password)
    parameters = pika.ConnectionParameters(order.host, order.port, credentials=credentials)
    connection = pika.BlockingConnection(parameters)
    connection.channel().queue_delete(order.queue)
    connection.close()


def rabbitkeeper(order: Order) -> None:
    from rabbitkeeper.client import Client

    with Client(order.zookeeper, order.group, (order.username, order.password), window=WINDOW) as client:
        futures: deque[Any] = deque()
        publish, queue = client.publish_nowait, order.queue
        published = 0
        while order.goes_on(published - len(futures)):
            for _ in range(100):
                futures.append(publish("", queue, BODY))
            published += 100
            while futures and futures[0].done():
                futures.popleft().result()
        for future in futures:
            future.result()
        order.done(published)


def rabbitkeeper_many(order: Order) -> None:
    from rabbitkeeper.client import Client, Receipt

    with Client(order.zookeeper, order.group, (order.username, order.password), window=WINDOW) as client:
        # what is under way is about a window, so what was taken is what was confirmed, nearly
        taken = 0

        def messages() -> Any:
            nonlocal taken
            while order.goes_on(taken - client.status().unconfirmed):
                for _ in range(100):
                    yield "", order.queue, BODY
                taken += 100

        outcomes = client.publish_many(messages())
        assert all(isinstance(outcome, Receipt) for outcome in outcomes)
        order.done(len(outcomes))


def rabbitkeeper_async(order: Order) -> None:
    """As many tasks as the window has room for, each of which awaits its publish; as with aio-pika."""
    from rabbitkeeper.client import AsyncClient

    async def publish_all() -> None:
        credentials = (order.username, order.password)
        async with AsyncClient(order.zookeeper, order.group, credentials, window=WINDOW) as client:
            confirmed = 0

            async def publish_one_by_one() -> None:
                nonlocal confirmed
                while order.goes_on(confirmed):
                    await client.publish("", order.queue, BODY)
                    confirmed += 1

            await asyncio.gather(*(publish_one_by_one() for _ in range(WINDOW)))
            order.done(confirmed)

    asyncio.run(publish_all())


def rabbitkeeper_async_nowait(order: Order) -> None:
    """One task, which awaits outcomes when they are there."""
    from rabbitkeeper.client import AsyncClient

    async def publish_all() -> None:
        credentials = (order.username, order.password)
        async with AsyncClient(order.zookeeper, order.group, credentials, window=WINDOW) as client:
            handles: deque[Any] = deque()
            published = 0
            while order.goes_on(published - len(handles)):
                for _ in range(100):
                    handles.append(await client.publish_nowait("", order.queue, BODY))
                published += 100
                while handles and handles[0].done():
                    handles.popleft().result()
            for handle in handles:
                await handle
            order.done(published)

    asyncio.run(publish_all())


def rabbitkeeper_async_many(order: Order) -> None:
    from rabbitkeeper.client import AsyncClient, Receipt

    async def publish_all() -> None:
        credentials = (order.username, order.password)
        async with AsyncClient(order.zookeeper, order.group, credentials, window=WINDOW) as client:
            taken = 0

            def messages() -> Any:
                nonlocal taken
                while order.goes_on(taken - client.status().unconfirmed):
                    for _ in range(100):
                        yield "", order.queue, BODY
                    taken += 100

            outcomes = await client.publish_many(messages())
            assert all(isinstance(outcome, Receipt) for outcome in outcomes)
            order.done(len(outcomes))

    asyncio.run(publish_all())


def pika_select(order: Order) -> None:
    import pika

    state = {"sent": 0, "open": 0, "finishing": False}
    next_id = ids()

    def opened(connection: Any) -> None:
        connection.channel(on_open_callback=prepared)

    def prepared(channel: Any) -> None:
        open_tags: set[int] = set()
        lowest = 1

        def publish() -> None:
            while len(open_tags) < WINDOW and order.goes_on(state["sent"] - len(open_tags)):
                state["sent"] += 1
                open_tags.add(state["sent"])
                properties = pika.BasicProperties(delivery_mode=2, message_id=next_id())
                channel.basic_publish("", order.queue, BODY, properties, mandatory=True)
            if not open_tags:
                order.done(state["sent"])
                channel.connection.close()

        def answered(frame: Any) -> None:
            nonlocal lowest
            assert isinstance(frame.method, pika.spec.Basic.Ack)
            tag = frame.method.delivery_tag
            if frame.method.multiple:
                open_tags.difference_update(range(lowest, tag + 1))
                lowest = tag + 1
            else:
                open_tags.discard(tag)
            publish()

        channel.confirm_delivery(answered, callback=lambda _frame: publish())

    credentials = pika.PlainCredentials(order.username, order.password)
    connection = pika.SelectConnection(
        pika.ConnectionParameters(order.host, order.port, credentials=credentials),
        on_open_callback=opened,
        on_close_callback=lambda connection, _error: connection.ioloop.stop(),
    )
    connection.ioloop.start()


def pika_blocking(order: Order) -> None:
    import pika

    credentials = pika.PlainCredentials(order.username, order.password)
    connection = pika.BlockingConnection(
        pika.ConnectionParameters(order.host, order.port, credentials=credentials)
    )
    channel = connection.channel()
    channel.confirm_delivery()
    next_id, confirmed = ids(), 0
    while order.goes_on(confirmed):
        properties = pika.BasicProperties(delivery_mode=2, message_id=next_id())
        channel.basic_publish("", order.queue, BODY, properties, mandatory=True)
        confirmed += 1
    order.done(confirmed)
    connection.close()


def aio_pika(order: Order) -> None:
    import aio_pika as library

    async def publish_all() -> None:
        connection = await library.connect(
            host=order.host, port=order.port, login=order.username, password=order.password
        )
        channel = await connection.channel(publisher_confirms=True)
        exchange = channel.default_exchange
        next_id, confirmed = ids(), 0

        async def publish_one_by_one() -> None:  # a window of 1,000 is as many of these
            nonlocal confirmed
            while order.goes_on(confirmed):
                message = library.Message(
                    BODY, delivery_mode=library.DeliveryMode.PERSISTENT, message_id=next_id()
                )
                await exchange.publish(message, order.queue, mandatory=True)
                confirmed += 1

        await asyncio.gather(*(publish_one_by_one() for _ in range(WINDOW)))
        order.done(confirmed)
        await connection.close()

    asyncio.run(publish_all())


def kombu(order: Order) -> None:
    import kombu as library

    connection = library.Connection(
        hostname=order.host,
        port=order.port,
        userid=order.username,
        password=order.password,
        transport="pyamqp",
        transport_options={"confirm_publish": True},
    )
    with connection, connection.Producer(serializer=None) as producer:
        next_id, confirmed = ids(), 0
        while order.goes_on(confirmed):
            producer.publish(
                BODY,
                routing_key=order.queue,
                delivery_mode=2,
                message_id=next_id(),
                mandatory=True,
                content_type="application/octet-stream",
                content_encoding="binary",
            )
            confirmed += 1
        order.done(confirmed)


def amqpstorm(order: Order) -> None:
    import amqpstorm as library

    with library.Connection(order.host, order.username, order.password, port=order.port) as connection:
        channel = connection.channel()
        channel.confirm_deliveries()
        next_id, confirmed = ids(), 0
        while order.goes_on(confirmed):
            channel.basic.publish(
                BODY,
                order.queue,
                properties={"delivery_mode": 2, "message_id": next_id()},
                mandatory=True,
            )
            confirmed += 1
        order.done(confirmed)


def raw(order: Order) -> None:
    """pika makes the connection; then its socket is read and written here, with frames encoded beforehand."""
    import pika

    credentials = pika.PlainCredentials(order.username, order.password)
    connection = pika.BlockingConnection(
        pika.ConnectionParameters(order.host, order.port, credentials=credentials, heartbeat=0)
    )
    channel = connection.channel()
    channel.confirm_delivery()
    number = channel.channel_number
    properties = pika.BasicProperties(delivery_mode=2, message_id="0" * 32)
    method = pika.spec.Basic.Publish(exchange="", routing_key=order.queue, mandatory=True)
    message = b"".join(
        frame.marshal()
        for frame in (
            pika.frame.Method(number, method),
            pika.frame.Header(number, len(BODY), properties),
            pika.frame.Body(number, BODY),
        )
    )
    bursts = [message * count for count in range(WINDOW + 1)]
    wire: socket.socket = connection._impl._transport._sock
    wire.setblocking(True)
    sent = lowest = confirmed = 0
    single: set[int] = set()
    rest = b""
    decode = struct.Struct(">BHIIQBB").unpack_from  # the frame of an ack, which is 21 bytes
    while True:
        if order.goes_on(confirmed):
            room = WINDOW - (sent - confirmed)
            if room:
                wire.sendall(bursts[room])
                sent += room
        elif confirmed == sent:
            break
        data = rest + wire.recv(65536)
        whole = len(data) // 21 * 21
        for at in range(0, whole, 21):
            _, _, _, kind, tag, multiple, _ = decode(data, at)
            assert kind == 0x003C0050, "not an ack"
            if multiple:
                confirmed += tag - lowest - sum(one <= tag for one in single)
                single = {one for one in single if one > tag}
                lowest = tag
            else:
                single.add(tag)
                confirmed += 1
        rest = data[whole:]
    order.done(confirmed)


def main() -> None:
    given = json.load(sys.stdin)
    publish = globals()[given["client"].replace("-", "_")]
    order = Order(given)
    prepare(order)
    order.end = time.monotonic() + WARM_UP
    publish(order)
    clean_up(order)


if __name__ == "__main__":
    main()

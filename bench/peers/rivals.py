"""Publishers of other libraries, as their documentation has them reconnect, for ``failover.py``.

Each publishes numbered messages to a quorum queue of its own, each confirmed before the next.
"""

import asyncio
import threading
import time
from collections import Counter
from itertools import pairwise
from urllib.parse import quote

import aio_pika
import kombu
import pika

from rabbitkeeper.compose.local import Local

PAUSE = 0.004  # seconds between messages


class Rival:
    """A publisher on a thread of its own."""

    name = ""

    def __init__(self, local: Local) -> None:
        self.local = local
        self.queue = f"rival-{self.name.replace(' ', '-')}"
        self.stopping = threading.Event()
        self.number = 0  # the message that is being published
        self._confirmed: dict[int, float] = {}  # when, seconds, monotonic
        self._thread = threading.Thread(target=self._forever, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.stopping.set()
        self._thread.join(10)

    def confirmed(self) -> None:
        """The present message is there."""
        self._confirmed[self.number] = time.monotonic()
        self.number += 1
        self.stopping.wait(PAUSE)

    def longest_pause(self, start: float, end: float) -> float:
        """Seconds between two confirms at the most; infinity if there was none from ``start`` + 0.5 s on."""
        times = [moment for moment in list(self._confirmed.values()) if moment <= end]
        if not times or times[-1] < start + 0.5:
            return float("inf")
        before = [moment for moment in times if moment <= start][-1:]
        return max(b - a for a, b in pairwise([*before, *(moment for moment in times if moment > start)]))

    def lost_and_duplicated(self) -> tuple[int, int]:
        """How many confirmed messages are lost, and how many are there more than once."""
        connection = pika.BlockingConnection(self.parameters()[0])
        delivered: Counter[int] = Counter()
        for _, _, body in connection.channel().consume(self.queue, auto_ack=True, inactivity_timeout=1.0):
            if body is None:
                break
            delivered[int(body)] += 1
        connection.close()
        return len(self._confirmed.keys() - delivered.keys()), delivered.total() - len(delivered)

    def parameters(self) -> list[pika.ConnectionParameters]:
        """Of all brokers."""
        credentials = pika.PlainCredentials(*self.local.credentials)
        return [
            pika.ConnectionParameters(*self.local.amqp(name), credentials=credentials)
            for name in self.local.members
        ]

    def urls(self) -> list[str]:
        """Of all brokers, with the credentials in them."""
        user, password = (quote(part) for part in self.local.credentials)
        places = [self.local.amqp(name) for name in self.local.members]
        return [f"amqp://{user}:{password}@{host}:{port}//" for host, port in places]

    def _forever(self) -> None:
        while not self.stopping.is_set():
            try:
                self.publish()
            except Exception:  # noqa: BLE001 - each library has its own; a user would start again
                self.stopping.wait(0.05)

    def publish(self) -> None:
        """Connect, and publish until the library gives up."""
        raise NotImplementedError


class KombuWithList(Rival):
    name = "kombu with a list"

    def publish(self) -> None:
        options = {"confirm_publish": True}
        with kombu.Connection(self.urls(), transport_options=options) as connection:
            producer = connection.Producer()
            publish = connection.ensure(producer, producer.publish, interval_start=0, interval_step=0.1)
            while not self.stopping.is_set():
                publish(b"%d" % self.number, routing_key=self.queue, delivery_mode=2, retry=False)
                self.confirmed()


class AioPikaRobust(Rival):
    name = "aio-pika robust"

    def publish(self) -> None:
        asyncio.run(self._publish())

    async def _publish(self) -> None:
        connection = await aio_pika.connect_robust(self.urls()[0].removesuffix("/"))
        async with connection:
            channel = await connection.channel()
            while not self.stopping.is_set():
                message = aio_pika.Message(b"%d" % self.number, delivery_mode=2)
                try:
                    await asyncio.wait_for(channel.default_exchange.publish(message, self.queue), 30)
                except aio_pika.exceptions.AMQPException:
                    await asyncio.sleep(0.05)
                    continue
                self.confirmed()


class PikaWithList(Rival):
    name = "pika with a list"

    def publish(self) -> None:
        connection = pika.BlockingConnection(self.parameters())
        channel = connection.channel()
        channel.confirm_delivery()
        while not self.stopping.is_set():
            try:
                channel.basic_publish(
                    "", self.queue, b"%d" % self.number, pika.BasicProperties(delivery_mode=2)
                )
            except pika.exceptions.NackError:
                connection.sleep(0.05)
                continue
            self.confirmed()


RIVALS: tuple[type[Rival], ...] = (KombuWithList, AioPikaRobust, PikaWithList)

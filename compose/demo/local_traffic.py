"""The demo's load: one producer and one consumer, and what became of every message.

The producer publishes numbered messages one after the other, each confirmed before the next, so that a pause
in its confirms is a pause that a user would have felt. The consumer acks each message. What was confirmed
and never delivered is lost; what was delivered twice is counted.
"""

import threading
import time
from collections.abc import Mapping

from rabbitkeeper.client import Binding, Client, Exchange, PublishError, Queue, RabbitKeeperError
from rabbitkeeper.compose.demo.message_log import MessageLog, Totals

EXCHANGE, QUEUE = "my-exchange", "my-queue"
START_TIMEOUT = 60.0  # seconds for a client to find the leader, on a busy host
PAUSE = 0.004  # seconds between publishes: about 200 a second
PUBLISH_TIMEOUT = (
    60.0  # seconds; longer than any fault of the demo, so that a longer one is seen as a failure
)


class LocalTraffic:
    """A producer and a consumer with a client of their own each, in this process.

    What the methods that :class:`~rabbitkeeper.compose.demo.stage.Traffic` has are for stands there.

    Args:
        zookeeper: connection string.
        group: to connect to.
        credentials: the application's.
    """

    def __init__(self, zookeeper: str, group: str, credentials: tuple[str, str]) -> None:
        self._messages = MessageLog()
        self._stopping = threading.Event()
        self._error: BaseException | None = None
        self.producer = Client(zookeeper, group, credentials, timeout=START_TIMEOUT, name="demo-producer")
        try:
            self.consumer = Client(zookeeper, group, credentials, timeout=START_TIMEOUT, name="demo-consumer")
        except BaseException:
            self.producer.close(0)
            raise
        self._threads = [
            threading.Thread(target=self._produce, name="producer", daemon=True),
            threading.Thread(target=self._consume, name="consumer", daemon=True),
        ]

    def start(self) -> None:
        """Declare the exchange and the queue, and begin."""
        for client in (self.producer, self.consumer):
            client.declare(Exchange(EXCHANGE, "fanout"), Queue(QUEUE), Binding(EXCHANGE, QUEUE))
        for thread in self._threads:
            thread.start()

    def totals(self) -> Totals:
        return self._messages.totals()

    @property
    def failures(self) -> tuple[str, ...]:
        return tuple(self._messages.failures)

    def last_confirm(self) -> float:
        return self._messages.last_confirm()

    def longest_pause(self, start: float, end: float) -> float:
        return self._messages.longest_pause(start, end)

    def connected(self) -> Mapping[str, str | None]:
        return {"producer": self.producer.status().member, "consumer": self.consumer.status().member}

    def slowest_publish(self, start: float, end: float) -> float:
        return self._messages.slowest_publish(start, end)

    def finish(self, timeout: float) -> frozenset[int]:
        self._stopping.set()
        self._threads[0].join(PUBLISH_TIMEOUT + 5)
        deadline = time.monotonic() + timeout
        while self._messages.missing() and time.monotonic() < deadline:
            time.sleep(0.05)
        return self._messages.missing()

    def resume(self) -> None:
        """Publish again, after :meth:`finish`."""
        self._stopping.clear()
        self._threads[0] = threading.Thread(target=self._produce, name="producer", daemon=True)
        self._threads[0].start()

    def close(self) -> None:
        self._stopping.set()
        self.producer.close(1)
        self.consumer.close(1)

    def check(self) -> None:
        if self._error is not None:
            raise self._error

    def _produce(self) -> None:
        messages = self._messages
        try:
            while not self._stopping.wait(PAUSE):
                messages.published += 1
                number, asked = messages.published, time.monotonic()
                try:
                    self.producer.publish(EXCHANGE, "", f"Message {number}".encode(), timeout=PUBLISH_TIMEOUT)
                except PublishError as error:
                    messages.failures.append(f"Message {number}: {error}")
                else:
                    messages.confirm(number, asked, time.monotonic())
        except RabbitKeeperError as error:
            self._fail(error)

    def _consume(self) -> None:
        try:
            for message in self.consumer.consume(QUEUE, prefetch=100):
                self._messages.deliver([int(message.body.split()[1])])
                message.ack()
        except RabbitKeeperError as error:
            self._fail(error)

    def _fail(self, error: RabbitKeeperError) -> None:
        if not self._stopping.is_set():
            self._error = error

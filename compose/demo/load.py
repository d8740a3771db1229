"""The demo's load: one producer and one consumer, and an account of every message.

The producer publishes numbered messages one after the other, each confirmed before the next, so that a pause
in its confirms is a pause that a user would have felt. The consumer acks each message. What was confirmed
and never delivered is lost; what was delivered twice is counted.
"""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

from rabbitkeeper.client import Binding, Client, Exchange, PublishError, Queue, RabbitKeeperError

EXCHANGE, QUEUE = "my-exchange", "my-queue"
PAUSE = 0.004  # seconds between publishes: about 200 a second
PUBLISH_TIMEOUT = (
    60.0  # seconds; longer than any fault of the demo, so that a longer one is seen as a failure
)


@dataclass(frozen=True, slots=True)
class Totals:
    """The account at one moment."""

    published: int
    confirmed: int
    delivered: int  # different messages
    duplicated: int  # deliveries beyond the first of a message
    failed: int  # publishes that ended otherwise than confirmed


@dataclass(slots=True)
class _Account:
    published: int = 0
    confirmed: set[int] = field(default_factory=set)
    asked_at: list[float] = field(default_factory=list)  # of those confirmed; seconds, monotonic
    confirmed_at: list[float] = field(default_factory=list)
    deliveries: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


class Load:
    """A producer and a consumer with a client of their own each.

    Args:
        zookeeper: connection string.
        group: to connect to.
        credentials: the application's.
    """

    def __init__(self, zookeeper: str, group: str, credentials: tuple[str, str]) -> None:
        self._account = _Account()
        self._stopping = threading.Event()
        self._error: BaseException | None = None
        self.producer = Client(zookeeper, group, credentials, name="demo-producer")
        try:
            self.consumer = Client(zookeeper, group, credentials, name="demo-consumer")
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
        account = self._account
        return Totals(
            published=account.published,
            confirmed=len(account.confirmed),
            delivered=len(account.deliveries),
            duplicated=account.deliveries.total() - len(account.deliveries),
            failed=len(account.failures),
        )

    @property
    def failures(self) -> tuple[str, ...]:
        """How publishes ended that were not confirmed, a sentence each."""
        return tuple(self._account.failures)

    def last_confirm(self) -> float:
        """When the last confirm came, seconds monotonic; 0 before the first."""
        times = self._account.confirmed_at
        return times[-1] if times else 0.0

    def longest_pause(self, start: float, end: float) -> float:
        """The longest time without a confirm between the last one before ``start`` and ``end``, seconds."""
        times = self._account.confirmed_at[:]
        before = [moment for moment in times if moment <= start][-1:] or [start]
        within = [moment for moment in times if start < moment <= end]
        marks = [*before, *within, end]
        return max(later - earlier for earlier, later in pairwise(marks))

    def slowest_publish(self, start: float, end: float) -> float:
        """The longest time from a publish to its confirm among those under way in between, seconds."""
        account = self._account
        took = [
            confirmed - asked
            for asked, confirmed in zip(account.asked_at[:], account.confirmed_at[:], strict=False)
            if confirmed > start and asked < end
        ]
        return max(took, default=0.0)

    def finish(self, timeout: float) -> frozenset[int]:
        """Stop producing, and wait until everything confirmed is delivered.

        Returns:
            The numbers of the messages that were confirmed and not delivered within ``timeout`` seconds.
        """
        self._stopping.set()
        self._threads[0].join(PUBLISH_TIMEOUT + 5)
        deadline = time.monotonic() + timeout
        while self._missing() and time.monotonic() < deadline:
            time.sleep(0.05)
        return frozenset(self._missing())

    def close(self) -> None:
        self._stopping.set()
        self.producer.close(1)
        self.consumer.close(1)

    def check(self) -> None:
        """Raises what ended the producer or the consumer, if something did."""
        if self._error is not None:
            raise self._error

    def _missing(self) -> set[int]:
        return {number for number in self._account.confirmed if number not in self._account.deliveries}

    def _produce(self) -> None:
        account = self._account
        try:
            while not self._stopping.wait(PAUSE):
                account.published += 1
                number, asked = account.published, time.monotonic()
                try:
                    self.producer.publish(EXCHANGE, "", f"Message {number}".encode(), timeout=PUBLISH_TIMEOUT)
                except PublishError as error:
                    account.failures.append(f"Message {number}: {error}")
                else:
                    account.confirmed.add(number)
                    account.asked_at.append(asked)
                    account.confirmed_at.append(time.monotonic())
        except RabbitKeeperError as error:
            self._fail(error)

    def _consume(self) -> None:
        try:
            for message in self.consumer.consume(QUEUE, prefetch=100):
                self._account.deliveries[int(message.body.split()[1])] += 1
                message.ack()
        except RabbitKeeperError as error:
            self._fail(error)

    def _fail(self, error: RabbitKeeperError) -> None:
        if not self._stopping.is_set():
            self._error = error

"""What is counted of the clients of one name, for metrics that are read now and then. Needs no library."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.model.errors import RabbitKeeperError
from rabbitkeeper.client.model.events import (
    ClientClosed,
    Disconnected,
    Event,
    PublishersBlocked,
    PublishersUnblocked,
    Switched,
)
from rabbitkeeper.client.publish.future import PublishFuture
from rabbitkeeper.client.status import Status
from rabbitkeeper.client.telemetry.observer import ClientObserver

OUTCOMES = {
    "Unroutable": "unroutable",
    "Nacked": "nacked",
    "PublishUnknown": "unknown",
    "Blocked": "blocked",
    "NoLeader": "no_leader",
    "Closed": "closed",
}
"""Errors of publishes, as metrics have them; what else there is, is ``other``."""

GAPS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""Seconds; the upper bounds of the buckets that gaps of switches are counted in."""


class Counts:
    """Totals, from any thread, of all clients of one group and name, those that were closed too."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.outcomes: Counter[str] = Counter({"confirmed": 0})
        self.republished = 0  # times that a message was sent again
        self.consumed = 0
        self.switches: Counter[bool] = Counter({False: 0, True: 0})  # by whether they were planned
        self.gaps = 0.0  # seconds, of all switches that were not planned
        self.gaps_up_to: Counter[float] = Counter(dict.fromkeys(GAPS, 0))  # cumulative
        self.blocked = 0.0  # seconds, of blocks that are over
        self._live: dict[CountingObserver, Callable[[], Status]] = {}

    def add(self, observer: "CountingObserver", status: Callable[[], Status]) -> None:
        with self.lock:
            self._live[observer] = status

    def remove(self, observer: "CountingObserver") -> None:
        with self.lock:
            self._live.pop(observer, None)

    def statuses(self) -> list[Status]:
        """Of the clients that there are in this process."""
        with self.lock:
            live = list(self._live.values())
        found: list[Status] = []
        for status in live:
            try:
                found.append(status())
            except RabbitKeeperError:  # a forked child has its parent's clients, and cannot use them
                continue
        return found

    def blocked_seconds(self) -> float:
        """For which brokers have blocked publishers, until now."""
        with self.lock:
            now = time.monotonic()
            return self.blocked + sum(now - one.blocked_since for one in self._live if one.blocked_since)

    def switched(self, event: Switched) -> None:
        with self.lock:
            self.switches[event.planned] += 1
            if not event.planned:
                self.gaps += event.gap
                for bound in GAPS:
                    self.gaps_up_to[bound] += event.gap <= bound


class CountingObserver(ClientObserver):
    """Counts for one client."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self.blocked_since = 0.0  # seconds, monotonic; 0: it is not blocked

    def sending(self, futures: Sequence[PublishFuture], address: str | None) -> None:
        again = sum(1 for future in futures if future.attempts)
        if again:
            with self._counts.lock:
                self._counts.republished += again

    def confirmed(self, futures: Sequence[PublishFuture]) -> None:
        with self._counts.lock:
            self._counts.outcomes["confirmed"] += len(futures)

    def failed(self, future: PublishFuture, error: Exception) -> None:
        with self._counts.lock:
            self._counts.outcomes[OUTCOMES.get(type(error).__name__, "other")] += 1

    def taken_back(self, future: PublishFuture) -> None:
        with self._counts.lock:
            self._counts.outcomes["taken_back"] += 1

    def received(self, message: Message) -> None:
        with self._counts.lock:
            self._counts.consumed += 1

    def event(self, event: Event) -> None:
        match event:
            case Switched():
                self._counts.switched(event)
            case PublishersBlocked():
                self.blocked_since = self.blocked_since or time.monotonic()
                return
            case ClientClosed():
                self._counts.remove(self)
        if isinstance(event, PublishersUnblocked | Disconnected | Switched | ClientClosed):
            self._unblocked()

    def _unblocked(self) -> None:
        since, self.blocked_since = self.blocked_since, 0.0
        if since:
            with self._counts.lock:
                self._counts.blocked += time.monotonic() - since

    def begin(self, status: Callable[[], Status]) -> None:
        self._counts.add(self, status)


class CountsByName:
    """The counts of all clients that one telemetry observes, by group and name."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], Counts] = {}
        self._lock = threading.Lock()

    def of(self, group: str, name: str) -> Counts:
        with self._lock:
            return self._counts.setdefault((group, name), Counts())

    def items(self) -> list[tuple[tuple[str, str], Counts]]:
        with self._lock:
            return list(self._counts.items())

"""A publisher, or its ledger alone, with a broker made by hand: channels note what is published on them."""

import heapq
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Any

from rabbitkeeper.client.amqp.frames import Template
from rabbitkeeper.client.publish.entry import Entry, Outcome, Settled
from rabbitkeeper.client.publish.lane import Lane
from rabbitkeeper.client.publish.ledger import Ledger
from rabbitkeeper.client.publish.publisher import Publisher


class Channel:
    def __init__(self) -> None:
        self.is_open = True
        self.room = 10_000
        self.sent: list[str] = []

    def publish(self, messages: Sequence[Any]) -> None:
        self.sent += [message.message_id for message in messages]

    def close(self) -> None:
        self.is_open = False


class Scene:
    """A clock, timers, channels on request, and a note of every outcome."""

    def __init__(self) -> None:
        self.now = 0.0
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self.outcomes: dict[str, Outcome] = {}
        self.details: dict[str, str] = {}
        self.cancelled: set[str] = set()
        self.renewals = 0
        self.channels: list[Channel] = []  # those that were asked for
        self.publisher: Publisher[Entry] = Publisher(lambda: self.now, self.call_later, self.renew)
        self.publisher.sink = self
        self.channel = Channel()

    def call_later(self, delay: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (self.now + delay, next(self._numbers), call))

    def renew(self) -> None:
        self.renewals += 1
        self.call_later(0.0, self.bring)

    def bring(self) -> None:
        self.channel = Channel()
        self.channels.append(self.channel)
        self.publisher.opened(self.channel)

    def attach(self) -> None:
        self.channel = Channel()
        self.publisher.attach(self.channel)

    def wait_for_channel(self) -> None:
        """Until another one was asked for, and is there."""
        before = self.channel
        while self.channel is before:
            self.wait(0.01)

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while self._timers and self._timers[0][0] <= end:
            self.now, _, call = heapq.heappop(self._timers)
            call()
        self.now = end

    # what the publisher asks and tells

    def begin(self, entries: Sequence[Entry]) -> list[Entry]:
        return [entry for entry in entries if entry.attempts or entry.message_id not in self.cancelled]

    def confirm(self, entries: Sequence[Entry]) -> None:
        self.settle(Settled(entry, Outcome.CONFIRMED) for entry in entries)

    def settle(self, settled: Iterable[Settled[Entry]]) -> None:
        for one in settled:
            name = one.entry.message_id
            assert name not in self.outcomes, "a second outcome"
            self.outcomes[name], self.details[name] = one.outcome, one.detail

    # what users and the broker do

    def add(self, names: str, key: str = "k", exchange: str = "e", deadline: float = 30.0) -> None:
        template = Template(exchange, key, mandatory=True, flags=0, before=b"", after=b"")
        entries = [Entry(name, exchange, key, 1, self.now + deadline) for name in names]
        for one in entries:
            one.template = template
        self.publisher.add(entries)
        self.publisher.pump()

    def ack(self, tag: int, *, multiple: bool = False, channel: Channel | None = None) -> None:
        self.publisher.answered(channel or self.channel, [(tag, multiple, True)])

    def nack(self, tag: int, *, multiple: bool = False, channel: Channel | None = None) -> None:
        self.publisher.answered(channel or self.channel, [(tag, multiple, False)])

    def come_back(self, name: str) -> None:
        self.publisher.returned(self.channel, name, "e", "k", "312 NO_ROUTE")

    def close_channel(self, why: str) -> None:
        self.channel.is_open = False
        self.publisher.channel_lost(self.channel, why, final=True)

    @property
    def sent(self) -> str:
        return "".join(self.channel.sent)


def entry(name: str = "m", deadline: float = 10.0, *, exchange: str = "e", key: str = "k") -> Entry:
    return Entry(name, exchange, key, 1, deadline)


def lane_of(ledger: Ledger[Entry]) -> Lane[Entry]:
    """Another one, which is the main one."""
    lane: Lane[Entry] = Lane(Channel())
    ledger.use(lane)
    return lane


def with_lane(*entries: Entry) -> tuple[Ledger[Entry], Lane[Entry]]:
    """A ledger that has been given ``entries``, and its lane."""
    ledger: Ledger[Entry] = Ledger()
    ledger.add(entries)
    return ledger, lane_of(ledger)

"""The publisher against a broker made by hand: who is sent when, and which message an answer ends."""

import heapq
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Any

import pytest

from rabbitkeeper.client.publish.ledger import Entry, Outcome, Settled
from rabbitkeeper.client.publish.publisher import (
    CALM_PATIENCE,
    NACK_PATIENCE,
    NACK_RETRY,
    ROOM_POLL,
    Publisher,
)


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
        self.publisher: Publisher[Entry] = Publisher(lambda: self.now, self.call_later, self.renew)
        self.publisher.sink = self
        self.channel = Channel()

    def call_later(self, delay: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (self.now + delay, next(self._numbers), call))

    def renew(self) -> None:
        self.renewals += 1
        self.attach()

    def attach(self) -> None:
        self.channel = Channel()
        self.publisher.attach(self.channel)

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
        self.publisher.add([Entry(name, exchange, key, 1, self.now + deadline) for name in names])
        self.publisher.pump()

    def ack(self, tag: int, *, multiple: bool = False) -> None:
        self.publisher.answered(self.channel, [(tag, multiple, True)])

    def nack(self, tag: int, *, multiple: bool = False) -> None:
        self.publisher.answered(self.channel, [(tag, multiple, False)])

    def come_back(self, name: str) -> None:
        self.publisher.returned(self.channel, name, "e", "k", "312 NO_ROUTE")

    def close_channel(self, why: str) -> None:
        self.channel.is_open = False
        self.publisher.channel_lost(self.channel, why, final=True)

    @property
    def sent(self) -> str:
        return "".join(self.channel.sent)


@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    scene.attach()
    return scene


def test_a_channel_starts_with_one_message_and_goes_on_with_all(scene: Scene) -> None:
    scene.add("abcd")
    assert scene.sent == "a"
    scene.ack(1)
    assert scene.sent == "abcd"
    scene.ack(4, multiple=True)
    assert set(scene.outcomes.values()) == {Outcome.CONFIRMED}


def test_a_returned_message_is_unroutable_and_its_neighbours_are_not(scene: Scene) -> None:
    scene.add("abcd")
    scene.ack(1)
    scene.come_back("c")
    scene.ack(4, multiple=True)
    assert {name for name, outcome in scene.outcomes.items() if outcome is Outcome.RETURNED} == {"c"}
    assert "NO_ROUTE" in scene.details["c"]


def test_what_comes_back_while_the_topology_is_declared_again_is_sent_again(scene: Scene) -> None:
    scene.publisher.restoring(active=True)
    scene.add("ab")
    scene.come_back("a")
    scene.ack(1)
    assert scene.sent == "a"
    scene.publisher.restoring(active=False)
    assert scene.sent == "aab"
    scene.ack(3, multiple=True)
    assert scene.outcomes == {"a": Outcome.CONFIRMED, "b": Outcome.CONFIRMED}


def test_while_the_broker_blocks_nothing_is_sent_and_what_waits_ends_unsent(scene: Scene) -> None:
    scene.publisher.blocked = "low on disk"
    scene.add("a", deadline=5.0)
    scene.wait(5.0)
    scene.publisher.expire()
    assert (scene.sent, scene.outcomes) == ("", {"a": Outcome.UNSENT})
    scene.add("b")
    scene.publisher.blocked = None
    scene.publisher.pump()
    assert scene.sent == "b"


def test_what_was_sent_before_the_block_ends_unknown(scene: Scene) -> None:
    scene.add("a", deadline=5.0)
    scene.publisher.blocked = "low on disk"
    scene.wait(5.0)
    scene.publisher.expire()
    assert scene.outcomes == {"a": Outcome.UNKNOWN}


def test_a_socket_that_takes_less_than_it_is_given_is_waited_for(scene: Scene) -> None:
    scene.add("a")
    scene.ack(1)
    scene.channel.room = 0
    scene.add("bcd")
    scene.wait(10 * ROOM_POLL)
    assert scene.sent == "a"
    scene.channel.room = 2
    scene.wait(ROOM_POLL)
    assert scene.sent[:3] == "abc"


def test_after_a_nack_a_new_channel_is_tried_until_the_queue_is_well(scene: Scene) -> None:
    scene.publisher.trouble()
    scene.add("ab")
    for _ in range(20):
        scene.nack(1)
        assert not scene.channel.is_open
        scene.wait(NACK_RETRY)
        assert scene.sent == "a"
    scene.ack(1)
    scene.ack(2)
    assert scene.outcomes == {"a": Outcome.CONFIRMED, "b": Outcome.CONFIRMED}
    assert scene.renewals == 20


@pytest.mark.parametrize(("trouble", "patience"), [(True, NACK_PATIENCE), (False, CALM_PATIENCE)])
def test_a_queue_that_goes_on_refusing_is_believed(scene: Scene, trouble: bool, patience: float) -> None:
    if trouble:
        scene.publisher.trouble()
    else:
        scene.wait(NACK_PATIENCE)
    started = scene.now
    scene.add("a")
    while not scene.outcomes:
        scene.nack(1)
        scene.wait(NACK_RETRY)
    assert scene.outcomes == {"a": Outcome.NACKED}
    assert scene.now - started == pytest.approx(min(patience, NACK_PATIENCE), abs=2 * NACK_RETRY)


def test_a_full_queue_ends_its_messages_at_once_then_and_holds_nobody_up(scene: Scene) -> None:
    scene.wait(NACK_PATIENCE)
    scene.add("a", key="full")
    while not scene.outcomes:
        scene.nack(1)
        scene.wait(NACK_RETRY)
    scene.add("b", key="well")
    scene.ack(len(scene.sent))
    renewals = scene.renewals
    scene.add("cdef", key="full")
    scene.add("gh", key="well")
    tags = {name: tag for tag, name in enumerate(scene.sent, 1)}
    for name in "cdef":
        scene.nack(tags[name])
    assert [scene.outcomes.get(name) for name in "cdef"] == [Outcome.NACKED] * 4
    assert scene.renewals == renewals, "the channel of the others was given up"
    scene.ack(tags["h"], multiple=True)
    assert scene.outcomes["g"] is scene.outcomes["h"] is Outcome.CONFIRMED


def test_a_queue_that_takes_messages_again_has_all_patience_again(scene: Scene) -> None:
    scene.wait(NACK_PATIENCE)
    scene.add("a")
    while not scene.outcomes:
        scene.nack(1)
        scene.wait(NACK_RETRY)
    scene.add("b")
    scene.ack(1)
    scene.add("c")
    scene.nack(2)
    assert "c" not in scene.outcomes


def test_a_channel_closed_over_one_of_many_is_searched_for_it(scene: Scene) -> None:
    scene.add("abcdef")
    scene.ack(1)
    assert scene.sent == "abcdef"
    scene.close_channel("406 PRECONDITION_FAILED - message size is larger than configured")
    scene.wait(NACK_RETRY)
    for expected in ("b", "bc", "bcd"):
        assert scene.sent == expected, "not one at a time"
        if expected != "bcd":
            scene.ack(len(expected))
    scene.close_channel("406 PRECONDITION_FAILED - message size is larger than configured")
    scene.wait(NACK_RETRY)
    assert scene.outcomes["d"] is Outcome.NACKED
    scene.ack(1)
    scene.ack(2)
    del scene.outcomes["d"]
    assert set(scene.outcomes.values()) == {Outcome.CONFIRMED}
    assert set(scene.outcomes) == set("abcef")


def test_an_exchange_that_does_not_exist_ends_its_messages_and_no_others(scene: Scene) -> None:
    scene.add("a")
    scene.ack(1)
    scene.add("bcd", exchange="gone")
    scene.add("ef")
    scene.close_channel("404 NOT_FOUND - no exchange 'gone' in vhost '/'")
    assert [scene.outcomes.get(name) for name in "bcd"] == [Outcome.NACKED] * 3
    scene.wait(NACK_RETRY)
    scene.ack(1)
    scene.ack(2)
    assert scene.outcomes["e"] is scene.outcomes["f"] is Outcome.CONFIRMED


def test_a_cancelled_message_is_not_sent(scene: Scene) -> None:
    scene.add("a")
    scene.cancelled.add("c")
    scene.add("bcd")
    scene.ack(1)
    assert scene.sent == "abd"


def test_an_answer_of_an_earlier_channel_means_nothing(scene: Scene) -> None:
    scene.add("a")
    old = scene.channel
    scene.attach()
    scene.publisher.answered(old, [(1, True, True)])
    scene.publisher.returned(old, "a", "e", "k", "312 NO_ROUTE")
    scene.publisher.channel_lost(old, "404", final=True)
    assert scene.outcomes == {}
    scene.ack(1)
    assert scene.outcomes == {"a": Outcome.CONFIRMED}


def test_the_end_settles_what_is_open(scene: Scene) -> None:
    scene.add("ab")
    scene.publisher.close()
    assert scene.outcomes == {"a": Outcome.CLOSED, "b": Outcome.CLOSED}


def test_answers_that_come_together_count_up_to_the_one_that_costs_the_channel(scene: Scene) -> None:
    scene.add("abcd")
    scene.ack(1)
    channel = scene.channel
    scene.publisher.answered(channel, [(2, False, True), (3, False, False), (4, False, True)])
    assert scene.outcomes == {"a": Outcome.CONFIRMED, "b": Outcome.CONFIRMED}
    scene.publisher.answered(channel, [(3, True, True)])
    assert "c" not in scene.outcomes, "of a channel that was given up"

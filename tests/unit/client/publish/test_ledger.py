"""The ledger under every sequence of events: one outcome an entry, order kept, nothing sent after its end."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.effort import examples

from rabbitkeeper.client.publish.ledger import Entry, Ledger, Outcome, Settled


def entry(name: str = "m", deadline: float = 10.0, *, exchange: str = "e", key: str = "k") -> Entry:
    return Entry(name, exchange, key, 1, deadline)


class LedgerMachine(RuleBasedStateMachine):
    """A publisher, a broker and a clock doing anything in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger: Ledger[Entry] = Ledger()
        self.now = 0.0
        self.added: list[Entry] = []
        self.outcomes: dict[int, Outcome] = {}
        self.sent_on_channel: list[int] = []  # sequences, since the channel began
        self.tags: dict[int, Entry] = {}
        self.answered_unknown: set[int] = set()

    def settle(self, settled: list[Settled[Entry]]) -> None:
        for one in settled:
            sequence = one.entry.sequence
            assert sequence not in self.outcomes, "a second outcome"
            self.outcomes[sequence] = one.outcome

    @rule(patience=st.floats(0.1, 5.0), name=st.sampled_from("abc"))
    def add(self, patience: float, name: str) -> None:
        new = entry(name, self.now + patience)
        self.ledger.add([new])
        self.added.append(new)

    @rule(limit=st.integers(1, 5))
    def send(self, limit: int) -> None:
        for one in self.ledger.take(limit):
            assert one.sequence not in self.outcomes, "sent after its outcome"
            assert not self.sent_on_channel or one.sequence > self.sent_on_channel[-1], "out of order"
            assert one.tag == len(self.sent_on_channel) + 1, "the broker counts tags from 1"
            self.sent_on_channel.append(one.sequence)
            self.tags[one.tag] = one

    @precondition(lambda self: self.tags)
    @rule(data=st.data(), multiple=st.booleans())
    def ack(self, data: st.DataObject, multiple: bool) -> None:
        tag = data.draw(st.sampled_from(sorted(self.tags)))
        named = [known for known in self.tags if known == tag or (multiple and known < tag)]
        open_before = {self.tags[known].sequence for known in named} - set(self.outcomes)
        confirmed = self.ledger.confirmed(tag, multiple=multiple)
        assert {one.sequence for one in confirmed} == open_before
        self.settle(
            [
                Settled(one, Outcome.CONFIRMED if one.returned is None else Outcome.RETURNED)
                for one in confirmed
            ]
        )
        for known in named:
            del self.tags[known]

    @precondition(lambda self: self.tags)
    @rule(data=st.data(), multiple=st.booleans(), refuse=st.booleans())
    def nack(self, data: st.DataObject, multiple: bool, refuse: bool) -> None:
        tag = data.draw(st.sampled_from(sorted(self.tags)))
        named = self.ledger.nacked(tag, multiple=multiple)
        assert all(one.sequence not in self.outcomes for one in named)
        if refuse:
            settled = self.ledger.refuse(named, "no")
            assert [one.entry for one in settled] == named
            self.settle(settled)

    @rule(name=st.sampled_from("abcd"))
    def come_back(self, name: str) -> None:
        found = self.ledger.returned(name, "e", "k", "312 NO_ROUTE")
        if found is not None:
            assert found.message_id == name
            assert found.sequence not in self.outcomes

    @precondition(lambda self: self.added)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.added))
        if one.attempts == 0 and one.sequence not in self.outcomes:  # else its future would say no
            self.ledger.withdraw(one)
            self.outcomes[one.sequence] = Outcome.UNSENT

    @rule(exchange=st.sampled_from(["e", "other"]))
    def miss_exchange(self, exchange: str) -> None:
        settled = self.ledger.refuse_exchange(exchange, "404")
        assert not any(one.exchange == exchange for one in self.ledger)
        self.settle(settled)

    @rule()
    def lose_channel(self) -> None:
        open_before = [one.sequence for one in self.ledger]
        self.ledger.rewind()
        assert [one.sequence for one in self.ledger] == sorted(open_before)
        assert self.ledger.in_flight == 0
        self.sent_on_channel.clear()
        self.tags.clear()

    @rule(seconds=st.floats(0.0, 3.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        open_before = list(self.ledger)
        settled = self.ledger.expire(self.now)
        assert {one.entry.sequence for one in settled} == {
            known.sequence for known in open_before if known.deadline <= self.now
        }
        for one in settled:
            assert (one.outcome is Outcome.UNSENT) == (one.entry.attempts == 0)
        self.settle(settled)

    @invariant()
    def everything_is_open_or_settled(self) -> None:
        open_now = [one.sequence for one in self.ledger]
        assert len(open_now) == len(self.ledger)
        assert sorted([*open_now, *self.outcomes]) == [one.sequence for one in self.added]

    @invariant()
    def a_deadline_is_never_missed(self) -> None:
        assert self.ledger.earliest_deadline <= min(
            (one.deadline for one in self.ledger), default=float("inf")
        )

    def teardown(self) -> None:
        self.settle(self.ledger.close())
        assert sorted(self.outcomes) == [one.sequence for one in self.added]
        assert len(self.ledger) == 0


LedgerMachine.TestCase.settings = settings(max_examples=examples(150), stateful_step_count=40, deadline=None)
TestLedger = LedgerMachine.TestCase


def test_a_message_refused_on_every_channel_ends_nacked_not_unknown() -> None:
    ledger: Ledger[Entry] = Ledger()
    ledger.add([entry(deadline=5.0)])
    for _ in range(3):
        (sent,) = ledger.take(10)
        assert ledger.nacked(sent.tag, multiple=False) == [sent]
        ledger.rewind()
    assert [one.outcome for one in ledger.expire(5.0)] == [Outcome.NACKED]


def test_a_message_lost_once_with_its_channel_ends_unknown_even_if_refused_later() -> None:
    ledger: Ledger[Entry] = Ledger()
    ledger.add([entry(deadline=5.0)])
    ledger.take(10)
    ledger.rewind()
    (sent,) = ledger.take(10)
    ledger.nacked(sent.tag, multiple=False)
    ledger.rewind()
    assert [one.outcome for one in ledger.expire(5.0)] == [Outcome.UNKNOWN]


def test_a_returned_message_is_unroutable_only_when_its_ack_follows_on_the_same_channel() -> None:
    ledger: Ledger[Entry] = Ledger()
    ledger.add([entry("x")])
    ledger.take(1)
    assert ledger.returned("x", "e", "k", "312 NO_ROUTE") is not None
    ledger.rewind()
    ledger.take(1)
    assert [one.returned for one in ledger.confirmed(1, multiple=False)] == [None]


def test_equal_messages_come_back_in_the_order_they_were_sent() -> None:
    ledger: Ledger[Entry] = Ledger()
    for _ in range(3):
        ledger.add([entry("same")])
    ledger.take(3)
    first = ledger.returned("same", "e", "k", "312")
    second = ledger.returned("same", "e", "k", "312")
    assert first is not None
    assert second is not None
    assert (first.tag, second.tag) == (1, 2)
    assert ledger.returned("same", "other", "k", "312") is None


def test_a_cancelled_entry_is_dropped_before_it_is_sent_and_takes_no_tag() -> None:
    ledger: Ledger[Entry] = Ledger()
    for name in "abc":
        ledger.add([entry(name)])
    taken = ledger.take(10, start=lambda entries: [one for one in entries if one.message_id != "b"])
    assert [(one.message_id, one.tag) for one in taken] == [("a", 1), ("c", 2)]
    assert len(ledger) == 2


def test_no_more_is_taken_than_there_is_room_for_but_always_something() -> None:
    ledger: Ledger[Entry] = Ledger()
    ledger.add([entry(name) for name in "abcd"])  # a byte each
    assert [one.message_id for one in ledger.take(10, 2)] == ["a", "b"]
    assert [one.message_id for one in ledger.take(10, 0.5)] == ["c"]
    assert ledger.take(10, 0) == []


@given(st.lists(st.integers(0, 9), unique=True, max_size=9))
def test_what_is_put_back_is_sent_in_its_place(back: list[int]) -> None:
    ledger: Ledger[Entry] = Ledger()
    for number in range(10):
        ledger.add([entry(str(number))])
    ledger.take(9)
    put = []
    for number in back:
        if number < 9:
            ledger.returned(str(number), "e", "k", "312")
            (one,) = ledger.confirmed(number + 1, multiple=False)
            put.append(one)
    for one in put:
        ledger.put_back(one)
    again = [one.sequence for one in ledger.take(20)]
    assert again == sorted(again)
    assert len(again) == len(put) + 1


def steps(call: Callable[[], object]) -> int:
    """Lines of the ledger that ``call`` goes through: what it costs, without a clock."""
    counted = 0

    def count(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal counted
        if not frame.f_code.co_filename.endswith("ledger.py"):
            return None
        counted += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        call()
    finally:
        sys.settrace(before)
    return counted


def after_single_acks(count: int, *, first_waits: bool) -> Ledger[Entry]:
    """A ledger with three in flight after ``count`` single acks; perhaps the very first is one of them."""
    ledger: Ledger[Entry] = Ledger()
    ledger.add([entry(str(number)) for number in range(1, count + 4)])
    ledger.take(count + 3)
    for tag in range(1 + first_waits, count + 1 + first_waits):
        ledger.confirmed(tag, multiple=False)
    assert ledger.in_flight == 3
    return ledger


@pytest.mark.parametrize("first_waits", [False, True])
@pytest.mark.parametrize(
    "call",
    [
        lambda ledger: ledger.confirmed(0, multiple=True),
        lambda ledger: ledger.confirmed(2_002, multiple=True),
        lambda ledger: ledger.nacked(0, multiple=True),
        lambda ledger: ledger.returned("2003", "e", "k", "312"),
        lambda ledger: ledger.returned("none", "e", "k", "312"),
        lambda ledger: ledger.expire(99.0),
        lambda ledger: ledger.rewind(),
    ],
    ids=["all", "multiple", "nack", "returned", "never sent", "expire", "rewind"],
)
def test_an_answer_costs_what_is_in_flight_however_many_were_answered(
    call: Callable[[Ledger[Entry]], object], first_waits: bool
) -> None:
    few, many = (after_single_acks(count, first_waits=first_waits) for count in (10, 2_000))
    assert steps(lambda: call(many)) <= 60
    assert steps(lambda: call(few)) <= 60


def test_messages_that_come_back_in_order_cost_a_few_steps_each() -> None:
    ledger: Ledger[Entry] = Ledger()
    ledger.add([entry(str(number)) for number in range(1_000)])
    ledger.take(1_000)

    def come_back() -> None:
        for number in range(1_000):
            assert ledger.returned(str(number), "e", "k", "312") is not None

    assert steps(come_back) <= 20 * 1_000

"""The ledger under every sequence of events: one outcome an entry, order kept, nothing sent after its end."""

import sys
from collections.abc import Callable, Iterable, Sequence
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.client.publishing import Channel, entry, lane_of, with_lane
from support.effort import examples

from rabbitkeeper.client.publish.entry import Entry, Outcome, Settled
from rabbitkeeper.client.publish.lane import REMEMBERED, Lane
from rabbitkeeper.client.publish.ledger import Ledger


class LedgerMachine(RuleBasedStateMachine):
    """A publisher, a broker and a clock doing anything in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger: Ledger[Entry] = Ledger()
        self.lane = lane_of(self.ledger)
        self.now = 0.0
        self.added: list[Entry] = []
        self.outcomes: dict[int, Outcome] = {}
        self.sent: dict[
            tuple[str, str], int
        ] = {}  # sequences of the last of each place, since the channel began
        self.sent_on_channel = 0
        self.tags: dict[int, Entry] = {}
        self.refused: set[int] = (
            set()
        )  # sequences of what was nacked, and may be sent later than it was added

    def settle(self, settled: Iterable[Settled[Entry]]) -> None:
        for one in settled:
            sequence = one.entry.sequence
            assert sequence not in self.outcomes, "a second outcome"
            self.outcomes[sequence] = one.outcome
            if one.outcome in {Outcome.NACKED, Outcome.RETURNED, Outcome.UNSENT}:
                assert not one.entry.unanswered, "it may be there"

    @rule(patience=st.floats(0.1, 5.0), name=st.sampled_from("abc"), key=st.sampled_from("kl"))
    def add(self, patience: float, name: str, key: str) -> None:
        new = entry(name, self.now + patience, key=key)
        self.ledger.add([new])
        self.added.append(new)

    def note_sent(self, entries: Sequence[Entry]) -> None:
        for one in entries:
            assert one.sequence not in self.outcomes, "sent after its outcome"
            self.sent_on_channel += 1
            assert one.tag == self.sent_on_channel, "the broker counts tags from 1"
            if one.sequence not in self.refused:
                assert one.sequence > self.sent.get(one.place, 0), "out of order"
                self.sent[one.place] = one.sequence
            self.tags[one.tag] = one

    @rule(limit=st.integers(1, 5))
    def send(self, limit: int) -> None:
        taken = self.ledger.take(self.lane, limit)
        assert not any(one.place in self.ledger.held for one in taken), "sent though its place is held"
        self.note_sent(taken)

    @rule()
    def hold_pending(self) -> None:
        self.ledger.hold_pending(self.now)

    @precondition(lambda self: self.ledger.held)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        self.ledger.release(data.draw(st.sampled_from(sorted(self.ledger.held))))

    @precondition(lambda self: self.ledger.held)
    @rule(data=st.data())
    def try_one(self, data: st.DataObject) -> None:
        held = self.ledger.held[data.draw(st.sampled_from(sorted(self.ledger.held)))]
        self.note_sent(self.ledger.take_trial(held, self.lane, self.now))

    @precondition(lambda self: self.tags)
    @rule(data=st.data(), multiple=st.booleans())
    def ack(self, data: st.DataObject, multiple: bool) -> None:
        tag = data.draw(st.sampled_from(sorted(self.tags)))
        named = [known for known in self.tags if known == tag or (multiple and known < tag)]
        open_before = {self.tags[known].sequence for known in named} - set(self.outcomes)
        answered = self.lane.confirmed(tag, multiple=multiple)
        assert {one.sequence for one in answered} == open_before
        confirmed, back = self.lane.sort_out(answered)
        self.settle(Settled(one, Outcome.CONFIRMED) for one in confirmed)
        self.settle(Settled(one, one.if_refused(Outcome.RETURNED)) for one in back)
        for known in named:
            del self.tags[known]

    @precondition(lambda self: self.tags)
    @rule(data=st.data(), multiple=st.booleans(), refuse=st.booleans())
    def nack(self, data: st.DataObject, multiple: bool, refuse: bool) -> None:
        tag = data.draw(st.sampled_from(sorted(self.tags)))
        named = self.lane.nacked(tag, multiple=multiple)
        assert all(one.sequence not in self.outcomes for one in named)
        for known in [known for known in self.tags if known == tag or (multiple and known < tag)]:
            del self.tags[known]
        if refuse:
            self.settle(Settled(one, one.if_refused(Outcome.NACKED)) for one in named)
            return
        for one in named:
            self.refused.add(one.sequence)
            self.ledger.wait_again(one, self.ledger.hold(one.place))

    @rule(name=st.sampled_from("abcd"))
    def come_back(self, name: str) -> None:
        found = self.lane.returned(name, "e", "k", "312 NO_ROUTE")
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
        settled = self.ledger.refuse_exchange(exchange, self.lane, "404")
        assert not any(one.exchange == exchange for one in self.ledger)
        self.settle(settled)

    def begin_channel(self) -> None:
        assert self.ledger.in_flight == 0
        self.lane = lane_of(self.ledger)
        self.sent.clear()
        self.sent_on_channel = 0
        self.tags.clear()

    @rule()
    def lose_connection(self) -> None:
        open_before = [one.sequence for one in self.ledger]
        self.ledger.rewind()
        assert [one.sequence for one in self.ledger.pending] == open_before
        self.begin_channel()
        self.refused.clear()

    @rule(why=st.sampled_from([None, "404", "406"]))
    def lose_channel(self, why: str | None) -> None:
        open_before = [one.sequence for one in self.ledger]
        self.ledger.end_lane(self.lane, self.now, why)
        assert [one.sequence for one in self.ledger] == open_before
        self.begin_channel()

    @rule(seconds=st.floats(0.0, 3.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        open_before = list(self.ledger)
        settled = self.ledger.expire(self.now)
        assert [one.entry.sequence for one in settled] == [
            known.sequence for known in open_before if known.deadline <= self.now
        ]
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

    @invariant()
    def what_came_back_is_counted(self) -> None:
        assert self.lane.came_back == sum(one.returned is not None for one in self.lane)

    def teardown(self) -> None:
        self.settle(self.ledger.close())
        assert sorted(self.outcomes) == [one.sequence for one in self.added]
        assert len(self.ledger) == 0


LedgerMachine.TestCase.settings = settings(max_examples=examples(150), stateful_step_count=40, deadline=None)
TestLedger = LedgerMachine.TestCase


def test_a_message_refused_on_every_channel_ends_nacked_not_unknown() -> None:
    ledger, lane = with_lane(entry(deadline=5.0))
    for _ in range(3):
        (sent,) = ledger.take(lane, 10)
        assert lane.nacked(sent.tag, multiple=False) == [sent]
        ledger.wait_again(sent, ledger.hold(sent.place))
        ledger.rewind()
        lane = lane_of(ledger)
    assert [one.outcome for one in ledger.expire(5.0)] == [Outcome.NACKED]


def test_a_message_lost_once_with_its_channel_ends_unknown_even_if_refused_later() -> None:
    ledger, lane = with_lane(entry(deadline=5.0))
    ledger.take(lane, 10)
    ledger.rewind()
    lane = lane_of(ledger)
    (sent,) = ledger.take(lane, 10)
    lane.nacked(sent.tag, multiple=False)
    ledger.wait_again(sent, ledger.hold(sent.place))
    ledger.rewind()
    assert [one.outcome for one in ledger.expire(5.0)] == [Outcome.UNKNOWN]


@pytest.mark.parametrize(
    ("first", "then", "outcome"),
    [
        ("404 no exchange 'e'", "404 no exchange 'e'", Outcome.NACKED),
        ("404 no exchange 'e'", "403 refused", Outcome.UNKNOWN),
        ("404 no exchange 'e'", None, Outcome.UNKNOWN),
        (None, "404 no exchange 'e'", Outcome.UNKNOWN),
    ],
)
def test_a_channel_that_is_closed_twice_with_the_same_words_was_closed_over_this_message(
    first: str | None, then: str | None, outcome: Outcome
) -> None:
    ledger, lane = with_lane(entry())
    (sent,) = ledger.take(lane, 1)
    ledger.end_lane(lane, 0.0, first)
    ledger.take(lane_of(ledger), 1)
    assert sent.if_refused(Outcome.NACKED, then) is outcome


def test_what_is_for_a_missing_exchange_may_be_there_from_an_earlier_connection() -> None:
    ledger, lane = with_lane(entry("old"), entry("new"))
    ledger.take(lane, 1)
    ledger.rewind()
    lane = lane_of(ledger)
    ledger.take(lane, 2)
    assert [one.outcome for one in ledger.refuse_exchange("e", lane, "404")] == [
        Outcome.UNKNOWN,
        Outcome.NACKED,
    ]


def test_a_returned_message_is_unroutable_only_when_its_ack_follows_on_the_same_channel() -> None:
    ledger, lane = with_lane(entry("x"))
    ledger.take(lane, 1)
    assert lane.returned("x", "e", "k", "312 NO_ROUTE") is not None
    ledger.rewind()
    lane = lane_of(ledger)
    ledger.take(lane, 1)
    assert [one.returned for one in lane.confirmed(1, multiple=False)] == [None]


def test_equal_messages_come_back_in_the_order_they_were_sent() -> None:
    ledger, lane = with_lane(*(entry("same") for _ in range(3)))
    ledger.take(lane, 3)
    first = lane.returned("same", "e", "k", "312")
    second = lane.returned("same", "e", "k", "312")
    assert first is not None
    assert second is not None
    assert (first.tag, second.tag) == (1, 2)
    assert lane.returned("same", "other", "k", "312") is None


def test_a_cancelled_entry_is_dropped_before_it_is_sent_and_takes_no_tag() -> None:
    ledger, lane = with_lane(*(entry(name) for name in "abc"))
    taken = ledger.take(lane, 10, start=lambda entries: [one for one in entries if one.message_id != "b"])
    assert [(one.message_id, one.tag) for one in taken] == [("a", 1), ("c", 2)]
    assert len(ledger) == 2


def test_a_cancelled_entry_is_no_trial() -> None:
    ledger, lane = with_lane(*(entry(name) for name in "abc"))
    ledger.hold_pending(0.0)
    (held,) = ledger.held.values()
    taken = ledger.take_trial(
        held, lane, 0.0, lambda entries: [one for one in entries if one.message_id > "b"]
    )
    assert [one.message_id for one in taken] == ["c"]
    assert not held.waiting


def test_no_more_is_taken_than_there_is_room_for_but_always_something() -> None:
    ledger, lane = with_lane(*(entry(name) for name in "abcd"))  # a byte each
    assert [one.message_id for one in ledger.take(lane, 10, 2)] == ["a", "b"]
    assert [one.message_id for one in ledger.take(lane, 10, 0.5)] == ["c"]
    assert list(ledger.take(lane, 10, 0)) == []


@given(st.lists(st.integers(0, 8), unique=True, max_size=9))
def test_what_waits_again_is_sent_in_its_place(back: list[int]) -> None:
    ledger, lane = with_lane(*(entry(str(number)) for number in range(10)))
    ledger.take(lane, 9)
    for number in back:
        (one,) = lane.nacked(number + 1, multiple=False)
        ledger.wait_again(one, ledger.hold(one.place))
    assert not back or list(ledger.take(lane, 20)) == []
    ledger.release(("e", "k"))
    again = [one.sequence for one in ledger.take(lane, 20)]
    assert again == sorted(again)
    assert len(again) == len(back) + 1


def test_what_waits_for_a_place_keeps_nobody_else() -> None:
    ledger, lane = with_lane(*(entry(name, key=name) for name in "abab"))
    ledger.hold(("e", "a"))
    assert [one.message_id for one in ledger.take(lane, 10)] == ["b", "b"]
    assert len(ledger) == 4
    ledger.add([entry("a", key="a"), entry("c", key="c")])
    ledger.release(("e", "a"))
    assert [one.message_id for one in ledger.take(lane, 10)] == ["a", "a", "a", "c"]


def test_a_channel_on_which_too_many_places_refused_is_of_no_use_to_any() -> None:
    lane: Lane[Entry] = Lane(Channel())
    for number in range(REMEMBERED):
        assert not lane.is_tainted(("", "other"))
        lane.taint(("", str(number)))
    assert lane.is_tainted(("", "other"))


def steps(call: Callable[[], object]) -> int:
    """Lines of the ledger that ``call`` goes through: what it costs, without a clock."""
    counted = 0

    def count(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal counted
        if not frame.f_code.co_filename.endswith(("ledger.py", "lane.py")):
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


def after_single_acks(count: int, *, first_waits: bool) -> tuple[Ledger[Entry], Lane[Entry]]:
    """A ledger with three in flight after ``count`` single acks; perhaps the very first is one of them."""
    ledger, lane = with_lane(*(entry(str(number)) for number in range(1, count + 4)))
    ledger.take(lane, count + 3)
    for tag in range(1 + first_waits, count + 1 + first_waits):
        lane.confirmed(tag, multiple=False)
    assert ledger.in_flight == 3
    return ledger, lane


@pytest.mark.parametrize("first_waits", [False, True])
@pytest.mark.parametrize(
    "call",
    [
        lambda _, lane: lane.confirmed(0, multiple=True),
        lambda _, lane: lane.confirmed(2_002, multiple=True),
        lambda _, lane: lane.nacked(0, multiple=True),
        lambda _, lane: lane.returned("2003", "e", "k", "312"),
        lambda _, lane: lane.returned("none", "e", "k", "312"),
        lambda ledger, _: ledger.expire(99.0),
        lambda ledger, _: ledger.rewind(),
    ],
    ids=["all", "multiple", "nack", "returned", "never sent", "expire", "rewind"],
)
def test_an_answer_costs_what_is_in_flight_however_many_were_answered(
    call: Callable[[Ledger[Entry], Lane[Entry]], object], first_waits: bool
) -> None:
    few, many = (after_single_acks(count, first_waits=first_waits) for count in (10, 2_000))
    assert steps(lambda: call(*many)) <= 100
    assert steps(lambda: call(*few)) <= 100


def test_messages_that_come_back_in_order_cost_a_few_steps_each() -> None:
    ledger, lane = with_lane(*(entry(str(number)) for number in range(1_000)))
    ledger.take(lane, 1_000)

    def come_back() -> None:
        for number in range(1_000):
            assert lane.returned(str(number), "e", "k", "312") is not None

    assert steps(come_back) <= 20 * 1_000

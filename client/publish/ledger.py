"""The ledger: every message handed over for publishing, from then until its one outcome. Pure.

It holds what is not yet sent (``pending``, in the caller's order) and what was sent on the present channel
and not yet answered (``in flight``, by delivery tag). Confirms, returns, nacks, lost channels and deadlines
go in; outcomes and what to send next come out. It touches no socket and reads no clock: the time, monotonic
and in seconds, is an argument.

What holds, and is tested by properties:

* an entry has exactly one outcome, and nothing is sent after it;
* entries are sent in the order they were added, on every channel;
* at its deadline an entry that was never sent is *unsent*, one that the broker refused each time is
  *nacked*, and any other is *unknown*;
* what was sent once without an answer is never said not to be there, unless the broker would always refuse
  it.

Delivery tags count from 1 on each channel (AMQP 0-9-1, ``confirm.select``), and answers of an old one must
not be handed in: the caller drops them.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import takewhile
from typing import Generic, TypeVar

from rabbitkeeper.client.amqp.frames import Template


class Outcome(Enum):
    CONFIRMED = auto()
    RETURNED = auto()  # mandatory, and no queue took it
    NACKED = auto()
    UNKNOWN = auto()  # sent, deadline passed without an answer
    UNSENT = auto()  # never sent on any channel, deadline passed
    CLOSED = auto()  # still open when the ledger was closed


class Entry:
    """A message on its way; what else it is, the caller knows.

    What is sent of it (``template`` and ``body``) is not looked at here.

    A plain class with most of its state in the class: one is made for every message, and few are ever
    returned, refused or sent twice.

    Args:
        message_id: as it is sent.
        exchange: where to.
        routing_key: and with which key.
        size: bytes of the body.
        deadline: seconds, monotonic.
    """

    template: Template
    body: bytes

    sequence = 0  # given by the ledger: the order of handing over
    attempts = 0  # times it was sent
    tag = 0  # delivery tag on the present channel; 0 while pending
    returned: str | None = None  # why it came back on the present channel
    nacked = False  # on the present channel
    unanswered = 0  # times it was sent on a channel that ended before the answer
    lost = 0  # of those, times that the channel was not given up by the client itself, over a nack

    def __init__(self, message_id: str, exchange: str, routing_key: str, size: int, deadline: float) -> None:
        self.message_id = message_id
        self.exchange = exchange
        self.routing_key = routing_key
        self.size = size
        self.deadline = deadline

    def if_refused(self, outcome: Outcome) -> Outcome:
        """What it ends in when the broker does not take it, perhaps not again: it may be there if it was sent
        before over a channel that was lost without an answer."""
        return Outcome.UNKNOWN if self.lost else outcome


E = TypeVar("E", bound=Entry)


@dataclass(frozen=True, slots=True)
class Settled(Generic[E]):
    """An entry and how it ended."""

    entry: E
    outcome: Outcome
    detail: str = ""


@dataclass(slots=True)
class Ledger(Generic[E]):
    _pending: deque[E] = field(default_factory=deque)
    _in_flight: dict[int, E] = field(default_factory=dict)  # by tag, ascending
    _last_tag: int = 0
    _may_return: deque[int] = field(default_factory=deque)  # tags; where to look first for what comes back
    has_gaps: bool = False
    """An entry passed its deadline on the present channel: what comes may be about that one."""
    _last_sequence: int = 0
    _earliest: float = float("inf")  # no deadline is earlier; may be too early, never too late

    def __len__(self) -> int:
        """Entries without an outcome."""
        return len(self._pending) + len(self._in_flight)

    @property
    def pending(self) -> int:
        return len(self._pending)

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    @property
    def earliest_deadline(self) -> float:
        """When :meth:`expire` should be called at the latest; infinity when nothing is open."""
        return self._earliest

    def __iter__(self) -> Iterator[E]:
        """The open entries in their order."""
        yield from self._in_flight.values()
        yield from self._pending

    def add(self, entries: Iterable[E]) -> None:
        """Take messages over, behind all that came before them."""
        sequence, earliest = self._last_sequence, self._earliest
        for entry in entries:
            sequence += 1
            entry.sequence = sequence
            if entry.deadline < earliest:
                earliest = entry.deadline
            self._pending.append(entry)
        self._last_sequence, self._earliest = sequence, earliest

    def take(
        self,
        limit: int,
        size: float = float("inf"),
        start: Callable[[Sequence[E]], Sequence[E]] = lambda entries: entries,
    ) -> Sequence[E]:
        """The next entries to send on the present channel, in order, with their tags.

        The caller sends every one of them, in this order, before it calls anything else here.

        Args:
            limit: how many at the most.
            size: stop when their bodies have as many bytes.
            start: given what is about to be sent, returns it without what was cancelled before it was ever
                sent, which is dropped.
        """
        pending = self._pending
        taken: list[E] = []
        for _ in range(min(limit, len(pending))):
            if size <= 0:
                break
            entry = pending.popleft()
            taken.append(entry)
            size -= entry.size
        started = start(taken)
        tags = range(self._last_tag + 1, self._last_tag + 1 + len(started))
        for tag, entry in zip(tags, started, strict=True):
            entry.tag = tag
            entry.attempts += 1
        self._in_flight.update(zip(tags, started, strict=True))
        self._last_tag += len(started)
        return started

    @property
    def next_sequence(self) -> int | None:
        """Of the entry that would be taken next."""
        return self._pending[0].sequence if self._pending else None

    def withdraw(self, entry: E) -> None:
        """Drop an entry that was cancelled; one that is not pending stays."""
        if not entry.tag and entry in self._pending:
            self._pending.remove(entry)

    def confirmed(self, tag: int, *, multiple: bool) -> list[E]:
        """``basic.ack`` of the present channel: the entries that end with it.

        Each is confirmed, unless it had come back: those that have ``returned`` set.
        """
        if not multiple:
            entry = self._in_flight.pop(tag, None)
            return [] if entry is None else [entry]
        # What is in flight is looked at, not the tags below: there may have been millions of single acks.
        # 0 is "all"
        named = list(takewhile(tag.__ge__, self._in_flight) if tag else self._in_flight)
        return list(map(self._in_flight.pop, named))

    def nacked(self, tag: int, *, multiple: bool) -> list[E]:
        """``basic.nack`` of the present channel: the entries it names, which stay open.

        The caller decides: :meth:`rewind` publishes them again (on a new channel), :meth:`refuse` ends them.
        """
        named = [
            entry for known, entry in self._in_flight.items() if known == tag or (multiple and known < tag)
        ]
        for entry in named:
            entry.nacked = True
        return named

    def refuse(self, entries: Iterable[E], detail: str, *, always: bool = False) -> list[Settled[E]]:
        """End entries in flight as nacked, or as unknown, if one may be there from an earlier time.

        Args:
            detail: why.
            always: the broker refuses the message whenever it is sent, so it was never taken.
        """
        return [
            Settled(entry, Outcome.NACKED if always else entry.if_refused(Outcome.NACKED), detail)
            for entry in entries
            if self._in_flight.pop(entry.tag, None) is entry
        ]

    def refuse_exchange(self, exchange: str, detail: str) -> list[Settled[E]]:
        """End everything for ``exchange``, in flight or pending, as nacked."""
        refused = [entry for entry in self if entry.exchange == exchange]
        for entry in refused:
            self._in_flight.pop(entry.tag, None)
        self._pending = deque(entry for entry in self._pending if entry.exchange != exchange)
        return [Settled(entry, Outcome.NACKED, detail) for entry in refused]

    def returned(self, message_id: str | None, exchange: str, routing_key: str, why: str) -> E | None:
        """``basic.return`` of the present channel: no queue took the message. Its ``ack`` follows.

        The broker names a returned message by its content alone, so it is found by its id, exchange and
        routing key; among equals the first not yet returned, for a channel returns in order.
        """
        place = (message_id, exchange, routing_key)
        found = self._next_of(place)
        if found is None:  # it is behind the last one looked at, or came out of order
            self._may_return = deque(self._in_flight)
            found = self._next_of(place)
        if found is not None:
            found.returned = why
        return found

    def _next_of(self, place: tuple[str | None, str, str]) -> E | None:
        """The next that may be meant; those before it are not looked at again."""
        tags, in_flight = self._may_return, self._in_flight
        while tags:
            entry = in_flight.get(tags.popleft())
            if (
                entry is not None
                and entry.returned is None
                and (entry.message_id, entry.exchange, entry.routing_key) == place
            ):
                return entry
        return None

    def rewind(self, *, given_up: bool = False) -> int:
        """The channel is gone: all in flight is pending again, first and in order; tags start at 1.

        Args:
            given_up: by the client itself, over a nack: a place that refuses refuses the rest of it too.

        Returns:
            How many entries will be sent again.
        """
        again = list(self._in_flight.values())
        for entry in again:
            entry.unanswered += not entry.nacked
            entry.lost += not (entry.nacked or given_up)
            entry.tag, entry.returned, entry.nacked = 0, None, False
        self._pending.extendleft(reversed(again))
        self._in_flight.clear()
        self._last_tag = 0
        self._may_return.clear()
        self.has_gaps = False
        return len(again)

    def expire(self, now: float) -> list[Settled[E]]:
        """End what is past its deadline.

        Unsent, if it never was; nacked, if the broker refused it each time; else unknown.
        """
        if now < self._earliest:
            return []
        late = [entry for entry in self if entry.deadline <= now]
        for entry in late:
            if entry.tag:
                del self._in_flight[entry.tag]
                self.has_gaps = True
        if any(not entry.tag for entry in late):
            self._pending = deque(entry for entry in self._pending if entry.deadline > now)
        self._earliest = min((entry.deadline for entry in self), default=float("inf"))
        return [Settled(entry, _at_deadline(entry)) for entry in late]

    def put_back(self, entry: E) -> None:
        """Send an entry once more that came back: it is pending again, in its place.

        For an entry whose outcome would be *returned*; a confirmed one is never sent again.
        """
        entry.tag, entry.returned, entry.nacked = 0, None, False
        at = next((i for i, known in enumerate(self._pending) if known.sequence > entry.sequence), None)
        if at is None:
            self._pending.append(entry)
        else:
            self._pending.insert(at, entry)
        self._earliest = min(self._earliest, entry.deadline)

    def close(self) -> list[Settled[E]]:
        """End everything that is open, in order."""
        left = [Settled(entry, Outcome.CLOSED) for entry in self]
        self._pending.clear()
        self._in_flight.clear()
        self._earliest = float("inf")
        return left


def _at_deadline(entry: Entry) -> Outcome:
    if not entry.attempts:
        return Outcome.UNSENT
    if entry.unanswered or (entry.tag and not entry.nacked):
        return Outcome.UNKNOWN
    return Outcome.NACKED

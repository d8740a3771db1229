"""The ledger: every message handed over for publishing, from then until its one outcome. Pure.

It holds what is not yet sent (``pending``), what was sent and is not answered (in flight on a *lane*,
which is one channel), and what waits because its *place* (exchange and routing key) is *held*: the broker
refuses messages for it, or a lane that was left has still some in flight. It touches no socket and reads
no clock: the time, monotonic and in seconds, is an argument.

What holds, and is tested by properties:

* an entry has exactly one outcome, and nothing is sent after it;
* the entries of one place are sent in the order they were added, on every channel, but those that the broker
  has refused or returned, which are sent again later;
* at its deadline an entry that was never sent is *unsent*, one that the broker refused or returned each
  time is *nacked* or *returned*, and any other is *unknown*;
* what was sent once without an answer is never said not to be there.
"""

from bisect import insort
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic

from rabbitkeeper.client.publish.entry import E, Outcome, Place, Settled
from rabbitkeeper.client.publish.lane import Lane


@dataclass(slots=True, eq=False)
class HeldPlace(Generic[E]):
    """A place whose messages wait; at most one of them is being tried.

    Attributes:
        waiting: in their order.
        trial: the one that is being tried: what becomes of it decides for all.
        lane: on which the trial is; or which was left and has others of this place in flight.
        open: so many are in flight there.
        retry_at: when the first of those waiting is tried; None: they go on when nothing is in flight.
        silences: trials in a row that were not answered.
        elsewhere: the member where it is tried, if that is another than the client's.
    """

    waiting: deque[E] = field(default_factory=deque)
    trial: E | None = None
    lane: Lane[E] | None = None
    open: int = 0
    retry_at: float | None = None  # seconds, monotonic; infinity: when the topology is there
    tried_at: float = 0.0  # seconds, monotonic
    silences: int = 0
    elsewhere: str | None = None

    def forget_lane(self) -> None:
        self.trial, self.lane, self.open = None, None, 0


def _as_they_are(entries: Sequence[E]) -> Sequence[E]:
    return entries


@dataclass(slots=True)
class Ledger(Generic[E]):
    pending: deque[E] = field(default_factory=deque)
    lanes: list[Lane[E]] = field(default_factory=list)
    main: Lane[E] | None = None  # over which everything goes that is well; one of the lanes
    held: dict[Place, HeldPlace[E]] = field(default_factory=dict)
    _last_sequence: int = 0
    _earliest: float = float("inf")  # no deadline is earlier; may be too early, never too late

    def __len__(self) -> int:
        """Entries without an outcome."""
        count = len(self.pending) + self.in_flight
        for held in self.held.values():
            count += len(held.waiting)
        return count

    @property
    def in_flight(self) -> int:
        """Entries that were sent and are not answered, on all lanes."""
        count = 0
        for lane in self.lanes:
            count += len(lane.in_flight)
        return count

    @property
    def earliest_deadline(self) -> float:
        """When :meth:`expire` should be called at the latest; infinity when nothing is open."""
        return self._earliest

    def __iter__(self) -> Iterator[E]:
        """The open entries in the order in which they were handed over."""
        return iter(sorted(self._open(), key=lambda entry: entry.sequence))

    def _open(self) -> Iterator[E]:
        for lane in self.lanes:
            yield from lane
        for held in self.held.values():
            yield from held.waiting
        yield from self.pending

    def add(self, entries: Iterable[E]) -> None:
        """Take messages over, behind all that came before them."""
        sequence, earliest = self._last_sequence, self._earliest
        for entry in entries:
            sequence += 1
            entry.sequence = sequence
            if entry.deadline < earliest:
                earliest = entry.deadline
            self.pending.append(entry)
        self._last_sequence, self._earliest = sequence, earliest

    # -- sending

    def take(
        self,
        lane: Lane[E],
        limit: int,
        size: float = float("inf"),
        start: Callable[[Sequence[E]], Sequence[E]] = _as_they_are,
    ) -> Sequence[E]:
        """The next entries to send on ``lane``, in order, with their tags. Those of held places go there.

        The caller sends every one of them, in this order, before it calls anything else here.

        Args:
            limit: how many at the most.
            size: stop when their bodies have as many bytes.
            start: given what is about to be sent, returns it without what was cancelled before it was ever
                sent, which is dropped.
        """
        pending = self.pending
        if self.held:
            self.sort_pending()
        taken: list[E] = []
        for _ in range(min(limit, len(pending))):
            if size <= 0:
                break
            entry = pending.popleft()
            taken.append(entry)
            size -= entry.size
        return lane.send(start(taken))

    def sort_pending(self) -> None:
        """Have pending entries of held places wait there."""
        held, free = self.held, deque[E]()
        for entry in self.pending:
            known = held.get(entry.place)
            (free if known is None else known.waiting).append(entry)
        self.pending.clear()
        self.pending.extend(free)

    def hold_pending(self, now: float) -> None:
        """Hold the places of all that is pending, each until one message was tried."""
        held = self.held
        for entry in self.pending:
            place = entry.place
            known = held.get(place)
            if known is None:
                held[place] = known = HeldPlace(retry_at=now)
            known.waiting.append(entry)
        self.pending.clear()

    def take_trial(
        self,
        held: HeldPlace[E],
        lane: Lane[E],
        now: float,
        start: Callable[[Sequence[E]], Sequence[E]] = _as_they_are,
    ) -> Sequence[E]:
        """The first entry of a held place, to be sent on ``lane``; none if all of them were cancelled."""
        while held.waiting:
            started = start([held.waiting.popleft()])
            if started:
                entry = started[0]
                entry.bounced = None
                held.trial, held.lane, held.open = entry, lane, 1
                held.retry_at, held.tried_at = None, now
                return lane.send(started)
        return ()

    def take_trials(
        self,
        places: Iterable[HeldPlace[E]],
        lane: Lane[E],
        now: float,
        size: float,
        start: Callable[[Sequence[E]], Sequence[E]] = _as_they_are,
    ) -> list[E]:
        """As :meth:`take_trial`, of each of these, until their bodies have ``size`` bytes."""
        taken: list[E] = []
        for held in places:
            if size <= 0:
                break
            trial = self.take_trial(held, lane, now, start)
            taken += trial
            size -= sum(entry.size for entry in trial)
        return taken

    def use(self, lane: Lane[E]) -> None:
        """``lane`` is the main one from now on."""
        self.main = lane
        if lane not in self.lanes:
            self.lanes.append(lane)

    def close_idle(self) -> None:
        """Close the channels of lanes that were left and have nothing in flight."""
        for lane in [lane for lane in self.lanes if lane is not self.main and not lane.in_flight]:
            self.lanes.remove(lane)
            lane.channel.close()

    # -- places

    def hold(self, place: Place, lane: Lane[E] | None = None) -> HeldPlace[E]:
        """Hold a place; if it was not held, until what it has in flight on ``lane`` is answered."""
        held = self.held.get(place)
        if held is None:
            self.held[place] = held = HeldPlace()
            held.open = 0 if lane is None else sum(entry.place == place for entry in lane)
            held.lane = lane if held.open else None
        return held

    def answered(self, lane: Lane[E], entry: E) -> bool:
        """An entry is not in flight on ``lane`` any more; whether it was the trial of its place."""
        held = self.held.get(entry.place)
        if held is None or held.lane is not lane:
            return False
        was_trial = held.trial is entry
        held.open -= 1
        if was_trial or not held.open:
            held.forget_lane()
            if not was_trial and held.retry_at is None:
                self.release(entry.place)
        return was_trial

    def promote(self, lane: Lane[E]) -> Lane[E] | None:
        """``lane`` is the main one now; what is in flight on the one before, the others of its place wait
        for.

        Returns:
            The one before.
        """
        before = self.main
        self.use(lane)
        if before is not None:
            for place, count in Counter(entry.place for entry in before).items():
                if place not in self.held:
                    self.held[place] = HeldPlace(lane=before, open=count)
        return before

    def release(self, place: Place) -> None:
        """What has waited for ``place`` goes on, before what came later."""
        held = self.held.pop(place, None)
        if held is not None:
            self.pending.extendleft(reversed(held.waiting))

    def wait_again(self, entry: E, held: HeldPlace[E]) -> None:
        """An entry that is in flight nowhere waits, in its place among the others."""
        insort(held.waiting, entry, key=lambda known: known.sequence)
        self._earliest = min(self._earliest, entry.deadline)

    def withdraw(self, entry: E) -> None:
        """Drop an entry that was cancelled; one that is in flight stays."""
        held = self.held.get(entry.place)
        for waiting in (self.pending, *(() if held is None else (held.waiting,))):
            if not entry.tag and entry in waiting:
                waiting.remove(entry)

    # -- channels that are gone

    def end_lane(self, lane: Lane[E], now: float, closed_over: str | None = None) -> None:
        """The channel of ``lane`` is gone: what was in flight there is to be sent again, in its order.

        Args:
            closed_over: see :meth:`Lane.end`.
        """
        if lane in self.lanes:
            self.lanes.remove(lane)
        if lane is self.main:
            self.main = None
        for entry in reversed(lane.end(closed_over)):
            held = self.held.get(entry.place)
            if held is None:
                self.pending.appendleft(entry)
            else:
                self.wait_again(entry, held)
        for place, held in list(self.held.items()):
            if held.lane is lane:
                self._let_go(place, held, now)

    def _let_go(self, place: Place, held: HeldPlace[E], now: float) -> None:
        """What ``held`` has waited for will not be answered."""
        was_trial = held.trial is not None
        held.forget_lane()
        if was_trial:
            held.retry_at = now
        elif held.retry_at is None:
            self.release(place)

    def rewind(self) -> None:
        """All channels are gone: everything is pending again, in its order, and no place is held."""
        for lane in self.lanes:
            self.pending.extend(lane.end())
        for held in self.held.values():
            self.pending.extend(held.waiting)
        self.lanes.clear()
        self.held.clear()
        self.main = None
        again = sorted(self.pending, key=lambda entry: entry.sequence)
        self.pending.clear()
        self.pending.extend(again)

    # -- ends

    def refuse_exchange(self, exchange: str, lane: Lane[E], why: str) -> list[Settled[E]]:
        """End everything for ``exchange`` on ``lane`` or waiting: as refused, or as unknown, if it may be
        there from an earlier time."""
        refused = sorted(
            self._drop(lambda entry: entry.exchange == exchange, lane), key=lambda entry: entry.sequence
        )
        return [Settled(entry, entry.if_refused(Outcome.NACKED, why), why) for entry in refused]

    def refuse_larger(self, frame_max: int) -> list[Settled[E]]:
        """End what waits and has properties that do not fit a frame of so many bytes."""
        larger = self._drop(lambda entry: entry.template.header_size > frame_max)
        settled: list[Settled[E]] = []
        for entry in larger:
            size = entry.template.header_size
            why = f"its properties take {size} bytes, and this broker takes {frame_max} (frame_max)"
            settled.append(Settled(entry, entry.if_refused(Outcome.NACKED, why), why))
        return settled

    def expire(self, now: float) -> list[Settled[E]]:
        """End what is past its deadline.

        Unsent, if it never was; nacked or returned, if that is what the broker said each time; else unknown.
        """
        if now < self._earliest:
            return []
        late = sorted(
            (entry for entry in self._open() if entry.deadline <= now), key=lambda entry: entry.sequence
        )
        settled = [Settled(entry, *entry.at_deadline()) for entry in late]
        if late:
            self._drop(lambda entry: entry.deadline <= now, *self.lanes)
            for place, held in list(self.held.items()):
                if held.lane is not None:
                    held.open = sum(entry.place == place for entry in held.lane)
                    if not held.open:
                        self._let_go(place, held, now)
        self._earliest = min((entry.deadline for entry in self._open()), default=float("inf"))
        return settled

    def _drop(self, is_dropped: Callable[[E], bool], *lanes: Lane[E]) -> list[E]:
        """Take entries out wherever they are, but on other lanes than these."""
        dropped: list[E] = []
        for lane in lanes:
            for entry in [entry for entry in lane if is_dropped(entry)]:
                dropped.append(entry)
                lane.take_out(entry)
        for waiting in (self.pending, *(held.waiting for held in self.held.values())):
            if any(map(is_dropped, waiting)):
                dropped += filter(is_dropped, waiting)
                kept = [entry for entry in waiting if not is_dropped(entry)]
                waiting.clear()
                waiting.extend(kept)
        return dropped

    def close(self) -> list[Settled[E]]:
        """End everything that is open, in order."""
        left = [Settled(entry, Outcome.CLOSED) for entry in self]
        self.pending.clear()
        self.lanes.clear()
        self.held.clear()
        self.main = None
        self._earliest = float("inf")
        return left

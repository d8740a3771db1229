"""Trials: a place that is not well is held, and tried with one message at a time, while all others go on.

A place is an exchange with a routing key. RabbitMQ nacks a publish to a quorum queue that has no leader,
and goes on nacking *for this queue* on the same channel until the dead node is back, however well the
queue is by then (decision 0008). So:

* What was nacked waits, and what comes later for the same place waits behind it. After a pause, which
  grows with the time for which the place has refused, its first message is tried on a channel on which the
  place was not nacked yet.
* When it is confirmed there, that channel becomes the main one. The one before it is left, and closed only
  when all that is in flight there is answered: a message that may be there is not said to have been
  refused. Its places wait for those answers, so that nothing overtakes.
* A place that has refused for longer than its patience is believed: its messages end nacked as they come,
  and once in ``RENEW_PAUSE`` one of them is tried on a new channel, in case the channel is what is wrong.

What becomes of trials that are not answered is :mod:`silence`'s.

Everything is called on the I/O thread; times are seconds, monotonic.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Generic

from rabbitkeeper.client.amqp.transport import CallLater
from rabbitkeeper.client.model.retry import doubled
from rabbitkeeper.client.publish.elsewhere import Elsewhere
from rabbitkeeper.client.publish.entry import E, Outcome, Place, Settled
from rabbitkeeper.client.publish.lane import ROOM_POLL, Lane
from rabbitkeeper.client.publish.ledger import HeldPlace, Ledger
from rabbitkeeper.client.publish.refusals import FIRST_PAUSE, LONGEST_PAUSE, RENEW_PAUSE, Refusals
from rabbitkeeper.client.publish.silence import Silence

SOON = 0.01  # seconds: places that are due so soon are tried together
MOST_LANES = 8  # publish channels at a time
ASK_AGAIN = 1.0  # seconds until a channel that was asked for and did not come is asked for again
TOPOLOGY_IS_THERE = float("inf")


class Trials(Generic[E]):
    """See the module.

    Args:
        ledger: what is tried and held is there.
        ask: asks for another publish channel; :meth:`opened` brings it.
        settle: takes outcomes.
        start: given what is about to be sent, returns it without what was cancelled.
        pump: sends what may be sent.
        may_send: whether anything may be sent at all.
        doubt: called when lane after lane is silent, and no other answers.
    """

    def __init__(
        self,
        ledger: Ledger[E],
        now: Callable[[], float],
        call_later: CallLater,
        *,
        ask: Callable[[], None],
        settle: Callable[[Iterable[Settled[E]]], None],
        start: Callable[[Sequence[E]], Sequence[E]],
        pump: Callable[[], None],
        may_send: Callable[[], bool],
        doubt: Callable[[], None],
    ) -> None:
        self.refusals = Refusals()
        self._ledger = ledger
        self._now = now
        self._call_later = call_later
        self._ask = ask
        self._settle = settle
        self._start = start
        self._pump = pump
        self._may_send = may_send
        self.elsewhere: Elsewhere[E] = Elsewhere(ledger, now, start=start, pump=pump, may_send=may_send)
        self.silence: Silence[E] = Silence(
            ledger, now, call_later, ask=ask, go_on=self._awake, may_send=may_send, doubt=doubt
        )
        self._next_at = 0.0  # nothing is due before
        self._armed_at = float("inf")  # a timer is set for then

    # -- trying

    def hurry(self) -> None:
        """Something may be due."""
        self._next_at = 0.0

    def go_on(self, limit: int) -> int:
        """Try what is due: on the main lane, or on another, which is asked for.

        Args:
            limit: messages that may be sent.

        Returns:
            How many were sent.
        """
        now, main = self._now(), self._ledger.main
        if main is None or now < self._next_at:
            return 0
        is_lane_wanted, due_here = False, list[HeldPlace[E]]()
        self._next_at = float("inf")
        for place, held in self._due(now):
            if held.elsewhere is not None:
                self.elsewhere.ask(held)
                self._next_at = min(self._next_at, now + ASK_AGAIN)
            elif held.silences or main.is_tainted(place):
                is_lane_wanted = True
            else:
                due_here.append(held)
        room = main.channel.room
        messages = self._ledger.take_trials(due_here[:limit], main, now, room, self._start)
        if messages:
            main.channel.publish(messages)
            self.silence.watch_trials(main)
        if any(held.retry_at is not None for held in due_here):
            self._next_at = now if main.channel.room else now + ROOM_POLL
        if is_lane_wanted:
            self._next_at = min(self._next_at, now + ASK_AGAIN)
            if self._has_room():
                self._ask()
        self._arm(now)
        return len(messages)

    def opened(self, lane: Lane[E]) -> None:
        """The channel that was asked for is there: try on it what is due."""
        self.hurry()
        if self.silence.replaces(lane):
            self._pump()
            return
        now, messages = self._now(), list[E]()
        if self._may_send():
            room = max(1, lane.channel.room)  # one in any case, so that it goes on
            due = [one for one in self._due(now) if one[1].elsewhere is None]
            together = [held for _, held in due if not held.silences]
            tried = together or [held for _, held in due[:1]]
            messages = self._ledger.take_trials(tried, lane, now, room, self._start)
        if not messages:
            lane.channel.close()
            return
        self._ledger.lanes.append(lane)
        lane.channel.publish(messages)
        self.silence.watch_trials(lane)
        self._pump()

    def _due(self, now: float) -> list[tuple[Place, HeldPlace[E]]]:
        """Places of which a message is to be tried now, the longest waiting first."""
        due: list[tuple[Place, HeldPlace[E]]] = []
        for place, held in list(self._ledger.held.items()):
            if held.open or held.retry_at is None:
                continue
            if not held.waiting:
                self._ledger.release(place)
            elif held.retry_at <= now + SOON:
                due.append((place, held))
            else:
                self._next_at = min(self._next_at, held.retry_at)
        return sorted(due, key=lambda one: one[1].waiting[0].sequence)

    def _arm(self, now: float) -> None:
        if self._next_at < self._armed_at:
            self._armed_at = self._next_at
            self._call_later(self._next_at - now, self._due_now)

    def _due_now(self) -> None:
        self._armed_at = float("inf")
        self._awake()

    def _awake(self) -> None:
        self.hurry()
        self._ledger.close_idle()
        self._pump()

    def _has_room(self) -> bool:
        """Whether there may be another lane; one that was left is given up for it."""
        ledger = self._ledger
        if len(ledger.lanes) < MOST_LANES:
            return True
        tried = [held.lane for held in ledger.held.values() if held.trial is not None]
        left = [lane for lane in ledger.lanes if lane is not ledger.main and lane not in tried]
        for lane in left[:1]:
            lane.channel.close()
            ledger.end_lane(lane, self._now())
        return bool(left)

    # -- answers

    def confirmed(self, lane: Lane[E], entries: Iterable[E]) -> None:
        """These were confirmed on ``lane``."""
        for entry in entries:
            self.refusals.taken(entry.place)
            if self._ledger.answered(lane, entry):
                main = self._ledger.main
                if lane.elsewhere is not None:
                    self.elsewhere.took(lane, entry.place)
                elif main is None or (lane is not main and main.is_tainted(entry.place)):
                    self.silence.left(self._ledger.promote(lane))
                self._ledger.release(entry.place)
        self.hurry()
        self._ledger.close_idle()

    def nacked(self, lane: Lane[E], entries: Sequence[E]) -> None:
        """The broker has refused these on ``lane``."""
        now = self._now()
        settled: list[Settled[E]] = []
        for entry in entries:
            place = entry.place
            lane.taint(place)
            refusal = self.refusals.refused(place, now)
            was_trial = self._ledger.answered(lane, entry)
            if refusal.is_believed() and (was_trial or now - refusal.tried_at < RENEW_PAUSE):
                why = f"the broker refused the message (basic.nack) for {refusal.patience:g} s"
                settled.append(Settled(entry, entry.if_refused(Outcome.NACKED), why))
                if was_trial:
                    refusal.tried_at = now
                    self._ledger.release(place)
                continue
            self._hold(entry, lane, now if refusal.is_believed() else now + refusal.pause())
        self.hurry()
        self._ledger.close_idle()
        self._settle(settled)

    def came_back(self, lane: Lane[E], entries: Iterable[E], *, is_final: bool) -> list[E]:
        """These were returned on ``lane``; if that is not final, their places wait for the topology.

        Returns:
            Those that go nowhere. The others are tried again, perhaps at another member.
        """
        nowhere: list[E] = []
        for entry in entries:
            was_trial = self._ledger.answered(lane, entry)
            member = self.elsewhere.doubts(lane, entry.place)
            if not is_final or member is not None:
                entry.tag, entry.returned, entry.bounced = 0, None, entry.returned
                held = self._hold(entry, lane, self._now() if is_final else TOPOLOGY_IS_THERE)
                held.elsewhere = member if is_final else None
                continue
            nowhere.append(entry)
            if was_trial:
                self._ledger.release(entry.place)
        self.hurry()
        return nowhere

    def wait_for_exchange(self, exchange: str, lane: Lane[E]) -> bool:
        """It went by itself, and is declared again: what is on ``lane`` for it waits for a moment. Not if it
        has been missing for longer than a refusal is doubted."""
        now = self._now()
        missed = [entry for entry in lane if entry.exchange == exchange]
        refusals = {entry.place: self.refusals.refused(entry.place, now) for entry in missed}
        if any(refusal.is_believed() for refusal in refusals.values()):
            return False
        for entry in missed:
            self._take_back(entry, lane, now + refusals[entry.place].pause())
        return True

    def miss_exchange(self, exchange: str, lane: Lane[E], why: str) -> None:
        """It is not there yet: what is on ``lane`` for it waits until the topology is."""
        for entry in [entry for entry in lane if entry.exchange == exchange]:
            self._take_back(entry, lane, TOPOLOGY_IS_THERE)
            entry.bounced = why

    def suspect(self, lane: Lane[E]) -> None:
        """The broker has closed the channel of ``lane``, for no reason that would last, perhaps over one of
        the messages on it, and may do so again: the places of all of them are tried alone, after pauses that
        grow."""
        now = self._now()
        places = dict.fromkeys(entry.place for entry in lane)
        for entry in list(lane):
            self._take_back(entry, lane, now)
            entry.left_unanswered(None)
        for place in places:
            held = self._ledger.held[place]
            held.retry_at = now + doubled(FIRST_PAUSE, held.silences, LONGEST_PAUSE)
            held.silences += 1

    def _take_back(self, entry: E, lane: Lane[E], retry_at: float) -> None:
        """Have ``entry`` wait, which is in flight on ``lane``."""
        self._ledger.answered(lane, entry)
        lane.take_out(entry)
        self._hold(entry, lane, retry_at)

    def _hold(self, entry: E, lane: Lane[E], retry_at: float) -> HeldPlace[E]:
        """Have ``entry`` wait, which was in flight on ``lane``; its place is tried at ``retry_at``."""
        held = self._ledger.hold(entry.place, lane)
        self._ledger.wait_again(entry, held)
        held.retry_at = retry_at
        return held

    def release_returned(self) -> None:
        """The topology is there: what came back before is sent again."""
        for place, held in list(self._ledger.held.items()):
            if held.retry_at == TOPOLOGY_IS_THERE:
                if held.open:
                    held.retry_at = None
                else:
                    self._ledger.release(place)

    def lane_is_over(self, lane: Lane[E], closed_over: str | None = None) -> None:
        """The channel of ``lane`` is gone; ``closed_over``: see :meth:`Lane.end`."""
        self._ledger.end_lane(lane, self._now(), closed_over)
        self.hurry()

    def trouble(self) -> None:
        """A switch, or a change in the group: what was silent may answer now, and what is well refuse."""
        self.refusals.trouble(self._now())
        self.silence.trouble()

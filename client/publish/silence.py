"""Silence: what is sent and not answered is waited for on one channel no longer than the broker can be
believed.

A channel can be stuck in a call to a node that is gone, for seconds, while others on the same connection
are not. So:

* A trial (see :mod:`trials`) that is not answered for ``SILENCE``, doubled each time, is made again on
  another channel, alone. If nothing was ever answered on its channel, that is given up. When that happens
  twice in a row and nothing else answers, who decides where to be is told that this member does not.
* When the main channel answers nothing for as long, though it did before, another takes its place. What is
  in flight on the one before is waited for, as long as something is answered there; then it is sent again.

Everything is called on the I/O thread; times are seconds, monotonic.
"""

from collections.abc import Callable
from typing import Generic

from rabbitkeeper.client.amqp.transport import CallLater
from rabbitkeeper.client.model.retry import doubled
from rabbitkeeper.client.publish.entry import E, Place
from rabbitkeeper.client.publish.lane import Lane
from rabbitkeeper.client.publish.ledger import HeldPlace, Ledger

SILENCE = 1.0  # seconds without an answer; doubled for each time before, …
LONGEST_SILENCE = 8.0  # … up to so many
LEFT_SILENCE = 4.0  # seconds without an answer on a lane that was left; doubled for each time before, …
LONGEST_LEFT_SILENCE = 16.0  # … up to so many
SILENT_LANES = 2  # in a row on which nothing was answered: then the member is doubted
MOST_REPLACED = 2  # lanes, with the main one, beside which there may be another for a silent main one
EARLY = 0.01  # seconds by which a timer may be early


class Silence(Generic[E]):
    """See the module.

    Args:
        ledger: what is in flight is there.
        ask: asks for another publish channel.
        go_on: sends what may be sent; something may be due to be tried.
        may_send: whether anything may be sent at all; else nothing is answered either.
        doubt: called when lane after lane is silent, and no other answers.
    """

    def __init__(
        self,
        ledger: Ledger[E],
        now: Callable[[], float],
        call_later: CallLater,
        *,
        ask: Callable[[], None],
        go_on: Callable[[], None],
        may_send: Callable[[], bool],
        doubt: Callable[[], None],
    ) -> None:
        self.is_listening = False  # it is looked at whether the main lane answers
        self._ledger = ledger
        self._now = now
        self._call_later = call_later
        self._ask = ask
        self._go_on = go_on
        self._may_send = may_send
        self._doubt = doubt
        self._silent_lanes = 0  # in a row
        self._is_main_silent = False  # the next channel is to replace it
        self._given_up = 0  # lanes of this connection on which what was in flight was not answered

    def forget(self) -> None:
        """All channels are gone."""
        self._is_main_silent = False
        self._given_up = 0

    # -- trials

    def watch_trials(self, lane: Lane[E], after: float = SILENCE) -> None:
        """Look, after so many seconds, whether what is tried on ``lane`` was answered."""
        self._call_later(after, lambda: self._look_at_trials(lane))

    def _look_at_trials(self, lane: Lane[E]) -> None:
        trials = self._trials_on(lane)
        if not trials:
            return
        if not self._may_send():
            self.watch_trials(lane)
            return
        now, next_at, are_silent = self._now(), float("inf"), False
        for place, held, trial in trials:
            due_at = held.tried_at + doubled(SILENCE, held.silences, LONGEST_SILENCE)
            if now < due_at - EARLY:
                next_at = min(next_at, due_at)
            else:
                are_silent = True
                self._take_back(lane, place, held, trial)
        if next_at < float("inf"):
            self.watch_trials(lane, next_at - now)
        if not are_silent:
            return
        if not lane.is_proven:
            lane.channel.close()
            self._ledger.end_lane(lane, now)
        answers = any(other.is_proven for other in self._ledger.lanes)
        self._silent_lanes = 0 if answers else self._silent_lanes + 1
        if self._ledger.main is None:
            self._ask()
        self._go_on()
        if self._silent_lanes >= SILENT_LANES:
            self._doubt()

    def _trials_on(self, lane: Lane[E]) -> list[tuple[Place, HeldPlace[E], E]]:
        return [
            (place, held, held.trial)
            for place, held in self._ledger.held.items()
            if held.lane is lane and held.trial is not None
        ]

    def _take_back(self, lane: Lane[E], place: Place, held: HeldPlace[E], trial: E) -> None:
        """Have a trial made again, on another lane."""
        lane.take_out(trial)
        lane.taint(place)
        trial.left_unanswered(None)
        held.forget_lane()
        held.silences += 1
        held.retry_at = self._now()
        self._ledger.wait_again(trial, held)

    def trouble(self) -> None:
        """The group has changed: what was silent may answer now, and is not waited for as long as before."""
        lanes: list[Lane[E]] = []
        for held in self._ledger.held.values():
            held.silences = min(held.silences, 1)
            lane = held.lane
            is_tried_here = held.trial is not None and held.elsewhere is None
            if held.silences and is_tried_here and lane is not None and lane not in lanes:
                lanes.append(lane)
        for lane in lanes:
            self.watch_trials(lane)
        for lane in self._ledger.lanes:
            if lane is not self._ledger.main and lane not in lanes and lane.elsewhere is None:
                self._watch_left(lane, SILENCE)

    # -- the main lane

    def listen(self) -> None:
        """Look, for as long as anything is in flight, whether the main lane answers."""
        self.is_listening = True
        if self._ledger.main is not None:
            self._ledger.main.is_heard = False
        self._call_later(SILENCE, self._look_at_main)

    def _look_at_main(self) -> None:
        lane = self._ledger.main
        self.is_listening = False
        if lane is None or not lane.in_flight:
            return
        is_silent = lane.is_proven and not lane.is_heard and self._may_send()
        self.listen()
        if is_silent and len(self._ledger.lanes) <= MOST_REPLACED:
            self._is_main_silent = True
            self._ask()

    def replaces(self, lane: Lane[E]) -> bool:
        """Whether a channel that was asked for is the main one from now on, because that has been silent."""
        main, was_silent = self._ledger.main, self._is_main_silent
        self._is_main_silent = False
        if not was_silent or main is None or main.is_heard or not main.in_flight:
            return False
        self.left(self._ledger.promote(lane))
        return True

    def left(self, lane: Lane[E] | None) -> None:
        """``lane`` is not the main one any more. What is in flight there is waited for while it answers."""
        if lane is not None:
            lane.is_heard = False
            self._watch_left(lane, doubled(LEFT_SILENCE, self._given_up, LONGEST_LEFT_SILENCE))

    def _watch_left(self, lane: Lane[E], patience: float) -> None:
        """Look once in so many seconds at the latest, and again as long as it answers."""
        due_at = self._now() + patience
        if due_at >= lane.look_at:
            return
        lane.look_at = due_at

        def look() -> None:
            if lane.look_at != due_at:
                return  # there was an earlier look
            lane.look_at = float("inf")
            if lane not in self._ledger.lanes or lane is self._ledger.main:
                return
            if lane.is_heard or not self._may_send():
                lane.is_heard = False
                self._watch_left(lane, patience)
                return
            self._given_up += 1
            lane.channel.close()
            self._ledger.end_lane(lane, self._now())
            self._go_on()

        self._call_later(patience, look)

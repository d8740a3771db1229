"""Elsewhere: what the present broker knows no queue for is tried at the member where its place was well.

What was returned has been stored nowhere, so it can be sent again. The place is held (see :mod:`trials`), and
its first message goes to the other member, over a connection for that alone: the client stays where it is,
and nobody else waits. What the other one says is the answer. When it knows no queue either, or cannot be
asked, that is the end of the doubt: its record is forgotten, and what the present broker says next is
believed.

Everything is called on the I/O thread; times are seconds, monotonic.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Generic, Protocol

from rabbitkeeper.client.publish.entry import E, Place
from rabbitkeeper.client.publish.lane import Lane, PublishChannel
from rabbitkeeper.client.publish.ledger import HeldPlace, Ledger
from rabbitkeeper.client.publish.routes import Routes

log = logging.getLogger(__name__)


class OtherMembers(Protocol):
    """The way to members where the client is not."""

    def is_there(self, member: str) -> bool:
        """Whether it is registered and not known to be down."""

    def ask(self, member: str) -> None:
        """Open a publish channel there, or go on with that: :meth:`Elsewhere.opened` brings it, or
        :meth:`Elsewhere.give_up` is called. Never from within this call."""


class Elsewhere(Generic[E]):
    """See the module.

    Args:
        ledger: what is held is there.
        now: the clock.
        start: given what is about to be sent, returns it without what was cancelled.
        pump: sends what may be sent.
        may_send: whether anything may be sent at all.

    Attributes:
        members: the way there; without it nothing is doubted.
    """

    def __init__(
        self,
        ledger: Ledger[E],
        now: Callable[[], float],
        *,
        start: Callable[[Sequence[E]], Sequence[E]],
        pump: Callable[[], None],
        may_send: Callable[[], bool],
    ) -> None:
        self.routes = Routes()
        self.members: OtherMembers | None = None
        self._ledger = ledger
        self._now = now
        self._start = start
        self._pump = pump
        self._may_send = may_send
        self._is_told = False  # since the last move

    def moved_to(self, member: str) -> None:
        """The client is at ``member`` from now on."""
        self.routes.moved_to(member)
        self._is_told = False

    def doubts(self, lane: Lane[E], place: Place) -> str | None:
        """A message for ``place`` has come back on ``lane``: the member to try first, if there is one."""
        if lane.elsewhere is not None:
            self.routes.forget(place)
            return None
        member = self.routes.elsewhere(place)
        if member is None or self.members is None or not self.members.is_there(member):
            return None
        return member

    def ask(self, held: HeldPlace[E]) -> None:
        """A message of a held place is due to be tried at another member."""
        if self.members is not None and held.elsewhere is not None:
            self.members.ask(held.elsewhere)

    def opened(self, channel: PublishChannel, member: str) -> None:
        """A channel at ``member`` is there: try on it what is due there."""
        now, messages, lane = self._now(), list[E](), Lane[E](channel, elsewhere=member)
        if self._may_send():
            due = [
                held
                for held in self._ledger.held.values()
                if held.elsewhere == member and held.retry_at is not None and not held.open
            ]
            messages = self._ledger.take_trials(due, lane, now, max(1, channel.room), self._start)
        if not messages:
            channel.close()
            return
        self._ledger.lanes.append(lane)
        channel.publish(messages)

    def took(self, lane: Lane[E], place: Place) -> None:
        """A message for ``place`` was confirmed on ``lane``, at another member."""
        if not self._is_told:
            self._is_told = True
            log.warning(
                "%s knows no queue for exchange %r with key %r, and %s does: it takes these messages",
                self.routes.member, place[0], place[1], lane.elsewhere,
            )  # fmt: skip

    def give_up(self, member: str) -> None:
        """It cannot be asked, or does not answer: what the present broker says is believed."""
        self.routes.forget_member(member)
        ledger = self._ledger
        for lane in [lane for lane in ledger.lanes if lane.elsewhere == member]:
            lane.channel.close()
            ledger.end_lane(lane, self._now())
        for place, held in list(ledger.held.items()):
            if held.elsewhere == member:
                held.elsewhere = None
                if held.open:
                    held.retry_at = None
                else:
                    ledger.release(place)
        self._pump()

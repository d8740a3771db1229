"""The publisher: the ledger's hands on the I/O thread.

It sends what the ledger has over the present publish channel, feeds the broker's answers back and settles
every entry once. The channel comes and goes with connections; what was unconfirmed on the old one is
published again on the new one, in its original order and with the same message ids.

Order is kept for each *place*, exchange and routing key, and a place that is not well waits by itself: see
:mod:`trials`. Two rules more come from how RabbitMQ behaves:

* **A new channel starts with one message for each place.** The rest follows when that one is confirmed.
  Otherwise a whole window would be refused again and again.
* **A broker that closes the channel does not say over which message.** If several were in flight, they are
  sent again one at a time until it is found; the messages before it may then be there twice.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, Protocol

from rabbitkeeper.client.amqp.decoding import Answer
from rabbitkeeper.client.amqp.transport import FRAME_MAX, CallLater
from rabbitkeeper.client.model.retry import doubled
from rabbitkeeper.client.model.status import Unconfirmed
from rabbitkeeper.client.publish.entry import E, Entry, Outcome, Settled
from rabbitkeeper.client.publish.idle_watch import IdleWatch
from rabbitkeeper.client.publish.lane import ROOM_POLL, Lane, PublishChannel
from rabbitkeeper.client.publish.ledger import Ledger
from rabbitkeeper.client.publish.trials import Trials

LOST_RETRY = 0.02  # seconds from a publish channel that was closed to the next; doubled while they are …
MOST_LOST_RETRY = 1.0  # … closed over nothing that would last, up to this
SETTLED = 2.0  # seconds after which that counts as the first time again
BURST = 1024  # messages sent before the loop looks at anything else

_NO_EXCHANGE = "no exchange '"


class OutcomeSink(Protocol[E]):
    """Who is told what became of entries; also says which of them may be sent."""

    def begin(self, entries: Sequence[E]) -> Sequence[E]: ...
    def confirm(self, entries: Sequence[E]) -> None: ...
    def settle(self, settled: Iterable[Settled[E]]) -> None: ...


class Publisher(Generic[E]):
    """Everything is called on the I/O thread; times are seconds, monotonic.

    Args:
        now: the clock.
        call_later: the loop's timer.
        renew: asks for another publish channel on the current connection; :meth:`opened` brings it.
        doubt: called when channel after channel does not answer.
        revive: given an exchange that is not there, has it declared again if it is one that goes by itself;
            whether it is.
    """

    def __init__(
        self,
        now: Callable[[], float],
        call_later: CallLater,
        renew: Callable[[], None],
        doubt: Callable[[], None] = lambda: None,
        revive: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._revive = revive
        self.ledger: Ledger[E] = Ledger()
        self.idle = IdleWatch(self.ledger)
        self.blocked: str | None = None  # why the broker blocks publishers, while it does: nothing is sent
        self._now = now
        self._call_later = call_later
        self._renew = renew
        self.sink: OutcomeSink[E]  # told the outcomes; set before anything is added
        self._trials: Trials[E] = Trials(
            self.ledger,
            now,
            call_later,
            ask=self._ask,
            settle=lambda settled: self.sink.settle(settled),
            start=lambda entries: self.sink.begin(entries),
            pump=self.pump,
            may_send=lambda: self._may_send,
            doubt=doubt,
        )
        self._refusing = self._trials.refusals.known
        self._silence = self._trials.silence
        self.elsewhere = self._trials.elsewhere
        self._note_routes = self.elsewhere.routes.confirmed
        self._generation = 0  # of channels asked for: an answer to an earlier question is not waited for
        self._is_asked = False  # another channel will come
        self._closings = 0  # of the main channel, in a row, over nothing that would last
        self._closed_at = float("-inf")  # seconds, monotonic; the last of them
        self._careful_until = 0  # sequence up to which messages are sent one at a time
        self._frozen = False
        self._pump_due = False  # a timer is set
        self._restoring = False  # the topology may be incomplete: what comes back is sent again
        self._frame_max = FRAME_MAX

    # -- the channel's coming and going

    def attach(self, channel: PublishChannel, frame_max: int = FRAME_MAX) -> None:
        """Publish over ``channel``, of another connection, from now on, first what is unconfirmed.

        Args:
            frame_max: bytes of a frame at the most. A broker ends the connection over a larger one, so a
                message whose properties do not fit is refused here.
        """
        self._let_go()
        self._frame_max = frame_max
        self._refuse_larger()
        self._frozen = False
        self._use(channel)

    def _refuse_larger(self) -> None:
        if self._frame_max < FRAME_MAX:  # those of FRAME_MAX were checked when they were handed over
            self.sink.settle(self.ledger.refuse_larger(self._frame_max))

    def detach(self) -> None:
        """The connection is gone."""
        self._let_go()
        if self.idle.is_watched:
            self.idle.tell()

    def opened(self, channel: PublishChannel) -> None:
        """Another channel of the current connection is there, as was asked for."""
        self._is_asked = False
        if self.ledger.main is None:
            self._use(channel)
        else:
            self._trials.opened(Lane(channel))

    def make_room(self) -> None:
        """There was no other channel to be had. If nothing is in flight on the present one, give that up."""
        lane = self.ledger.main
        if lane is not None and not lane.in_flight:
            lane.channel.close()
            self._trials.lane_is_over(lane)

    def freeze(self) -> None:
        """Send nothing more for now; answers are still taken."""
        self._frozen = True

    def thaw(self) -> None:
        self._frozen = False
        self.pump()

    def trouble(self) -> None:
        """A switch, or a change in the group: nacks are to be expected for a while."""
        self._trials.trouble()

    def restoring(self, *, active: bool) -> None:
        """Whether the topology is being declared again. When it is there, what came back is sent again."""
        self._restoring = active
        if not active:
            self._trials.release_returned()
            self.thaw()

    def _let_go(self) -> None:
        """No answer of the channels so far is taken any more."""
        self._generation += 1
        self._is_asked = False
        self._silence.forget()
        self.ledger.rewind()

    def _use(self, channel: PublishChannel) -> None:
        self.ledger.use(Lane(channel))
        self.pump()

    def _ask(self) -> None:
        """Ask for another channel."""
        if not self._is_asked:
            self._is_asked = True
            self._renew()

    # -- sending

    def add(self, entries: Iterable[E]) -> None:
        self.ledger.add(entries)
        self._refuse_larger()

    @property
    def _may_send(self) -> bool:
        return not self._frozen and self.blocked is None

    def pump(self) -> None:
        """Send what may be sent."""
        if self.idle.is_watched:
            self.idle.tell()
        ledger = self.ledger
        lane = ledger.main
        if lane is None or not self._may_send or not lane.channel.is_open:
            return
        pending, limit = ledger.pending, BURST
        if self._careful_until and self._is_careful():
            limit = 1 - len(lane.in_flight)
            if limit <= 0:
                return
        if not lane.is_proven and pending:
            ledger.hold_pending(self._now())
            self._trials.hurry()
        if ledger.held and self._trials.go_on(limit) >= limit:
            return
        if not pending:
            return
        room = lane.channel.room
        messages: Sequence[E] = ledger.take(lane, limit, room, self.sink.begin) if room else ()
        if messages:
            lane.channel.publish(messages)
            if not self._silence.is_listening:
                self._silence.listen()
        if pending and limit == BURST:
            # pika tells nobody when its socket takes more again, so it is asked
            self._pump_later(0.0 if lane.channel.room else ROOM_POLL)

    def _is_careful(self) -> bool:
        first = next(iter(self.ledger), None)
        if first is None or first.sequence > self._careful_until:
            self._careful_until = 0
            return False
        return True

    def _pump_later(self, delay: float) -> None:
        if self._pump_due:
            return
        self._pump_due = True

        def due() -> None:
            self._pump_due = False
            self.pump()

        self._call_later(delay, due)

    # -- the broker's answers

    def answered(self, channel: PublishChannel, answers: Iterable[Answer]) -> None:
        """``basic.ack`` and ``basic.nack``, as they came; of a channel that was let go of for nothing."""
        lane = self.ledger.main
        if lane is None or lane.channel is not channel:
            lane = self._lane_of(channel)
            if lane is None:
                return
        lane.is_proven = lane.is_heard = True
        confirmed: list[E] = []
        for tag, multiple, is_ack in answers:
            if is_ack:
                confirmed += lane.confirmed(tag, multiple=multiple)
            else:
                self._confirm(lane, confirmed)
                confirmed = []
                self._trials.nacked(lane, lane.nacked(tag, multiple=multiple))
        if confirmed:
            self._confirm(lane, confirmed)
        self.pump()

    def _confirm(self, lane: Lane[E], entries: list[E]) -> None:
        """They were acked: each is confirmed, unless it had come back."""
        if lane.came_back:
            entries, back = lane.sort_out(entries)
            self._came_back(lane, back)
        if self.ledger.held or self._refusing or len(self.ledger.lanes) > 1:
            self._trials.confirmed(lane, entries)
        if lane.elsewhere is None:
            self._note_routes(entries)
        self.sink.confirm(entries)

    def returned(
        self, channel: PublishChannel, message_id: str | None, exchange: str, key: str, why: str
    ) -> None:
        """``basic.return``."""
        lane = self._lane_of(channel)
        if lane is not None:
            lane.returned(message_id, exchange, key, why)

    def _lane_of(self, channel: PublishChannel) -> Lane[E] | None:
        return next((lane for lane in self.ledger.lanes if lane.channel is channel), None)

    def _came_back(self, lane: Lane[E], entries: list[E]) -> None:
        """No queue took them. While the topology is not complete that is no verdict: they are sent again, and
        the others of their places wait for it."""
        nowhere = self._trials.came_back(lane, entries, is_final=not self._restoring)
        self.sink.settle(
            Settled(entry, entry.if_refused(Outcome.RETURNED), entry.returned or "") for entry in nowhere
        )

    def channel_lost(self, channel: PublishChannel, why: str, *, final: bool) -> None:
        """The broker closed a publish channel over a message.

        When only one message was in flight, it is the one, unless another passed its deadline there before
        it was answered. Otherwise nobody knows, and they are sent again one at a time. An exchange that does
        not exist is named, so all its messages end at once. (If it was deleted while messages for it were in
        flight, one that was routed just before ends nacked as well.)

        Args:
            final: publishing it again would not help.
        """
        lane = self._lane_of(channel)
        if lane is None:
            return
        in_flight = list(lane)
        missing = _missing_exchange(why, in_flight) if final else None
        if missing is not None and not self._restoring:
            revived = self._revive(missing) and self._trials.wait_for_exchange(missing, lane)
            if not revived:
                self.sink.settle(self.ledger.refuse_exchange(missing, lane, why))
        elif final and len(in_flight) == 1 and not lane.has_gaps and not self._restoring:
            (culprit,) = in_flight
            lane.take_out(culprit)
            self.sink.settle([Settled(culprit, culprit.if_refused(Outcome.NACKED, why), why)])
        elif final and in_flight and not self._restoring:
            self._careful_until = max(entry.sequence for entry in in_flight)
        elif missing is not None:
            self._trials.miss_exchange(missing, lane, why)
        elif not final and (lane is not self.ledger.main or self._recurs()):
            self._trials.suspect(lane)
        self._trials.lane_is_over(lane, why if final else None)
        if self.ledger.main is None:
            self._ask_later(LOST_RETRY if final else doubled(LOST_RETRY, self._closings, MOST_LOST_RETRY))
        else:
            self.pump()

    def _recurs(self) -> bool:
        """The main channel is closed: whether the one before was just now."""
        now = self._now()
        self._closings = self._closings + 1 if now - self._closed_at < SETTLED else 0
        self._closed_at = now
        return self._closings > 0

    def _ask_later(self, pause: float) -> None:
        """The present channel is of no use any more; another one is asked for, unless one comes by itself."""
        self._generation += 1
        expected = self._generation

        def due() -> None:
            if expected == self._generation and self.ledger.main is None:
                self._ask()

        self._call_later(pause, due)
        if self.idle.is_watched:
            self.idle.tell()

    # -- deadlines and the end

    def unconfirmed(self) -> list[Unconfirmed]:
        """What has no outcome, in order."""
        return [
            Unconfirmed(entry.message_id, entry.exchange, entry.routing_key, entry.body, entry.attempts > 0)
            for entry in self.ledger
        ]

    def expire(self) -> None:
        """Settle what is past its deadline."""
        self.sink.settle(self.ledger.expire(self._now()))
        if self.ledger.held or len(self.ledger.lanes) > 1:
            self.ledger.close_idle()
            self._trials.hurry()
            self.pump()
        if self.idle.is_watched:
            self.idle.tell()

    def close(self) -> None:
        """Settle everything that is left as closed."""
        self._generation += 1
        self.sink.settle(self.ledger.close())
        if self.idle.is_watched:
            self.idle.tell()


def _missing_exchange(why: str, in_flight: Iterable[Entry]) -> str | None:
    """The exchange that the broker says is not there, if a message in flight is for it."""
    return next((entry.exchange for entry in in_flight if f"{_NO_EXCHANGE}{entry.exchange}' " in why), None)

"""The publisher: the ledger's hands on the I/O thread.

It sends what the ledger has over the present publish channel, feeds the broker's answers back and settles
every entry once. The channel comes and goes with connections; what was unconfirmed on the old one is
published again on the new one, in its original order and with the same message ids.

Three rules come from how RabbitMQ behaves:

* **A nack poisons the channel.** A channel whose first publish meets a quorum queue without a leader is
  nacked and goes on being nacked until the dead node is back, however well the queue is by then. So after a
  nack the channel is given up and a new one opened, again and again until the queue has a leader, for
  ``NACK_PATIENCE`` seconds at most after a switch or a change in the group, else for ``CALM_PATIENCE``. A
  place that has been refusing for that long (a full queue that rejects) is believed from then on: its
  messages end nacked at once and hold nobody else up, and only now and then is a new channel tried.
* **A new channel starts with one message.** The rest follows when that one is confirmed. Otherwise a whole
  window would be refused again and again.
* **A broker that closes the channel does not say over which message.** If several were in flight, they are
  sent again one at a time until it is found; the messages before it may then be there twice.
* **A probe that nobody answers is not waited for.** A queue whose record names a dead node keeps a channel
  waiting for seconds, and others beside it not. So after ``PROBE_PATIENCE`` another channel is tried, each
  time for twice as long, and who decides where to be is told that this member does not answer.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol

from rabbitkeeper.client.amqp.decoding import Answer
from rabbitkeeper.client.amqp.frames import Outgoing
from rabbitkeeper.client.amqp.transport import CallLater
from rabbitkeeper.client.model.status import Unconfirmed
from rabbitkeeper.client.publish.ledger import E, Entry, Ledger, Outcome, Settled

NACK_RETRY = 0.02  # seconds from a nack to the next channel
NACK_PATIENCE = 15.0  # seconds of retrying after a switch or a change in the group
CALM_PATIENCE = 1.0  # seconds of retrying when nothing has happened
PROBE_PATIENCE = 1.0  # seconds for the answer to the first message of a channel; doubled each time …
MOST_PROBE_PATIENCE = 8.0  # … up to this
SILENCES = 2  # channels in a row without an answer, after which the member is doubted
NACK_MEMORY = 10.0  # seconds without a nack after which a place is believed to be well again
RENEW_PAUSE = 1.0  # seconds between new channels while only places are refused that are known to refuse
BURST = 1024  # messages sent before the loop looks at anything else
ROOM_POLL = 0.005  # seconds between looks at a socket that takes less than it is given

_NO_EXCHANGE = "no exchange '"


class PublishChannel(Protocol):
    """What the publisher needs of a channel in confirm mode."""

    @property
    def is_open(self) -> bool: ...
    @property
    def room(self) -> int: ...
    def publish(self, messages: Sequence[Outgoing]) -> None: ...
    def close(self) -> None: ...


class OutcomeSink(Protocol[E]):
    """Who is told what became of entries; also says which of them may be sent."""

    def begin(self, entries: Sequence[E]) -> Sequence[E]: ...
    def confirm(self, entries: Sequence[E]) -> None: ...
    def settle(self, settled: Iterable[Settled[E]]) -> None: ...


@dataclass(slots=True)
class _Refusing:
    """A place (exchange and routing key) whose messages are nacked."""

    since: float
    last: float


class Publisher(Generic[E]):
    """Everything is called on the I/O thread; times are seconds, monotonic.

    Args:
        now: the clock.
        call_later: the loop's timer.
        renew: asks for another publish channel on the current connection; :meth:`attach` brings it.
        doubt: called when channel after channel does not answer.
    """

    def __init__(
        self,
        now: Callable[[], float],
        call_later: CallLater,
        renew: Callable[[], None],
        doubt: Callable[[], None] = lambda: None,
    ) -> None:
        self.ledger: Ledger[E] = Ledger()
        self.blocked: str | None = None  # why the broker blocks publishers, while it does: nothing is sent
        self._now = now
        self._call_later = call_later
        self._renew = renew
        self._doubt = doubt
        self.sink: OutcomeSink[E]  # told the outcomes; set before anything is added
        self._channel: PublishChannel | None = None
        self._generation = 0  # of the channel: timers of an earlier one are dropped
        self._probing = True  # one message in flight until the first confirm
        self._probes = 0  # so far
        self._silences = 0  # channels in a row that did not answer
        self._careful_until = 0  # sequence up to which messages are sent one at a time
        self._frozen = False
        self._has_returned = False  # something came back on this channel
        self._pump_due = False  # a timer is set
        self._refusing: dict[tuple[str, str], _Refusing] = {}
        self._renewed_at = float("-inf")
        self._troubled_at = float("-inf")  # the last switch or change in the group
        self._restoring = False  # the topology may be incomplete: what comes back is sent again
        self._on_idle: Callable[[], None] | None = None
        self._on_empty: Callable[[], None] | None = None
        self._is_watched = False  # there is one of these two

    # -- the channel's coming and going

    def attach(self, channel: PublishChannel) -> None:
        """Publish over ``channel`` from now on, first what is unconfirmed."""
        self.ledger.rewind()
        self._generation += 1
        self._channel = channel
        self._has_returned = False
        self._probing = True
        self._frozen = False
        self.pump()

    def detach(self, *, given_up: bool = False) -> None:
        """The channel is gone; ``given_up``: over a nack."""
        self._channel = None
        self._generation += 1
        self.ledger.rewind(given_up=given_up)
        if self._is_watched:
            self._tell()

    def freeze(self) -> None:
        """Send nothing more for now; answers are still taken."""
        self._frozen = True

    def thaw(self) -> None:
        self._frozen = False
        self.pump()

    def trouble(self) -> None:
        """A switch, or a change in the group: nacks are to be expected for a while."""
        self._troubled_at = self._now()
        self._refusing.clear()

    def restoring(self, *, active: bool) -> None:
        """Whether the topology is being declared again. When it is there, what came back is sent again."""
        self._restoring = active
        if not active:
            self.thaw()

    # -- sending

    def add(self, entries: Iterable[E]) -> None:
        self.ledger.add(entries)

    def pump(self) -> None:
        """Send what may be sent."""
        if self._is_watched:
            self._tell()
        channel, ledger = self._channel, self.ledger
        if channel is None or self._frozen or self.blocked is not None or not ledger.pending:
            return
        if not channel.is_open:
            return
        limit = BURST
        if self._probing or (ledger.next_sequence or 0) <= self._careful_until:
            limit = 1 - ledger.in_flight
            if limit <= 0:
                return
        room = channel.room
        messages: Sequence[E] = ledger.take(limit, room, self.sink.begin) if room else ()
        if messages:
            channel.publish(messages)
            if self._probing:
                self._probes += 1
                self._await_answer(self._probes)
        if ledger.pending and limit == BURST:
            # pika tells nobody when its socket takes more again, so it is asked
            self._pump_later(0.0 if channel.room else ROOM_POLL)

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
        """``basic.ack`` and ``basic.nack``, as they came; of an earlier channel they mean nothing now."""
        confirmed: list[E] = []
        for tag, multiple, is_ack in answers:
            if channel is not self._channel:
                break
            self._silences = 0
            if is_ack:
                confirmed += self.ledger.confirmed(tag, multiple=multiple)
                self._probing = False
            else:
                self._confirm(confirmed)
                confirmed = []
                self._nacked(tag, multiple=multiple)
        if confirmed:
            self._confirm(confirmed)
        if channel is self._channel:
            self.pump()

    def _confirm(self, entries: list[E]) -> None:
        """They were acked: each is confirmed, unless it had come back."""
        if self._has_returned and any(entry.returned is not None for entry in entries):
            entries = self._sort_out_returned(entries)
        if self._refusing:
            for entry in entries:
                self._refusing.pop((entry.exchange, entry.routing_key), None)
        self.sink.confirm(entries)

    def _await_answer(self, probe: int) -> None:
        generation = self._generation

        def late() -> None:
            if generation != self._generation or probe != self._probes or not self._probing:
                return
            if self.blocked is not None:  # it reads nothing, so it answers nothing
                self._await_answer(probe)
            elif self.ledger.in_flight:
                self._silences += 1
                if self._channel is not None:
                    self._channel.close()
                self._ask_for_another()
                if self._silences >= SILENCES:
                    self._doubt()

        patience = min(MOST_PROBE_PATIENCE, PROBE_PATIENCE * 2**self._silences)
        self._call_later(patience, late)

    def returned(
        self, channel: PublishChannel, message_id: str | None, exchange: str, key: str, why: str
    ) -> None:
        """``basic.return``."""
        if channel is self._channel:
            self.ledger.returned(message_id, exchange, key, why)
            self._has_returned = True

    def channel_lost(self, channel: PublishChannel, why: str, *, final: bool) -> None:
        """The broker closed the publish channel over a message.

        When only one message was in flight, it is the one, unless another passed its deadline there before
        it was answered. Otherwise nobody knows, and they are sent again one at a time. An exchange that does
        not exist is named, so all its messages end at once. (If it was deleted while messages for it were in
        flight, one that was routed just before ends nacked as well.)

        Args:
            final: publishing it again would not help.
        """
        if channel is not self._channel:
            return
        in_flight = list(self.ledger)[: self.ledger.in_flight]
        if final and not self._restoring:
            missing = _missing_exchange(why, in_flight)
            if missing is not None:
                self.sink.settle(self.ledger.refuse_exchange(missing, why))
            elif len(in_flight) == 1 and not self.ledger.has_gaps:
                self.sink.settle(self.ledger.refuse(in_flight, why, always=True))
            elif in_flight:
                self._careful_until = in_flight[-1].sequence
        self._ask_for_another()

    def _nacked(self, tag: int, *, multiple: bool) -> None:
        now = self._now()
        named = self.ledger.nacked(tag, multiple=multiple)
        patience = NACK_PATIENCE if now - self._troubled_at < NACK_PATIENCE else CALM_PATIENCE
        hopeless = [entry for entry in named if self._refuses_for(entry, now) >= patience]
        self.sink.settle(
            self.ledger.refuse(hopeless, f"the broker refused the message (basic.nack) for {patience:g} s")
        )
        if len(hopeless) == len(named) and now - self._renewed_at < RENEW_PAUSE:
            self._probing = False
            self.pump()
            return
        self._renewed_at = now
        if self._channel is not None:
            self._channel.close()
        self._ask_for_another(given_up=True)

    def _refuses_for(self, entry: Entry, now: float) -> float:
        """Seconds for which the broker has been refusing messages for the same place."""
        place = (entry.exchange, entry.routing_key)
        known = self._refusing.get(place)
        if known is None or now - known.last > NACK_MEMORY:
            self._refusing[place] = known = _Refusing(now, now)
        known.last = now
        return now - known.since

    def _sort_out_returned(self, entries: list[E]) -> list[E]:
        """Settle those that came back; the rest is confirmed.

        While the topology is not complete, to come back is no verdict: they are sent again when it is.
        """
        back = [entry for entry in entries if entry.returned is not None]
        confirmed = [entry for entry in entries if entry.returned is None]
        if self._restoring:
            for entry in back:
                self.ledger.put_back(entry)
            self._frozen = True
        else:
            self.sink.settle(
                Settled(entry, entry.if_refused(Outcome.RETURNED), entry.returned or "") for entry in back
            )
        return confirmed

    def _ask_for_another(self, *, given_up: bool = False) -> None:
        """The present channel is of no use any more; another one is asked for, unless one comes by itself."""
        expected = self._generation + 1
        self.detach(given_up=given_up)  # who waited for that may have brought another channel already

        def due() -> None:
            if expected == self._generation:
                self._renew()

        self._call_later(NACK_RETRY, due)

    # -- who waits for the end of something

    def when_idle(self, call: Callable[[], None] | None) -> None:
        """Call ``call`` once, as soon as nothing is in flight, perhaps at once; None: call nobody."""
        self._on_idle = call
        self._watch()

    def when_empty(self, call: Callable[[], None] | None) -> None:
        """As :meth:`when_idle`, as soon as everything has its outcome."""
        self._on_empty = call
        self._watch()

    def _watch(self) -> None:
        self._is_watched = self._on_idle is not None or self._on_empty is not None
        if self._is_watched:
            self._tell()

    def _tell(self) -> None:
        if self._on_idle is not None and not self.ledger.in_flight:
            call, self._on_idle = self._on_idle, None
            call()
        if self._on_empty is not None and not len(self.ledger):
            call, self._on_empty = self._on_empty, None
            call()
        self._is_watched = self._on_idle is not None or self._on_empty is not None

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
        if self._is_watched:
            self._tell()

    def close(self) -> None:
        """Settle everything that is left as closed."""
        self._channel = None
        self._generation += 1
        self.sink.settle(self.ledger.close())
        if self._is_watched:
            self._tell()


def _missing_exchange(why: str, in_flight: Iterable[Entry]) -> str | None:
    """The exchange that the broker says is not there, if a message in flight is for it."""
    return next((entry.exchange for entry in in_flight if f"{_NO_EXCHANGE}{entry.exchange}' " in why), None)

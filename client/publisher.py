"""The publisher: the ledger's hands on the I/O thread.

It sends what the ledger has over the present publish channel, feeds the broker's answers back and settles
every entry once. The channel comes and goes with links; what was unconfirmed on the old one is published
again on the new one, in its original order and with the same message ids.

Two rules come from how RabbitMQ behaves after a crash:

* **A nack poisons the channel.** A channel whose first publish meets a quorum queue without a leader is
  nacked and goes on being nacked until the dead node is back, however well the queue is by then. So after a
  nack the channel is given up and a new one opened, again and again until the queue has a leader, for
  ``NACK_PATIENCE`` seconds at most after a switch or a change in the group, else for ``CALM_PATIENCE``.
* **A new channel starts with one message.** The rest follows when that one is confirmed. Otherwise a whole
  window would be refused again and again, and when a broker closes the channel over a message (an exchange
  that does not exist, a body too large), nobody would know which one it was.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from rabbitkeeper.client.ledger import Entry, Ledger, Outcome, Settled

NACK_RETRY = 0.02  # seconds from a nack to the next channel
NACK_PATIENCE = 15.0  # seconds of retrying after a switch or a change in the group
CALM_PATIENCE = 1.0  # seconds of retrying when nothing has happened
BURST = 256  # messages sent before the loop looks at anything else


class PublishChannel(Protocol):
    """What the publisher needs of a channel in confirm mode."""

    @property
    def is_open(self) -> bool: ...
    def publish(
        self, exchange: str, routing_key: str, body: bytes, properties: Any, *, mandatory: bool
    ) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Content:
    """What the ledger carries for the wire."""

    body: bytes
    properties: Any
    mandatory: bool
    start: Callable[[], bool]  # about to be sent for the first time; False: the caller has cancelled it
    settle: Callable[[Settled], None]


class Publisher:
    """Everything is called on the I/O thread; times are seconds, monotonic.

    Args:
        now: the clock.
        call_later: the loop's timer.
        renew: asks the engine for another publish channel on the present link; it answers with
            :meth:`attach`.
    """

    def __init__(
        self,
        now: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], Any],
        renew: Callable[[], None],
    ) -> None:
        self.ledger = Ledger()
        self.blocked: str | None = None  # why the broker blocks publishers, while it does
        self._now = now
        self._call_later = call_later
        self._renew = renew
        self._channel: PublishChannel | None = None
        self._generation = 0  # of the channel: timers of an earlier one are dropped
        self._probing = True  # one message in flight until the first confirm
        self._frozen = False
        self._nacked_since: float | None = None  # of an unbroken run of nacks
        self._troubled_at = float("-inf")  # the last switch or change in the group
        self._restoring = False  # the topology may be incomplete: what comes back is sent again

    # -- the channel's coming and going

    def attach(self, channel: PublishChannel) -> None:
        """Publish over ``channel`` from now on, first what is unconfirmed."""
        self.ledger.rewind()
        self._generation += 1
        self._channel = channel
        self._probing = True
        self._frozen = False
        self.pump()

    def detach(self) -> None:
        """The channel is gone."""
        self._channel = None
        self._generation += 1
        self.ledger.rewind()

    def freeze(self) -> None:
        """Send nothing more for now; answers are still taken."""
        self._frozen = True

    def thaw(self) -> None:
        self._frozen = False
        self.pump()

    def trouble(self) -> None:
        """A switch, or a change in the group: nacks are to be expected for a while."""
        self._troubled_at = self._now()

    def restoring(self, *, active: bool) -> None:
        """Whether the topology is being declared again. When it is there, what came back is sent again."""
        self._restoring = active
        if not active:
            self.thaw()

    # -- sending

    def add(self, entry: Entry) -> None:
        self.ledger.add(entry)

    def pump(self) -> None:
        """Send what may be sent."""
        channel = self._channel
        if channel is None or self._frozen or not channel.is_open or not self.ledger.pending:
            return
        room = BURST
        if self._probing:
            room = 1 - self.ledger.in_flight
            if room <= 0:
                return
        for entry in self.ledger.take(room, lambda entry: content_of(entry).start()):
            content = content_of(entry)
            channel.publish(
                entry.exchange,
                entry.routing_key,
                content.body,
                content.properties,
                mandatory=content.mandatory,
            )
        if self.ledger.pending and not self._probing:
            generation = self._generation
            self._call_later(0.0, lambda: self.pump() if generation == self._generation else None)

    # -- the broker's answers

    def answered(self, channel: PublishChannel, tag: int, *, multiple: bool, ack: bool) -> None:
        """``basic.ack`` or ``basic.nack``; of an earlier channel it means nothing any more."""
        if channel is not self._channel:
            return
        if not ack:
            self._nacked(tag, multiple=multiple)
            return
        settled = self.ledger.confirmed(tag, multiple=multiple)
        self._nacked_since = None
        if self._restoring and any(one.outcome is Outcome.RETURNED for one in settled):
            settled = self._send_again(settled)
        for one in settled:
            _settle(one)
        if self._probing:
            self._probing = False
        self.pump()

    def returned(
        self, channel: PublishChannel, message_id: str | None, exchange: str, key: str, why: str
    ) -> None:
        """``basic.return``."""
        if channel is self._channel:
            self.ledger.returned(message_id, exchange, key, why)

    def channel_lost(self, channel: PublishChannel, why: str, *, final: bool) -> None:
        """The broker closed the publish channel over a message.

        When only one message was in flight, it is the one. Otherwise nobody knows, and the next channel
        starts with one message at a time.

        Args:
            final: publishing it again would not help.
        """
        if channel is not self._channel:
            return
        culprits = list(self.ledger)[: self.ledger.in_flight]
        if len(culprits) == 1 and final and not self._restoring:
            for one in self.ledger.refuse(culprits, why):
                _settle(one)
        self._ask_for_another()

    def _nacked(self, tag: int, *, multiple: bool) -> None:
        now = self._now()
        named = self.ledger.nacked(tag, multiple=multiple)
        if self._nacked_since is None:
            self._nacked_since = now
        troubled = now - self._troubled_at < NACK_PATIENCE
        patience = NACK_PATIENCE if troubled else CALM_PATIENCE
        if now - self._nacked_since >= patience:
            self._nacked_since = None
            for one in self.ledger.refuse(
                named, f"the broker refused the message (basic.nack) for {patience:g} s"
            ):
                _settle(one)
        if self._channel is not None:
            self._channel.close()
        self._ask_for_another()

    def _send_again(self, settled: list[Settled]) -> list[Settled]:
        """Messages that came back while the topology was not complete are no verdict: add them once more."""
        final = []
        for one in settled:
            if one.outcome is Outcome.RETURNED:
                self.ledger.put_back(one.entry)
                self._frozen = True  # until the topology is there
            else:
                final.append(one)
        return final

    def _ask_for_another(self) -> None:
        """The present channel is of no use any more; another one is asked for, unless one comes by itself."""
        self.detach()
        generation = self._generation

        def due() -> None:
            if generation == self._generation:
                self._renew()

        self._call_later(NACK_RETRY, due)

    # -- deadlines and the end

    def expire(self) -> None:
        """Settle what is past its deadline."""
        for one in self.ledger.expire(self._now()):
            _settle(one)

    def close(self) -> None:
        """Settle everything that is left as closed."""
        self._channel = None
        self._generation += 1
        for one in self.ledger.close():
            _settle(one)


def content_of(entry: Entry) -> Content:
    """What an entry of the ledger carries."""
    content: Content = entry.content  # type: ignore[assignment]  # the ledger does not look inside
    return content


def _settle(settled: Settled) -> None:
    content_of(settled.entry).settle(settled)

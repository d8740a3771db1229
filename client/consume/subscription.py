"""A subscription: one consumer of one queue, for as long as its user wants it.

The wish to consume outlives connections and channels: whenever there is a connection and no consumer, one
is started, with growing pauses while the broker refuses. Each consumer has a channel of its own, so that
another's error cannot end it. Wish and fact are compared now and then (:meth:`Subscription.check`), so that
no consumer goes missing in silence.

What a lost channel had delivered and the user has not taken yet is dropped, because the broker delivers it
again. What was taken stays the user's; the answer to it then does nothing.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from rabbitkeeper.client.amqp.decoding import Delivery
from rabbitkeeper.client.amqp.transport import CallLater, Channel, ChannelLost, Connection
from rabbitkeeper.client.consume.acknowledger import Acknowledger
from rabbitkeeper.client.consume.deduplicator import Deduplicator
from rabbitkeeper.client.consume.inbox import Inbox
from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.model.errors import NotAuthorized, RabbitKeeperError, TopologyError
from rabbitkeeper.client.model.events import ConsumerLost, ConsumerMissing, ConsumerStarted, Event
from rabbitkeeper.client.model.retry import Retry

log = logging.getLogger(__name__)

MISSING_GRACE = 5.0  # seconds after a switch or a lost consumer in which its queue may still be declared
STOP_PATIENCE = 1.0  # seconds for the old connection's word that nothing more comes
START_PATIENCE = 10.0  # seconds for the broker's answer; a queue that elects a leader answers late

ACCESS_REFUSED, NOT_FOUND, PRECONDITION_FAILED = 403, 404, 406


@dataclass(frozen=True, slots=True)
class SubscriptionContext:
    """What a subscription needs of the engine.

    Args:
        post: hands a call over to the I/O thread.
        call_later: the loop's timer.
        now: seconds, monotonic.
        emit: takes events.
        resolve: the broker's name of a queue.
        is_pending: whether a queue is yet to be declared again.
        on_left: called when a consumer that was left has nothing more to say on its connection.
    """

    post: Callable[[Callable[[], None]], None]
    call_later: CallLater
    now: Callable[[], float]
    emit: Callable[[Event], None]
    resolve: Callable[[str], str]
    is_pending: Callable[[str], bool]
    on_left: Callable[[], None]
    random: Random


@dataclass(slots=True, eq=False)
class _Left:
    """A consumer that was left for another; its channel lives on for answers."""

    connection: Connection
    acknowledger: Acknowledger
    is_stopped: bool = False  # nothing more will be delivered

    @property
    def is_needed(self) -> bool:
        return self.acknowledger.is_alive and (not self.is_stopped or self.acknowledger.open > 0)


class Subscription:
    """Made by the engine; started, stopped and fed on the I/O thread, read on the user's.

    Args:
        queue_name: what to consume from.
        prefetch: how many unanswered messages the broker may have out.
        dedupe: as many ids of acked messages are remembered, and messages with one of them acked unseen.
    """

    def __init__(self, queue_name: str, prefetch: int, dedupe: int, context: SubscriptionContext) -> None:
        self.queue_name = queue_name
        self.prefetch = prefetch
        self.active = False  # the broker has a consumer of ours
        self._context = context
        self._deduplicator = Deduplicator(dedupe) if dedupe else None
        self._on_ack = None if self._deduplicator is None else self._deduplicator.acked
        self._retry = Retry(context.random)
        self._connection: Connection | None = None
        self._member = ""
        self._channel: Channel | None = None
        self._acknowledger: Acknowledger | None = None
        self._left: list[_Left] = []
        self._generation = 0
        self._waits_until: float | None = None  # for a retry
        self._tried_at = 0.0
        self._patient_until = 0.0  # a queue that is not found may yet be declared (again)
        self._missing_since: float | None = None
        self._why = "it was never started"
        self._wanted = True
        self._is_stopped = False  # it was to stop, and nothing will be delivered any more
        self._on_stopped: Callable[[], None] | None = None
        self._inbox = Inbox()

    # -- on the I/O thread: following the client

    def attach(self, connection: Connection, member: str, since: float) -> None:
        """Consume over ``connection``, which everything goes over since then (seconds, monotonic).

        When the connection before still works, its consumer is ended first: two at once would be dealt the
        queue's messages in turn, and those in transit on the old one would come behind later ones on the new.
        """
        channel = self._channel
        left = self._leave()
        self._connection, self._member = connection, member
        self._retry.worked()
        self._patient_until = since + MISSING_GRACE
        if self._missing_since is None:
            self._missing_since = self._context.now()
        expected = self._generation

        def begin() -> None:
            if expected == self._generation:
                self._start()

        if channel is None or left is None:
            begin()
            return

        def stopped() -> None:
            left.is_stopped = True
            begin()
            self.look()

        channel.stop_consuming(stopped)
        self._context.call_later(STOP_PATIENCE, begin)

    def detach(self) -> None:
        """The connection is gone."""
        self._leave()
        self.look()

    def holds(self, connection: Connection) -> bool:
        """Whether ``connection``, which was left, is needed: for last deliveries, or for answers."""
        return any(left.is_needed for left in self._left if left.connection is connection)

    def hurry(self) -> None:
        """What it waits for may be there now: do not wait out the pause."""
        if self._waits_until is not None:
            self._start()

    def look(self) -> None:
        """Something has ended that may have been waited for."""
        if self._left and not all(left.is_needed for left in self._left):
            self._left = [left for left in self._left if left.is_needed]
            self._context.on_left()
        if self._wanted:
            return
        if not self._is_stopped and (self._channel is None or not self._channel.is_open):
            self._stopped()
        elif self._is_stopped and self._on_stopped is not None and not self.in_hand:
            on_stopped, self._on_stopped = self._on_stopped, None
            on_stopped()

    # -- on the I/O thread: the end

    def stop(self, on_stopped: Callable[[], None]) -> None:
        """Have the broker deliver no more, and give back what the user has not taken.

        Args:
            on_stopped: called once when nothing is in hand any more, or the end has come in another way.
        """
        self._wanted = False
        self._on_stopped = on_stopped
        self.flush()
        if self._acknowledger is not None:
            self._acknowledger.on_idle = self.look
        if self._channel is not None and self._channel.is_open:
            self._channel.stop_consuming(self._stopped)
        else:
            self._stopped()

    def cancel(self) -> None:
        """The user wants no more: what is unanswered goes back to the queue."""
        self._wanted = False
        self._on_stopped = None
        self.flush()
        channel = self._channel
        self._forget()
        self._connection = None
        if channel is not None:
            channel.close()
        self._left.clear()
        self._context.on_left()
        self._inbox.end(None)

    def end(self, error: RabbitKeeperError | None) -> None:
        """No message will come any more; the user's iterator ends, with ``error`` if there is one."""
        self._wanted = False
        self.active = False
        self._inbox.end(error)
        if self._on_stopped is not None:
            on_stopped, self._on_stopped = self._on_stopped, None
            on_stopped()

    def _stopped(self) -> None:
        """Nothing more will be delivered to a subscription that was to stop."""
        if not self._is_stopped:
            self._is_stopped = True
            self._inbox.give_back()
            self._inbox.end(None)
        self.look()

    @property
    def is_wanted(self) -> bool:
        """Whether the broker is to deliver."""
        return self._wanted

    @property
    def in_hand(self) -> int:
        """Messages delivered and not answered, whether taken or not."""
        acknowledger = self._acknowledger  # read once: asked from other threads too
        current = 0 if acknowledger is None else acknowledger.open
        return current + sum(left.acknowledger.open for left in self._left)

    def flush(self) -> None:
        """Send the answers that have gathered."""
        for left in list(self._left):
            left.acknowledger.flush()
        if self._acknowledger is not None:
            self._acknowledger.flush()

    # -- on the I/O thread: one consumer after the other

    def check(self) -> None:
        """Compare the wish with the fact; report a difference and see to it."""
        now = self._context.now()
        if not self._wanted or self._connection is None or not self._connection.is_open:
            return
        if self.active and self._channel is not None and self._channel.is_open:
            return
        self.active = False
        if self._missing_since is None:
            self._missing_since = now
        missing = now - self._missing_since
        if missing >= MISSING_GRACE:
            log.warning("no consumer of %r for %.0f s: %s", self.queue_name, missing, self._why)
            self._context.emit(ConsumerMissing(self.queue_name, missing, self._why))
        waits = self._waits_until is not None and now < self._waits_until + 1.0
        if not waits and now - self._tried_at > START_PATIENCE:
            channel = self._channel
            self._why = f"no answer from the broker in {START_PATIENCE:g} s" if channel else self._why
            self._forget()
            if channel is not None:
                channel.close()
            self._start()

    def _start(self) -> None:
        connection = self._connection
        if connection is None or not self._wanted or self._channel is not None or not connection.is_open:
            return
        self._generation += 1
        self._waits_until = None
        self._tried_at = self._context.now()
        generation = self._generation

        def opened(channel: Channel) -> None:
            if generation != self._generation or not self._wanted:
                channel.close()
                return
            acknowledger = Acknowledger(
                channel, self.prefetch, post=self._context.post, call_later=self._context.call_later
            )
            self._acknowledger = acknowledger
            channel.consume(
                self._context.resolve(self.queue_name),
                self.prefetch,
                on_ready=lambda: self._consuming(generation),
                on_deliveries=lambda deliveries: self._delivered(acknowledger, deliveries),
                on_cancelled=lambda: self._lost(generation, ChannelLost(0, "the broker ended the consumer")),
            )

        self._channel = connection.channel(opened, lambda _channel, lost: self._lost(generation, lost))

    def _leave(self) -> _Left | None:
        """The connection is gone or is being left. While it lives, what it brought can be taken and
        answered."""
        left = None
        if self._connection is not None and self._acknowledger is not None:
            left = _Left(self._connection, self._acknowledger)
            left.acknowledger.on_idle = self.look
            self._left = [known for known in self._left if known.is_needed]
            self._left.append(left)
        elif self._channel is not None:
            self._channel.close()  # nobody consumes on it yet
        self._forget()
        self._connection = None
        return left

    def _forget(self) -> None:
        """The present consumer is none any more."""
        self._channel = self._acknowledger = None
        self._generation += 1
        self.active = False

    def _delivered(self, acknowledger: Acknowledger, deliveries: list[Delivery]) -> None:
        acknowledger.delivered(deliveries[-1][0])
        self._inbox.put(acknowledger, deliveries)
        if not self._wanted:
            self._inbox.give_back()

    def _consuming(self, generation: int) -> None:
        if generation == self._generation:
            self.active = True
            self._missing_since = None
            self._retry.worked()
            self._context.emit(ConsumerStarted(self.queue_name, self._member))

    def _lost(self, generation: int, lost: ChannelLost) -> None:
        if generation != self._generation:
            self.look()
            return
        channel, was_active = self._channel, self.active
        self._forget()
        self._why = lost.why
        if channel is not None:
            channel.close()
        now = self._context.now()
        if not self._wanted:
            self.look()
            return
        if self._missing_since is None:
            self._missing_since = now
        if was_active or lost.code != NOT_FOUND:  # it was there a moment ago
            self._patient_until = now + MISSING_GRACE
        patient = now <= self._patient_until or self._context.is_pending(self.queue_name)
        error = _final(self.queue_name, lost, was_active=was_active, patient=patient)
        if error is not None or was_active:
            self._context.emit(ConsumerLost(self.queue_name, lost.why, error is not None))
        if error is not None:
            log.error("consumer of %r ended: %s", self.queue_name, lost.why)
            self.end(error)
            return
        delay = self._retry.failed()
        log.info("consumer of %r ended: %s; again in %.2f s", self.queue_name, lost.why, delay)
        self._waits_until = now + delay
        expected = self._generation

        def again() -> None:
            if expected == self._generation:
                self._start()

        self._context.call_later(delay, again)

    # -- on the user's thread

    def get(self, timeout: float | None) -> Message | None:
        """The next message; None when the subscription has ended.

        Raises:
            queue.Empty: none came within ``timeout`` seconds.
            RabbitKeeperError: why there will be no more.
        """
        while (taken := self._inbox.take(timeout)) is not None:
            acknowledger, delivery = taken
            message = Message(delivery, self.queue_name, acknowledger, self._on_ack)
            if self._deduplicator is None or not self._deduplicator.has(message):
                return message
            acknowledger.ack(message.delivery_tag)
        return None


def _final(queue: str, lost: ChannelLost, *, was_active: bool, patient: bool) -> RabbitKeeperError | None:
    """The error to end with; None if the consumer may well be taken on again.

    Args:
        was_active: the broker had taken the consumer on.
        patient: a queue that is not found may yet be declared (again).
    """
    if lost.code == ACCESS_REFUSED and "exclusive use" not in lost.why:
        return NotAuthorized(f"consuming from {queue!r} was refused: {lost.why}")
    never_taken_on = lost.code == PRECONDITION_FAILED and not was_active
    # a classic queue on a node that is down is not found either, and comes back with its node
    deleted = lost.code == NOT_FOUND and "no queue" in lost.why
    if never_taken_on or (deleted and not patient):
        return TopologyError(f"cannot consume from {queue!r}: {lost.why}")
    return None

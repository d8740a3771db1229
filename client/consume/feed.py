"""The feed: brings what consumers deliver into the inbox, one consumer after the other. On the I/O thread.

As a rule a consumer ends before the next one begins. Where the next one has to be there first, because the
queue would go with its last consumer, what it gets is held until the one before delivers nothing more.

What RabbitMQ had on its way to a consumer of a quorum queue as it was cancelled goes back to the queue
behind the answer to the cancel: a replica delivers to the channels of its own node, and hears of what the
leader has settled with the leader's next command, which is the next consumer's start (seen on 3.10.8; that
channel gives it back: ``rabbit_fifo_client.erl``, ``handle_delivery``). So the next one gets a later
message first, and behind it the one that has come back, marked as redelivered. What it gets in its first
moments is held, and what was delivered before goes first.

A consumer that is left delivers nothing more, or what it delivers goes back. Its channel lives on for answers
to what it had delivered before.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from rabbitkeeper.client.amqp.decoding import Delivery
from rabbitkeeper.client.amqp.transport import CallLater, Channel, Connection
from rabbitkeeper.client.consume.acknowledger import Acknowledger
from rabbitkeeper.client.consume.inbox import Inbox

RETURN_PATIENCE = 0.05  # seconds from a consumer's start for what was on its way to the one before
STOP_PATIENCE = 1.0  # seconds for a consumer's last deliveries; what comes later goes back


@dataclass(slots=True, eq=False)
class BrokerConsumer:
    """One consumer, on a channel of its own.

    Attributes:
        queue: the broker's name of what it consumes from.
        is_left: it is not the present one any more.
        is_stopped: nothing more will be delivered.
        is_late: another consumer is fed in its place; what is still delivered here goes back.
        delivered: messages so far.
        awaits_returns: what is delivered waits for what comes back of the consumer before this one.
        held: deliveries that wait: for that, or until the consumer before this one delivers nothing more.
    """

    queue: str
    connection: Connection
    channel: Channel
    acknowledger: Acknowledger
    is_left: bool = False
    is_stopped: bool = False
    is_late: bool = False
    awaits_returns: bool = False
    delivered: int = 0
    held: list[Delivery] = field(default_factory=list)

    @property
    def is_needed(self) -> bool:
        """Of one that was left: whether there is still something to deliver or to answer."""
        return self.channel.is_open and (not self.is_stopped or self.acknowledger.open > 0)

    def release(self) -> list[Delivery]:
        """What is held, which is so no more."""
        held, self.held = self.held, []
        return held


@dataclass(slots=True)
class LeftConsumers:
    """Those of one subscription that were left for another."""

    _all: list[BrokerConsumer] = field(default_factory=list)

    def add(self, consumer: BrokerConsumer) -> None:
        self._all.append(consumer)

    @property
    def in_hand(self) -> int:
        """Messages delivered by them and not answered. From any thread."""
        return sum(consumer.acknowledger.open for consumer in self._all)

    def holds(self, connection: Connection) -> bool:
        """Whether ``connection`` is needed by one of them: for last deliveries, or for answers."""
        return any(consumer.is_needed for consumer in self.on(connection))

    def on(self, connection: Connection) -> list[BrokerConsumer]:
        """Those on ``connection``."""
        return [consumer for consumer in self._all if consumer.connection is connection]

    def flush(self) -> None:
        """Send the answers that have gathered."""
        for consumer in list(self._all):
            consumer.acknowledger.flush()

    def drop_finished(self) -> bool:
        """Close the channels on which nothing is to be said any more; whether there were any."""
        finished = [consumer for consumer in self._all if not consumer.is_needed]
        if finished:
            self._all = [consumer for consumer in self._all if consumer.is_needed]
            for consumer in finished:
                consumer.channel.close()
        return bool(finished)

    def close(self) -> None:
        """Close the channels of all of them; what is unanswered goes back to its queue."""
        consumers, self._all = self._all, []
        for consumer in consumers:
            consumer.channel.close()


class Feed:
    """Of one subscription.

    Args:
        on_change: called when a consumer that was left may have nothing more to say.
    """

    def __init__(self, inbox: Inbox, call_later: CallLater, on_change: Callable[[], None]) -> None:
        self.left = LeftConsumers()
        self._inbox = inbox
        self._call_later = call_later
        self._on_change = on_change
        self._last: BrokerConsumer | None = None  # feeds until the next one is there
        self._next: BrokerConsumer | None = None  # holds what it gets
        self._is_handed_over = False  # the consumer before the next one has ended for it

    def delivered(self, consumer: BrokerConsumer, deliveries: list[Delivery], *, is_wanted: bool) -> None:
        """``consumer`` has got messages; ``is_wanted``: the user takes messages."""
        consumer.delivered += len(deliveries)
        consumer.acknowledger.delivered(deliveries[-1][0])
        if (consumer.is_late or not is_wanted) and consumer.acknowledger.is_expected:
            for delivery in deliveries:
                consumer.acknowledger.give_back(delivery[0])
        elif consumer.awaits_returns or (self._last is not None and not consumer.is_left):
            consumer.held += deliveries
        else:
            self._inbox.put(consumer.acknowledger, deliveries)

    def leave(self, consumer: BrokerConsumer) -> None:
        """It is not the present one any more. While its channel lives, what it brought can be taken and
        answered."""
        self._returned(consumer)
        consumer.is_left = True
        consumer.acknowledger.on_answers = self._on_change
        self._give_back_held(consumer)
        self.left.add(consumer)

    def end(self, consumer: BrokerConsumer, then: Callable[[], None] = lambda: None) -> None:
        """Have a consumer deliver no more; ``then`` is called when it does not, or what it still delivers
        goes back. Perhaps twice."""

        def stopped() -> None:
            consumer.is_stopped = True
            then()
            self._on_change()

        def is_late() -> None:
            consumer.is_late = not consumer.is_stopped
            then()

        if consumer.is_stopped:
            then()
            return
        consumer.channel.stop_consuming(stopped)
        self._call_later(STOP_PATIENCE, is_late)

    def hand_over(self, consumer: BrokerConsumer, begin: Callable[[], None]) -> None:
        """Have a consumer deliver no more, and then begin the next one; see :meth:`end`."""
        self._is_handed_over = True
        self.end(consumer, begin)

    def keep_until_next(self, consumer: BrokerConsumer) -> None:
        """Let a consumer that was left feed on until the next one is there."""
        if self._last is None:
            self._last = consumer
        elif self._last is not consumer:  # one before it still feeds
            self.end(consumer)

    def next_is_there(self, consumer: BrokerConsumer) -> None:
        """The broker has taken the present consumer on."""
        if self._last is not None:
            last, self._next = self._last, consumer
            self.end(last, lambda: self._take_over(last))
        elif self._is_handed_over:
            self._next, consumer.awaits_returns = consumer, True
            self._call_later(RETURN_PATIENCE, lambda: self._returned(consumer))
        self._is_handed_over = False

    def give_back(self, consumer: BrokerConsumer) -> None:
        """What nobody has taken of it goes back; of a stream it stays."""
        if not self._inbox.keeps_lost:
            self._inbox.give_back(consumer.acknowledger)

    def let_go(self, connection: Connection) -> None:
        """``connection``, which was left, is about to be closed."""
        for consumer in self.left.on(connection):
            self.give_back(consumer)
            consumer.acknowledger.flush()

    def close(self) -> None:
        """The user takes no more: the consumer before ends, what is held goes back."""
        if self._last is not None:
            last, self._last = self._last, None
            self.end(last)
        if self._next is not None:
            self._give_back_held(self._next)

    def _take_over(self, last: BrokerConsumer) -> None:
        if self._last is not last:  # that is over: it was late, and there is another since
            return
        self._last = None
        consumer, self._next = self._next, None
        if consumer is not None and consumer.held:
            self._inbox.put(consumer.acknowledger, consumer.release())

    def _returned(self, consumer: BrokerConsumer) -> None:
        """What comes back of the consumer before this one has come."""
        if consumer.awaits_returns:
            consumer.awaits_returns = False
            if self._next is consumer:  # else its channel is lost, and there is another since
                self._next = None
            if held := sorted(consumer.release(), key=lambda delivery: not delivery[1]):
                self._inbox.put(consumer.acknowledger, held)

    def _give_back_held(self, consumer: BrokerConsumer) -> None:
        held = consumer.release()
        if held and not consumer.acknowledger.is_expected:
            self._inbox.put(consumer.acknowledger, held)
            return
        for delivery in held:
            consumer.acknowledger.give_back(delivery[0])

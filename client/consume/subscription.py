"""A subscription: one consumer of one queue, for as long as its user wants it.

The wish to consume outlives connections and channels: whenever there is a connection and no consumer, one
is started, with growing pauses while the broker refuses. Each consumer has a channel of its own, so that
another's error cannot end it. Wish and fact are compared now and then (:meth:`Subscription.check`), so that
no consumer goes missing in silence.

What a lost channel had delivered and the user has not taken yet is dropped, because the broker delivers it
again. What was taken stays the user's; the answer to it then does nothing.

One consumer feeds a subscription at a time; see :mod:`feed`.
"""

import logging
from collections.abc import Callable

from rabbitkeeper.client.amqp.decoding import Delivery
from rabbitkeeper.client.amqp.transport import Channel, ChannelLost, Connection
from rabbitkeeper.client.consume.context import SubscriptionContext
from rabbitkeeper.client.consume.feed import BrokerConsumer, Feed
from rabbitkeeper.client.consume.inbox import Inbox
from rabbitkeeper.client.consume.refusals import Absence, QueuePatience, warn_of_limit
from rabbitkeeper.client.consume.starvation import Starvation
from rabbitkeeper.client.consume.stop_wait import StopWait
from rabbitkeeper.client.consume.stream import Offset, StreamReading
from rabbitkeeper.client.consume.taker import Taker
from rabbitkeeper.client.model.consumer_options import DEFAULT, ConsumerOptions
from rabbitkeeper.client.model.errors import RabbitKeeperError
from rabbitkeeper.client.model.events import ConsumerLost, ConsumerStalled, ConsumerStarted
from rabbitkeeper.client.model.retry import Retry, doubled
from rabbitkeeper.client.model.topology import Queue

log = logging.getLogger(__name__)

END_PATIENCE = 0.25  # seconds for the broker's word that nothing more comes; the channel's end says the same
SETTLED = 1.0  # seconds after which the end of a consumer counts as the first failure again
ANSWER_PATIENCE = 1.0  # seconds for the broker's answer, which an election delays; doubled each time …
MOST_ANSWER_PATIENCE = 16.0  # … up to so many
SILENCES = 2  # attempts in a row without an answer, after which the member may be what does not answer


class Subscription:
    """Made by the engine; started, stopped and fed on the I/O thread, read on the user's.

    Args:
        queue_name: what to consume from.
        prefetch: how many unanswered messages the broker may have out.
        dedupe: see :class:`Taker`.
        offset: where to begin in a stream; None for a queue, or for what comes next.
        options: how the broker is asked.

    Attributes:
        get: takes the next message, on a user's thread; see :meth:`Taker.get`.
    """

    def __init__(
        self,
        queue_name: str,
        prefetch: int,
        dedupe: int,
        context: SubscriptionContext,
        offset: Offset | None = None,
        options: ConsumerOptions = DEFAULT,
    ) -> None:
        self.queue_name = queue_name
        self.prefetch = prefetch
        self.options = options
        self.inbox = Inbox(gives_back=not options.no_ack)
        self.get = Taker(self.inbox, queue_name, dedupe).get
        self.active = False  # the broker has a consumer of ours
        self.on_active: Callable[[], None] = lambda: None  # called whenever that begins
        self.connection: Connection | None = None
        self._context = context
        self._retry = Retry(context.random)
        self._stream = StreamReading(self.inbox, offset)
        self.starvation = Starvation(context.random)
        self._member = ""
        self._channel: Channel | None = None  # of the present consumer, open or not
        self._consumer: BrokerConsumer | None = None  # the present one, from its channel's opening on
        self.feed = Feed(self.inbox, context.call_later, self.look)
        self._generation = 0
        self._waits_until: float | None = None  # for a retry
        self._tried_at = 0.0
        self._silences = 0  # attempts in a row that had no answer, also before a planned move
        self._patience = QueuePatience(queue_name)
        self._absence = Absence(queue_name)
        self._wanted = True
        self.stop_wait = StopWait(lambda: self.in_hand)

    # -- on the I/O thread: following the client

    def attach(self, connection: Connection, member: str, since: float) -> None:
        """Consume over ``connection``, which everything goes over since then (seconds, monotonic).

        When the connection before still works, its consumer is ended first: two at once would be dealt the
        queue's messages in turn, and those in transit on the old one would come behind later ones on the new.
        """
        left = self._leave()
        self.connection, self._member = connection, member
        self._retry.worked()
        self._patience.begin(since)
        self._absence.begin(self._context.now())
        begin = self._starter()
        overlap = self._goes_with_consumers and not self.options.exclusive
        if left is not None and not (overlap and left.queue == self.broker_name):
            self.feed.hand_over(left, begin)
            return
        if left is not None:
            self.feed.keep_until_next(left)
        begin()

    def detach(self) -> None:
        """The connection is gone."""
        self._leave()
        self.connection, self._silences = None, 0
        self.look()

    def hurry(self) -> None:
        """What it waits for may be there now: do not wait out the pause."""
        if self._waits_until is not None:
            self._start()

    def look(self) -> None:
        """Something has ended that may have been waited for."""
        if self.feed.left.drop_finished():
            self._context.on_left()
        if self._wanted:
            return
        if not self.stop_wait.is_stopped and (self._channel is None or not self._channel.is_open):
            self._stopped()
        else:
            self.stop_wait.look()

    # -- on the I/O thread: the end

    def stop(self, on_stopped: Callable[[], None]) -> None:
        """Have the broker deliver no more, and give back what the user has not taken; ``on_stopped``: see
        :meth:`StopWait.begin`."""
        self._wanted = False
        self.stop_wait.begin(on_stopped)
        self.flush()
        self.inbox.give_back()
        self.feed.close()
        consumer = self._consumer
        if consumer is not None:
            consumer.acknowledger.on_answers = self.look
        if consumer is not None and consumer.channel.is_open:  # one that is asked for may come yet
            consumer.channel.stop_consuming(self._stopped)
            self._context.call_later(END_PATIENCE, self._stopped)
        else:
            self._stopped()

    def excuse(self, messages: int) -> None:
        """See :meth:`StopWait.excuse`. From any thread."""
        self._context.post(lambda: self.stop_wait.excuse(messages))

    def cancel(self) -> None:
        """The user wants no more: what is unanswered goes back to the queue."""
        self._wanted = False
        self.stop_wait.begin(None)
        self.flush()
        channel = self._channel
        self._forget()
        self.connection = None
        if channel is not None:
            channel.close()
        self.feed.left.close()
        self._context.on_left()
        self.inbox.end(None)

    def end(self, error: RabbitKeeperError | None) -> None:
        """No message will come any more; the user's iterator ends, with ``error`` if there is one."""
        self._wanted = False
        self.active = False
        self.inbox.end(error)
        self.stop_wait.end()

    def _stopped(self) -> None:
        """Nothing more will be delivered to a subscription that was to stop."""
        self.stop_wait.is_stopped = True
        self.inbox.give_back()
        self.inbox.end(None)
        self.look()

    @property
    def is_wanted(self) -> bool:
        """Whether the broker is to deliver."""
        return self._wanted

    @property
    def in_hand(self) -> int:
        """Messages delivered and not answered, whether taken or not."""
        consumer = self._consumer  # read once: asked from other threads too
        return self.feed.left.in_hand + (0 if consumer is None else consumer.acknowledger.open)

    def flush(self) -> None:
        """Send the answers that have gathered."""
        self.feed.left.flush()
        if self._consumer is not None:
            self._consumer.acknowledger.flush()

    # -- on the I/O thread: what is asked of the broker now and then

    def check(self) -> None:
        """Compare the wish with the fact; report a difference and see to it."""
        now = self._context.now()
        self.flush()  # a signal's exception may have kept an answer from asking for that
        if not self._wanted or self.connection is None or not self.connection.is_open:
            return
        if self.active and self._channel is not None and self._channel.is_open:
            return
        self.active = False
        self._absence.tell(now, self._context.emit)
        waits = self._waits_until is not None and now < self._waits_until + 1.0
        if not waits and now - self._tried_at > MOST_ANSWER_PATIENCE:
            self._start_again()

    @property
    def broker_name(self) -> str:
        """The broker's name of the queue."""
        return self._context.resolve(self.queue_name)

    @property
    def _goes_with_consumers(self) -> bool:
        """Whether this client has declared the queue, which goes with its last consumer."""
        return self.declared is not None and self.declared.auto_delete

    @property
    def declared(self) -> Queue | None:
        """The queue as this client has declared it, if it has."""
        return self._context.declared(self.queue_name)

    def to_be_fed(self) -> tuple[BrokerConsumer | None, int]:
        """The consumer, if it has room and nothing is on its way; and how many messages it has got."""
        consumer = self._consumer
        if consumer is None or not self.active or not self._wanted or self._stream.is_one:
            return None, 0
        if consumer.acknowledger.open >= self.prefetch or consumer.channel.is_receiving:
            return None, 0
        return consumer, consumer.delivered

    def replace(self, consumer: BrokerConsumer, why: ConsumerStalled) -> None:
        """The broker does not feed it: start another beside it, which takes its place when it is there. The
        queue may be one that goes with its last consumer."""
        log.warning("no delivery of %r for %.0f s, %d ready", self.queue_name, why.seconds, why.ready)
        self._context.emit(why)
        self._absence.why = "the broker did not deliver what it had"
        self._leave()
        self._absence.begin(self._context.now())
        if self.options.exclusive:
            self.feed.end(consumer, self._starter())
            return
        self.feed.keep_until_next(consumer)
        self._start()

    # -- on the I/O thread: one consumer after the other

    def _start(self) -> None:
        connection = self.connection
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
            acknowledger = self._context.acknowledger(channel, self.prefetch, no_ack=self.options.no_ack)
            name = self.broker_name
            arguments = self.options.arguments_with(self._stream.arguments(self.declared))
            consumer = self._consumer = BrokerConsumer(name, connection, channel, acknowledger)
            channel.consume(
                name,
                self.prefetch,
                arguments,
                exclusive=self.options.exclusive,
                no_ack=self.options.no_ack,
                on_ready=lambda: self._consuming(generation),
                on_deliveries=lambda deliveries: self._delivered(consumer, deliveries),
                on_cancelled=lambda: self._cancelled(consumer),
            )

        self._channel = connection.channel(opened, lambda _channel, lost: self._lost(generation, lost))
        self._await_answer(generation)

    def _await_answer(self, generation: int) -> None:
        """The consumer that was asked for is to be there soon; else it is asked for on another channel."""

        def late() -> None:
            if generation != self._generation or self.active or not self._wanted:
                return
            self._silences += 1
            self._absence.why = f"no answer from the broker in {seconds:g} s"
            log.info("no consumer of %r yet: %s", self.queue_name, self._absence.why)
            connection = self.connection
            self._start_again()
            if connection is not None and self._silences >= SILENCES:
                self._context.on_silent(connection)

        seconds = doubled(ANSWER_PATIENCE, self._silences, MOST_ANSWER_PATIENCE)
        self._context.call_later(seconds, late)

    def _start_again(self) -> None:
        """What was asked for is given up."""
        channel = self._channel
        self._forget()
        if channel is not None:
            channel.close()
        self._start()

    def _starter(self) -> Callable[[], None]:
        """What starts a consumer, unless something else has happened before it is called."""
        expected = self._generation

        def start() -> None:
            if expected == self._generation:
                self._start()

        return start

    def _leave(self) -> BrokerConsumer | None:
        """The present consumer is none any more; while its connection lives, see :mod:`feed`."""
        consumer, channel = self._consumer, self._channel
        is_silent = self._silences > 0 and not self.active
        self._forget()
        if consumer is not None and not is_silent:
            self.feed.leave(consumer)
            return consumer
        if channel is not None:
            channel.close()  # nobody consumes on it yet, or nobody knows
        return None

    def _forget(self) -> None:
        """The present consumer is none any more."""
        self._channel = self._consumer = None
        self._generation += 1
        self.active = False

    def _delivered(self, consumer: BrokerConsumer, deliveries: list[Delivery]) -> None:
        deliveries = self._stream.new_ones(consumer, deliveries)
        if deliveries:
            self.feed.delivered(consumer, deliveries, is_wanted=self._wanted)

    def _consuming(self, generation: int) -> None:
        if generation != self._generation:
            return
        self.active = True
        self._silences = 0
        self._patience.was_taken_on()
        warn_of_limit(self.declared, self._context.warned)
        self._stream.was_taken_on()
        self._absence.end()
        self._context.emit(ConsumerStarted(self.queue_name, self._member))
        self.on_active()
        if self._consumer is not None:
            self.feed.next_is_there(self._consumer)

    def _cancelled(self, consumer: BrokerConsumer) -> None:
        """The broker has ended a consumer. Its channel lives on for answers."""
        consumer.is_stopped = True
        if consumer is self._consumer:
            self.feed.give_back(consumer)
            was_active = self.active
            self._leave()
            self.active = was_active
            consumer.acknowledger.flush()
            self._lost(self._generation, ChannelLost(0, "the broker ended the consumer"))
        self.look()

    def _lost(self, generation: int, lost: ChannelLost) -> None:
        if generation != self._generation:
            self.look()
            return
        was_active = self.active
        self._forget()
        self._absence.why, now = lost.why, self._context.now()
        if was_active and now - self._tried_at >= SETTLED:
            self._retry.worked()
        if not self._wanted:
            self.look()
            return
        self._absence.begin(now)
        if self._goes_with_consumers and self._patience.asks_for_queue(lost, now):
            self._context.declare_again(self.queue_name)
        is_pending = self._context.is_pending(self.queue_name)
        error = self._patience.error(lost, now, was_active=was_active, is_pending=is_pending)
        if error is not None or was_active:
            self._context.emit(ConsumerLost(self.queue_name, lost.why, error is not None))
        if error is not None:
            log.error("consumer of %r ended: %s", self.queue_name, lost.why)
            self.end(error)
            return
        delay = self._retry.failed()
        log.info("consumer of %r ended: %s; again in %.2f s", self.queue_name, lost.why, delay)
        self._waits_until = now + delay
        self._context.call_later(delay, self._starter())

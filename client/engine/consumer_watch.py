"""The consumer watch: asks brokers about the queues of consumers that get nothing.

It asks over a channel of its own on the consumer's connection, one question at a time. What the answers mean
is for :mod:`starvation`. A question that is refused or not answered says nothing about the consumer.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable

from rabbitkeeper.client.amqp.transport import CallLater, Channel, ChannelLost, Connection
from rabbitkeeper.client.consume.subscription import Subscription
from rabbitkeeper.client.model.events import ConsumerStalled

log = logging.getLogger(__name__)

ANSWER_PATIENCE = 2.0  # seconds for an answer; a queue without a leader gives none


class ConsumerWatch:
    """For all consumers of one client, on the I/O thread.

    Args:
        now: seconds, monotonic.
        call_later: the loop's timer.
    """

    def __init__(self, now: Callable[[], float], call_later: CallLater) -> None:
        self._now = now
        self._call_later = call_later
        self._waiting: deque[Subscription] = deque()
        self._asked: Subscription | None = None
        self._channel: Channel | None = None
        self._connection: Connection | None = None
        self._question = 0  # number of the last one: a later answer to an earlier one counts no more

    def check(self, subscriptions: Iterable[Subscription]) -> None:
        """Ask about those that get nothing. To be called each few seconds."""
        known = {self._asked, *self._waiting}
        for subscription in subscriptions:
            if self._is_due(subscription) and subscription not in known:
                self._waiting.append(subscription)
        self._next()

    def _is_due(self, subscription: Subscription) -> bool:
        return subscription.starvation.notice(*subscription.to_be_fed(), self._now())

    def _answered(self, subscription: Subscription, ready: int, consumers: int) -> None:
        """Its queue has so many messages to deliver, and so many consumers."""
        starvation, now = subscription.starvation, self._now()
        consumer, delivered = subscription.to_be_fed()
        if consumer is None or not starvation.is_still(consumer, delivered):
            return
        declared = subscription.declared
        if consumers > 1 and declared is not None and declared.feeds_one_consumer:
            ready = 0  # it may be another's turn
        if starvation.judge(ready, now):
            why = ConsumerStalled(subscription.queue_name, ready, starvation.seconds(now))
            subscription.replace(consumer, why)

    def _next(self) -> None:
        while self._asked is None and self._waiting:
            subscription = self._waiting.popleft()
            connection = subscription.connection
            if connection is not None and connection.is_open and self._is_due(subscription):
                self._asked = subscription
                self._ask(connection)

    def _ask(self, connection: Connection) -> None:
        self._question += 1
        question = self._question
        self._call_later(ANSWER_PATIENCE, lambda: self._give_up(question))
        channel = self._channel
        if channel is not None and channel.is_open and self._connection is connection:
            self._look(channel)
            return
        self._drop_channel()
        self._connection = connection
        self._channel = connection.channel(self._opened, self._lost)

    def _opened(self, channel: Channel) -> None:
        if channel is self._channel and self._asked is not None:
            self._look(channel)

    def _look(self, channel: Channel) -> None:
        question, subscription = self._question, self._asked
        if subscription is None:
            return

        def seen(ready: int, consumers: int) -> None:
            if question == self._question and self._asked is subscription:
                self._asked = None
                self._answered(subscription, ready, consumers)
                self._next()

        channel.look(subscription.broker_name, seen)

    def _lost(self, channel: Channel, lost: ChannelLost) -> None:
        """Refused: the queue is not there, is another's, or there is no free channel."""
        if channel is self._channel:
            log.debug("a queue could not be looked at: %s", lost.why)
            self._channel = None
            self._unanswered()

    def _give_up(self, question: int) -> None:
        if question == self._question and self._asked is not None:
            self._drop_channel()  # the next question would wait behind this one
            self._unanswered()

    def _unanswered(self) -> None:
        subscription, self._asked = self._asked, None
        if subscription is not None:
            subscription.starvation.unanswered(self._now())
        self._next()

    def _drop_channel(self) -> None:
        channel, self._channel, self._connection = self._channel, None, None
        if channel is not None:
            channel.close()

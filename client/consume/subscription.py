"""A subscription: one consumer of one queue, for as long as its user wants it.

The wish to consume outlives links and channels: whenever there is a link and no consumer, one is started,
with growing pauses while the broker refuses. Each consumer has a channel of its own, so that another's
error cannot end it. Wish and fact are compared now and then (:meth:`Subscription.check`), so that no consumer
goes missing in silence.

What a lost channel had delivered and the user has not taken yet is dropped here, because the broker delivers
it again. What he has taken stays his; his answer to it then does nothing.
"""

import logging
import queue
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from rabbitkeeper.client.amqp.decoding import Delivery
from rabbitkeeper.client.amqp.transport import CallLater, Channel, ChannelLost, Connection
from rabbitkeeper.client.consume.acknowledger import Answers
from rabbitkeeper.client.consume.deduplicator import Seen
from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.model.errors import NotAuthorized, RabbitKeeperError, TopologyError
from rabbitkeeper.client.model.events import ConsumerLost, ConsumerMissing, ConsumerStarted, Event
from rabbitkeeper.client.model.retry import Retry

log = logging.getLogger(__name__)

MISSING_GRACE = 5.0  # seconds after a switch or a lost consumer in which its queue may still be declared
STOP_PATIENCE = 1.0  # seconds for the old link's word that nothing more comes
START_PATIENCE = 10.0  # seconds for the broker's answer; a queue that elects a leader answers late

ACCESS_REFUSED, NOT_FOUND, PRECONDITION_FAILED = 403, 404, 406

_Item = tuple[Answers, Delivery] | RabbitKeeperError | None


@dataclass(slots=True)
class _Left:
    """A consumer that was left for another; its channel lives on for answers."""

    link: Connection
    answers: Answers
    is_stopped: bool = False  # nothing more will be delivered


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a subscription needs of the engine.

    Args:
        post: hands a call over to the I/O thread.
        call_later: the loop's timer.
        now: seconds, monotonic.
        emit: takes events.
        resolve: the broker's name of a queue.
        is_pending: whether a queue is yet to be declared again.
    """

    post: Callable[[Callable[[], None]], None]
    call_later: CallLater
    now: Callable[[], float]
    emit: Callable[[Event], None]
    resolve: Callable[[str], str]
    is_pending: Callable[[str], bool]
    random: Random


class Subscription:
    """Made by the engine; started, stopped and fed on the I/O thread, read on the user's.

    Args:
        queue_name: what to consume from.
        prefetch: how many unanswered messages the broker may have out.
        dedupe: as many ids of acked messages are remembered, and messages with one of them acked unseen.
    """

    def __init__(self, queue_name: str, prefetch: int, dedupe: int, around: Surroundings) -> None:
        self.queue_name = queue_name
        self.prefetch = prefetch
        self.active = False  # the broker has a consumer of ours
        self._around = around
        self._seen = Seen(dedupe) if dedupe else None
        self._on_ack = None if self._seen is None else self._seen.acked
        self._retry = Retry(around.random)
        self._link: Connection | None = None
        self._member = ""
        self._channel: Channel | None = None
        self._answers: Answers | None = None
        self._leaving: list[_Left] = []
        self._generation = 0
        self._waits_until: float | None = None  # for a retry
        self._tried_at = 0.0
        self._patient_until = 0.0  # a queue that is not found may yet be declared (again)
        self._missing_since: float | None = None
        self._why = "it was never started"
        self._wanted = True
        self._inbox: queue.SimpleQueue[_Item] = queue.SimpleQueue()

    # -- on the I/O thread

    def attach(self, link: Connection, member: str, since: float) -> None:
        """Consume over ``link``, which everything goes over since then (seconds, monotonic).

        When the link before still works, its consumer is ended first: two at once would be dealt the queue's
        messages in turn, and those in transit on the old link would come behind later ones on the new.
        """
        before = self._channel
        left = self._leave()
        self._link, self._member = link, member
        self._retry.worked()
        self._patient_until = since + MISSING_GRACE
        if self._missing_since is None:
            self._missing_since = self._around.now()
        expected = self._generation

        def begin() -> None:
            if expected == self._generation:
                self._start()

        def stopped() -> None:
            if left is not None:
                left.is_stopped = True
            begin()

        if before is None or left is None:
            begin()
        else:
            before.stop_consuming(stopped)
            self._around.call_later(STOP_PATIENCE, begin)

    def hurry(self) -> None:
        """What it waits for may be there now: do not wait out the pause."""
        if self._waits_until is not None:
            self._start()

    def detach(self) -> None:
        """The link is gone."""
        self._leave()

    def _leave(self) -> _Left | None:
        """The link is gone or is being left. While it lives, what it brought can be taken and answered."""
        left = None
        self._leaving = [known for known in self._leaving if known.answers.open]
        if self._link is not None and self._answers is not None:
            left = _Left(self._link, self._answers)
            self._leaving.append(left)
        elif self._channel is not None:
            self._channel.close()  # it is not open yet, or was given up
        self._forget()
        self._link = None
        return left

    def holds(self, link: Connection) -> bool:
        """Whether ``link`` is still needed: for the last of a consumer that was left, or for answers."""
        return any(
            left.answers.is_alive and (left.answers.open or not left.is_stopped)
            for left in self._leaving
            if left.link is link
        )

    def stop(self, on_stopped: Callable[[], None]) -> None:
        """Have the broker deliver no more, and give back what the user has not taken."""
        self._wanted = False

        def stopped() -> None:
            self._give_back()
            self._inbox.put(None)
            on_stopped()

        if self._channel is not None and self._channel.is_open:
            self._channel.stop_consuming(stopped)
        else:
            stopped()

    @property
    def in_hand(self) -> int:
        """Messages delivered and not answered, whether taken or not."""
        answers = self._answers  # read once: asked from other threads too
        current = 0 if answers is None else answers.open
        return current + sum(left.answers.open for left in self._leaving)

    def flush(self) -> None:
        """Send the answers that have gathered."""
        for left in self._leaving:
            left.answers.flush()
        if self._answers is not None:
            self._answers.flush()

    def cancel(self) -> None:
        """The user wants no more: what he has not answered goes back to the queue."""
        self._wanted = False
        self.flush()
        channel = self._channel
        self._forget()
        self._link = None
        if channel is not None:
            channel.close()
        self._inbox.put(None)

    def end(self, error: RabbitKeeperError | None) -> None:
        """No message will come any more; the user's iterator ends, with ``error`` if there is one."""
        self._wanted = False
        self.active = False
        self._inbox.put(error)

    @property
    def is_wanted(self) -> bool:
        return self._wanted

    def check(self) -> None:
        """Compare the wish with the fact; report a difference and see to it."""
        now = self._around.now()
        if not self._wanted or self._link is None or not self._link.is_open:
            return
        if self.active and self._channel is not None and self._channel.is_open:
            return
        self.active = False
        if self._missing_since is None:
            self._missing_since = now
        missing = now - self._missing_since
        if missing >= MISSING_GRACE:
            log.warning("no consumer of %r for %.0f s: %s", self.queue_name, missing, self._why)
            self._around.emit(ConsumerMissing(self.queue_name, missing, self._why))
        waits = self._waits_until is not None and now < self._waits_until + 1.0
        if not waits and now - self._tried_at > START_PATIENCE:
            channel = self._channel
            self._why = f"no answer from the broker in {START_PATIENCE:g} s" if channel else self._why
            self._forget()
            if channel is not None:
                channel.close()
            self._start()

    def _start(self) -> None:
        link = self._link
        if link is None or not self._wanted or self._channel is not None or not link.is_open:
            return
        self._generation += 1
        self._waits_until = None
        self._tried_at = self._around.now()
        generation = self._generation

        def opened(channel: Channel) -> None:
            if generation != self._generation:
                channel.close()
                return
            answers = Answers(
                channel, self.prefetch, post=self._around.post, call_later=self._around.call_later
            )
            self._answers = answers
            channel.consume(
                self._around.resolve(self.queue_name),
                self.prefetch,
                on_ready=lambda: self._consuming(generation),
                on_deliveries=lambda deliveries: self._delivered(answers, deliveries),
                on_cancelled=lambda: self._lost(generation, ChannelLost(0, "the broker ended the consumer")),
            )

        self._channel = link.channel(opened, lambda _channel, lost: self._lost(generation, lost))

    def _forget(self) -> None:
        """The present consumer is none any more."""
        self._channel = self._answers = None
        self._generation += 1
        self.active = False

    def _delivered(self, answers: Answers, deliveries: list[Delivery]) -> None:
        answers.delivered(deliveries[-1][0])
        put = self._inbox.put
        for delivery in deliveries:
            put((answers, delivery))
        if not self._wanted:
            self._give_back()

    def _give_back(self) -> None:
        """What waits here goes back to the queue."""
        ends: list[_Item] = []
        while True:
            try:
                item = self._inbox.get_nowait()
            except queue.Empty:
                break
            if isinstance(item, tuple):
                item[0].nack(item[1][0], requeue=True)
            else:
                ends.append(item)
        for end in ends:
            self._inbox.put(end)

    def _consuming(self, generation: int) -> None:
        if generation == self._generation:
            self.active = True
            self._missing_since = None
            self._retry.worked()
            self._around.emit(ConsumerStarted(self.queue_name, self._member))

    def _lost(self, generation: int, lost: ChannelLost) -> None:
        if generation != self._generation:
            return
        channel, was_active = self._channel, self.active
        self._forget()
        self._why = lost.why
        if channel is not None:
            channel.close()
        now = self._around.now()
        if not self._wanted:
            return
        if self._missing_since is None:
            self._missing_since = now
        if was_active or lost.code != NOT_FOUND:  # it was there a moment ago
            self._patient_until = now + MISSING_GRACE
        error = self._final(lost, was_active)
        if error is not None or was_active:
            self._around.emit(ConsumerLost(self.queue_name, lost.why, error is not None))
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

        self._around.call_later(delay, again)

    def _final(self, lost: ChannelLost, was_active: bool) -> RabbitKeeperError | None:
        """The error to end with; None if the consumer may well be taken on again."""
        if lost.code == ACCESS_REFUSED and "exclusive use" not in lost.why:
            return NotAuthorized(f"consuming from {self.queue_name!r} was refused: {lost.why}")
        never_taken_on = lost.code == PRECONDITION_FAILED and not was_active
        # a classic queue on a node that is down is not found either, and comes back with its node
        deleted = lost.code == NOT_FOUND and "no queue" in lost.why
        patient = self._around.now() <= self._patient_until or self._around.is_pending(self.queue_name)
        if never_taken_on or (deleted and not patient):
            return TopologyError(f"cannot consume from {self.queue_name!r}: {lost.why}")
        return None

    # -- on the user's thread

    def get(self, timeout: float | None) -> Message | None:
        """The next message; None when the subscription has ended.

        Raises:
            queue.Empty: none came within ``timeout`` seconds.
            RabbitKeeperError: why there will be no more.
        """
        while True:
            item = self._inbox.get(timeout=timeout)
            if item is None or isinstance(item, RabbitKeeperError):
                self._inbox.put(item)  # for whoever asks again
                if item is None:
                    return None
                raise item
            answers, delivery = item
            if not answers.is_alive:
                continue
            message = Message(delivery, self.queue_name, answers, self._on_ack)
            if self._seen is not None and self._seen.has(message):
                answers.ack(message.delivery_tag)
                continue
            return message

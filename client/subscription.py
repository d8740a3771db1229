"""A subscription: one consumer of one queue, for as long as its user wants it.

The wish to consume outlives links and channels: whenever there is a link and no consumer, one is started,
with growing pauses while the broker refuses. Each consumer has a channel of its own, so that another's
error cannot end it.

What a lost channel had delivered and the user has not taken yet is dropped here, because the broker delivers
it again. What he has taken stays his; his answer to it then does nothing.
"""

import logging
import queue
from collections.abc import Callable
from random import Random
from typing import Any

from rabbitkeeper.client.errors import NotAuthorized, RabbitKeeperError, TopologyError
from rabbitkeeper.client.message import Message
from rabbitkeeper.client.wire import Channel, ChannelLost, Link

log = logging.getLogger(__name__)

RETRY_BASE = 0.02  # seconds; the first retry is at once, then full jitter from here …
RETRY_MAX = 1.0  # … up to here
MISSING_GRACE = 5.0  # seconds after a switch in which a missing queue may still be declared

NOT_FOUND, ACCESS_REFUSED, PRECONDITION_FAILED = 404, 403, 406


class Subscription:
    """Made by the engine; started, stopped and fed on the I/O thread, read on the user's.

    Args:
        queue_name: what to consume from.
        prefetch: how many unacked messages the broker may have out.
        post: hands a call over to the I/O thread.
        call_later: the loop's timer.
        now: seconds, monotonic.
    """

    def __init__(
        self,
        queue_name: str,
        prefetch: int,
        *,
        post: Callable[[Callable[[], None]], None],
        call_later: Callable[[float, Callable[[], None]], Any],
        now: Callable[[], float],
        random: Random,
    ) -> None:
        self.queue_name = queue_name
        self.prefetch = prefetch
        self.active = False  # the broker has a consumer of ours
        self._post = post
        self._call_later = call_later
        self._now = now
        self._random = random
        self._link: Link | None = None
        self._channel: Channel | None = None
        self._generation = 0
        self._failures = 0
        self._linked_at = 0.0
        self._wanted = True
        self._inbox: queue.SimpleQueue[tuple[Channel, Message] | RabbitKeeperError | None] = (
            queue.SimpleQueue()
        )

    # -- on the I/O thread

    def attach(self, link: Link) -> None:
        """Consume over ``link`` from now on."""
        self.detach()
        self._link = link
        self._failures = 0
        self._linked_at = self._now()
        self._start()

    def detach(self) -> None:
        """The link is gone or is being left. While it lives, what it has delivered can be taken and acked."""
        if self._channel is not None:
            self._channel.stop_consuming()
        self._link = self._channel = None
        self._generation += 1
        self.active = False

    def cancel(self) -> None:
        """The user wants no more: what he has not answered goes back to the queue."""
        self._wanted = False
        channel = self._channel
        self._link = self._channel = None
        self._generation += 1
        self.active = False
        if channel is not None:
            channel.close()

    def end(self, error: RabbitKeeperError | None) -> None:
        """No message will come any more; the user's iterator ends, with ``error`` if there is one."""
        self._wanted = False
        self.active = False
        self._inbox.put(error)

    def _start(self) -> None:
        link = self._link
        if link is None or not self._wanted or self._channel is not None or not link.is_open:
            return
        self._generation += 1
        generation = self._generation

        def opened(channel: Channel) -> None:
            channel.consume(
                self.queue_name,
                self.prefetch,
                on_ready=lambda: self._consuming(generation),
                on_message=lambda method, properties, body: self._inbox.put(
                    (channel, self._message(channel, method, properties, body))
                ),
                on_cancelled=lambda: self._lost(generation, ChannelLost(0, "the broker ended the consumer")),
            )

        self._channel = link.channel(opened, lambda _channel, lost: self._lost(generation, lost))

    def _consuming(self, generation: int) -> None:
        if generation == self._generation:
            self.active = True
            self._failures = 0

    def _lost(self, generation: int, lost: ChannelLost) -> None:
        if generation != self._generation:
            return
        if self._channel is not None:
            self._channel.close()
        self._channel = None
        self.active = False
        self._generation += 1
        settled = self._now() - self._linked_at > MISSING_GRACE
        if lost.code == ACCESS_REFUSED:
            self.end(NotAuthorized(f"consuming from {self.queue_name!r} was refused: {lost.why}"))
            return
        if lost.code == PRECONDITION_FAILED or (lost.code == NOT_FOUND and settled):
            self.end(TopologyError(f"cannot consume from {self.queue_name!r}: {lost.why}"))
            return
        self._failures += 1
        delay = 0.0
        if self._failures > 1:
            delay = self._random.uniform(RETRY_BASE, min(RETRY_MAX, RETRY_BASE * 2**self._failures))
        log.info("consumer of %r ended: %s; again in %.2f s", self.queue_name, lost.why, delay)
        expected = self._generation

        def again() -> None:
            if expected == self._generation:
                self._start()

        self._call_later(delay, again)

    def _message(self, channel: Channel, method: Any, properties: Any, body: bytes) -> Message:
        def answer(tag: int, ack: bool, requeue: bool) -> None:
            def send() -> None:
                if ack:
                    channel.ack(tag)
                else:
                    channel.nack(tag, requeue=requeue)

            self._post(send)

        return Message(
            body=body,
            exchange=method.exchange,
            routing_key=method.routing_key,
            properties=properties,
            redelivered=bool(method.redelivered),
            delivery_tag=method.delivery_tag,
            queue=self.queue_name,
            _answer=answer,
        )

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
            channel, message = item
            if channel.is_open:
                return message

"""The consumer of the majority canaries: shows that the broker does not only take messages but feeds them.

A broker can confirm what is published and feed nobody: after a full disk a quorum queue of RabbitMQ 3.10.8
knew its consumers and had 600 messages for them, which waited for ever, while a *new* consumer was fed at
once. So the consumer stands for as long as the connection does, with room for one message, as an
application's does.

All agents of a group publish to the one canary queue and consume from it, and a queue feeds its consumers by
turns. So this one's message is seldom its own, and it may come after some that others got; how long it may
wait is ``cluster/feeding.py``'s to say. A consumer of a node that was cut off, which the queue still feeds,
takes one message and no more.
"""

from collections.abc import Callable
from typing import Protocol

from rabbitkeeper.agent.health.majority_canary import QUEUE

REPLACED_AFTER = 180.0  # seconds without a message until the consumer is replaced: no restart has come of it


class Delivery(Protocol):
    """What comes with a message."""

    @property
    def delivery_tag(self) -> int: ...


class ConsumingChannel(Protocol):
    """Of pika's channels what a consumer needs; callbacks come on the I/O loop's thread."""

    @property
    def is_open(self) -> bool: ...

    def close(self) -> None: ...

    def add_on_close_callback(self, callback: Callable[[object, Exception], None], /) -> object: ...

    def add_on_cancel_callback(self, callback: Callable[[object], None], /) -> object: ...

    def basic_qos(self, *, prefetch_count: int, callback: Callable[[object], None]) -> object: ...

    def basic_consume(
        self,
        queue: str,
        on_message: Callable[[object, Delivery, object, bytes], None],
        /,
        *,
        callback: Callable[[object], None],
    ) -> object: ...

    def basic_ack(self, delivery_tag: int, /) -> object: ...


class ConsumingConnection(Protocol):
    """An open connection."""

    @property
    def is_open(self) -> bool: ...

    def channel(self, *, on_open_callback: Callable[[ConsumingChannel], None]) -> object: ...


class FeedCanary:
    """One connection's. Belongs to the probe's I/O thread.

    Args:
        connection: open.
        clock: monotonic seconds.

    Attributes:
        unfed: canaries that were confirmed since the consumer got a message last, or was there.
        since: when the first of them was, monotonic seconds; None: there is none.
    """

    def __init__(self, connection: ConsumingConnection, *, clock: Callable[[], float]) -> None:
        self._connection = connection
        self._clock = clock
        self._channel: ConsumingChannel | None = None
        self._opening = False
        self._consumes = False
        self.unfed = 0
        self.since: float | None = None

    def confirmed(self) -> None:
        """A majority canary was confirmed on this connection: its queue is there, with a message in it."""
        now = self._clock()
        if self._consumes:
            self.since = now if self.since is None else self.since
            self.unfed += 1
            if now >= self.since + REPLACED_AFTER:
                self._end()
        if self._channel is None and not self._opening and self._connection.is_open:
            self._opening = True
            self._connection.channel(on_open_callback=self._opened)

    def blocked(self) -> None:
        """An alarm holds up who publishes, and so this connection's answers: what was counted is void."""
        self.unfed, self.since = 0, None

    def _opened(self, channel: ConsumingChannel) -> None:
        self._channel, self._opening = channel, False
        channel.add_on_close_callback(lambda closed, _reason: self._closed(closed))
        channel.add_on_cancel_callback(lambda _frame: self._end())  # its queue is deleted, or moves
        channel.basic_qos(prefetch_count=1, callback=lambda _: self._consume(channel))

    def _consume(self, channel: ConsumingChannel) -> None:
        if channel is self._channel and channel.is_open:
            channel.basic_consume(QUEUE, self._on_message, callback=lambda _: self._begun(channel))

    def _begun(self, channel: ConsumingChannel) -> None:
        self._consumes = channel is self._channel

    def _on_message(self, channel: object, delivery: Delivery, _properties: object, _body: bytes) -> None:
        if channel is self._channel and self._channel is not None:
            self.unfed, self.since = 0, None
            self._channel.basic_ack(delivery.delivery_tag)

    def _closed(self, channel: object) -> None:
        if channel is self._channel:
            self._forget()

    def _end(self) -> None:
        channel = self._channel
        self._forget()
        if channel is not None and channel.is_open:
            channel.close()

    def _forget(self) -> None:
        self._channel, self._consumes = None, False
        self.unfed, self.since = 0, None

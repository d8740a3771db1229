"""The acknowledger: acks and nacks of one consumer's channel, from any thread to the broker in few frames.

A thread only appends to a deque. The I/O thread is woken once a burst and sends what has gathered after a few
milliseconds, or at once when there is enough of it. When the channel is gone an answer does nothing: the
broker has put the message back.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Protocol

from rabbitkeeper.client.amqp.delivery_tracker import DeliveryTracker
from rabbitkeeper.client.amqp.transport import CallLater
from rabbitkeeper.client.model.errors import of_another_process
from rabbitkeeper.client.process import this as process

DELAY = 0.004  # seconds for which an ack may wait for others
BATCH = 500  # acks that do not wait; less with a small prefetch, for the broker waits for them


class AckChannel(Protocol):
    """What it needs of a channel."""

    @property
    def is_open(self) -> bool: ...
    def ack(self, tag: int, *, multiple: bool) -> None: ...
    def nack(self, tag: int, *, requeue: bool) -> None: ...
    def give_back(self, tag: int) -> None: ...


class Acknowledger:
    """The answers to what one channel has delivered, which the broker expects.

    Args:
        channel: that they go over.
        prefetch: of its consumer.
        post: hands a call over to the I/O thread.
        call_later: the loop's timer.
    """

    is_expected = True
    """Whether the broker expects answers."""

    def __init__(
        self,
        channel: AckChannel,
        prefetch: int,
        *,
        post: Callable[[Callable[[], None]], None],
        call_later: CallLater,
    ) -> None:
        self.on_answers: Callable[[], None] | None = None
        """Called, while it is set, on the I/O thread after answers were sent."""
        self.channel = channel
        self._batch = max(1, min(BATCH, prefetch // 4))
        self._post = post
        self._call_later = call_later
        self._tracker = DeliveryTracker()
        self._acked: deque[int] = deque()
        self._refused: deque[tuple[int, Callable[[int], None]]] = deque()  # and how the broker is told
        self._awaited = False  # a flush is on its way
        self._urgent = False  # and it will not wait
        self._pid = process.pid

    @property
    def open(self) -> int:
        """Deliveries that were neither acked nor nacked. On the I/O thread."""
        return self._tracker.open if self.channel.is_open else 0

    # -- from any thread of the process that made it; a forked child is refused (WrongThread)

    def ack(self, tag: int) -> None:
        """Its message is done with."""
        if process.pid != self._pid:
            raise of_another_process()
        self._acked.append(tag)
        if len(self._acked) >= self._batch:
            self._hurry()
        elif not self._awaited:
            try:
                self._awaited = True
                self._post(self._flush_soon)
            except BaseException:  # a signal's: nobody else would ask for a flush any more
                self._awaited = False
                raise

    def nack(self, tag: int, *, requeue: bool) -> None:
        """Its message is not done with."""
        if process.pid != self._pid:
            raise of_another_process()
        self._refused.append((tag, partial(self.channel.nack, requeue=requeue)))
        self._hurry()

    def give_back(self, tag: int) -> None:
        """Its message was not seen by anybody."""
        self._refused.append((tag, self.channel.give_back))
        self._hurry()

    def _hurry(self) -> None:
        if not self._urgent:
            try:
                self._urgent = self._awaited = True
                self._post(self.flush)
            except BaseException:  # as above
                self._urgent = self._awaited = False
                raise

    # -- on the I/O thread

    def delivered(self, tag: int) -> None:
        """Everything up to ``tag`` has come."""
        self._tracker.delivered = tag

    def flush(self) -> None:
        """Send what has gathered."""
        # cleared before the deques are read: what is appended later finds them cleared and asks again
        self._awaited = self._urgent = False
        acked = self._acked
        self._tracker.ack([acked.popleft() for _ in range(len(acked))])
        if self.channel.is_open:
            for tag, multiple in self._tracker.flush():
                self.channel.ack(tag, multiple=multiple)
        while self._refused:
            tag, tell = self._refused.popleft()
            if self.channel.is_open and self._tracker.nack(tag):
                tell(tag)
        if self.on_answers is not None:
            self.on_answers()

    def _flush_soon(self) -> None:
        self._call_later(DELAY, self.flush)


class NoAcknowledger(Acknowledger):
    """Of a channel whose deliveries are done with (AMQP's no-ack): no answer is sent, for
    one would close it."""

    is_expected = False
    open = 0

    def ack(self, tag: int) -> None:
        """It is done with already."""

    def nack(self, tag: int, *, requeue: bool) -> None:
        """It does not come back."""

    def give_back(self, tag: int) -> None:
        """It does not come back."""

    def flush(self) -> None:
        if self.on_answers is not None:
            self.on_answers()

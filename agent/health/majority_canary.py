"""The canary on a majority: a persistent message confirmed by a quorum queue, now and then and before a lead.

A broker's process is up long before the cluster's queues have leaders again, so only a confirmed publish
shows that clients can be sent there. A channel on which a canary was confirmed is kept for the next one, so
that each costs a healthy group one publish. Every further attempt has a channel of its own: after a crash a
channel whose first publish met a queue without a leader is nacked for ever, however well the queue is by then
(RabbitMQ 3.10.8), while a new channel is served as soon as there is a leader.

Attempts overlap: one that is not answered is left open, because its answer may be just late, and the next
is made beside it. The first confirm wins. (Measured: a canary on a connection from before the crash is
nacked, or confirmed, at the same moments as one on a connection made after it, so a new channel is enough.)
"""

from collections.abc import Callable

import pika

from rabbitkeeper.agent.health.channel import Channel, Connection, Frame

QUEUE = "rabbitkeeper.canary"
_CONTENT = b"canary"
_ARGUMENTS = {"x-queue-type": "quorum", "x-max-length": 5, "x-overflow": "drop-head"}

RETRY_AFTER_ANSWER = 0.03  # seconds from a nack or a closed channel to the next attempt
RETRY_AFTER_SILENCE = 0.1  # seconds from an unanswered attempt to the next
_MOST_OPEN = 8  # attempts that may be open at a time; then the oldest makes room


class MajorityCanary:
    """One canary, from its first attempt to its end. Belongs to the probe's I/O thread.

    Args:
        connection: open, or None: then :meth:`moved` brings it.
        call_later: the I/O loop's timer.
        on_confirmed: called once, with the number of attempts.
        kept: an earlier canary's, on the same connection.
    """

    def __init__(
        self,
        connection: Connection | None,
        *,
        call_later: Callable[[float, Callable[[], None]], object],
        on_confirmed: Callable[[int], None],
        kept: "CanaryChannel | None" = None,
    ) -> None:
        self._connection = connection
        self._call_later = call_later
        self._on_confirmed = on_confirmed
        self._open: list[CanaryChannel] = []
        self._turn = 0  # numbers the planned attempts: only the newest plan is carried out
        self._ended = False
        self.kept = kept  # a channel that has just worked, to be given to the next canary
        self.attempts = 0
        self.last_answer = "no connection to the broker"
        self._plan(0.0)

    def moved(self, connection: Connection | None) -> None:
        """The old connection is gone; go on with this one (None: there is none for now)."""
        self._connection = connection
        self._open.clear()
        self.kept = None
        if connection is not None:
            self._plan(0.0)

    def end(self) -> None:
        """Give up all attempts and close their channels. Idempotent."""
        self._ended = True
        for attempt in self._open:
            attempt.close()
        self._open.clear()

    def answered(self, attempt: "CanaryChannel", confirmed: bool, answer: str) -> None:
        """An attempt has ended. One that was given up before does not matter any more."""
        if self._ended or attempt not in self._open:
            return
        self._open.remove(attempt)
        if confirmed:
            self.kept = attempt
            self.end()
            self._on_confirmed(self.attempts)
        else:
            attempt.close()
            self.last_answer = answer
            self._plan(RETRY_AFTER_ANSWER)

    def _plan(self, delay: float) -> None:
        self._turn += 1
        turn = self._turn
        self._call_later(delay, lambda: self._attempt(turn))

    def _attempt(self, turn: int) -> None:
        connection = self._connection
        if self._ended or turn != self._turn or connection is None or not connection.is_open:
            return
        if not self._open:
            self.last_answer = f"no majority answers for queue {QUEUE}"
        elif len(self._open) >= _MOST_OPEN:
            self._open.pop(0).close()
        self.attempts += 1
        channel, self.kept = self.kept, None
        if channel is not None and channel.is_open:
            self._open.append(channel)
            channel.publish_again(self.answered)
        else:
            self._open.append(CanaryChannel(connection, self.answered))
        self._plan(RETRY_AFTER_SILENCE)


OnAnswer = Callable[["CanaryChannel", bool, str], None]


class CanaryChannel:
    """A channel with one publish at a time: at once, and then as often as the one before was confirmed.

    Args:
        connection: open.
        on_answer: called once for each publish, with whether it was confirmed and, if not, a sentence why.
    """

    def __init__(self, connection: Connection, on_answer: OnAnswer) -> None:
        self._on_answer = on_answer
        self._returned = False
        self._channel: Channel = connection.channel(on_open_callback=self._opened)

    @property
    def is_open(self) -> bool:
        return self._channel.is_open

    def publish_again(self, on_answer: OnAnswer) -> None:
        self._on_answer = on_answer
        self._publish()

    def close(self) -> None:
        if self._channel.is_open:
            self._channel.close()

    def _opened(self, channel: Channel) -> None:
        channel.add_on_close_callback(self._closed)
        channel.add_on_return_callback(self._on_return)
        channel.confirm_delivery(self._on_confirm, callback=lambda _: self._publish())

    def _publish(self) -> None:
        persistent = pika.BasicProperties(delivery_mode=2)
        if self._channel.is_open:
            self._channel.basic_publish("", QUEUE, _CONTENT, persistent, mandatory=True)

    def _on_return(self, *_: object) -> None:
        # There is no such queue yet. It is not declared before every canary, because declaring waits for
        # every node of the cluster, also for one that hangs.
        self._returned = True
        self._channel.queue_declare(
            QUEUE, durable=True, arguments=_ARGUMENTS, callback=lambda _: self._publish()
        )

    def _on_confirm(self, frame: Frame) -> None:
        if self._returned:
            self._returned = False  # what could not be routed is acked too; the real answer is to come
            return
        confirmed = isinstance(frame.method, pika.spec.Basic.Ack)
        self._on_answer(self, confirmed, f"queue {QUEUE} refuses messages: it has no leader or no majority")

    def _closed(self, _channel: object, reason: Exception) -> None:
        self._on_answer(self, False, f"the broker closed the canary's channel: {reason}")

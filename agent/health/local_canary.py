"""The canary on this broker alone: a message published and confirmed on a queue of the agent's own.

It says whether the broker works, not whether the cluster does: the queue is classic, exclusive and not
durable, so it lives in this node's memory only and goes with the connection.

The queue is declared on a channel of its own while canaries are published already: declaring takes part of
the whole cluster and can wait a minute for *another* node that hangs, which must not look as if this one
did. Until the queue is there a canary ends in no queue and is confirmed all the same.
"""

import uuid
from collections.abc import Callable

import pika

from rabbitkeeper.agent.health.channel import Channel, Connection, Frame

# What a broker answers to a canary: it was confirmed, or (False) refused.
OnAnswer = Callable[[bool], None]

_CONTENT = b"canary"
_ARGUMENTS = {"x-queue-type": "classic", "x-max-length": 1}


class LocalCanary:
    """Canaries on one open connection, one at a time. Belongs to the probe's I/O thread.

    Args:
        connection: open.
        on_ready: canaries can be sent from now on.
        on_answer: called once for each canary that the broker answers.
        on_closed: the channel was closed by the broker, with its reason.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        on_ready: Callable[[], None],
        on_answer: OnAnswer,
        on_closed: Callable[[str], None],
    ) -> None:
        self._queue = f"rabbitkeeper.local.{uuid.uuid4().hex}"
        self._on_ready = on_ready
        self._on_answer = on_answer
        self._on_closed = on_closed
        self._channel: Channel | None = None
        self._outstanding = False
        connection.channel(on_open_callback=self._opened)
        connection.channel(on_open_callback=self._declare)

    @property
    def outstanding(self) -> bool:
        """Whether a canary has been sent and not answered."""
        return self._outstanding

    def send(self) -> None:
        """Publish one canary. To be called when none is outstanding."""
        if self._channel is None:
            return  # it has not been opened
        self._outstanding = True
        transient = pika.BasicProperties(delivery_mode=1)
        self._channel.basic_publish("", self._queue, _CONTENT, transient, mandatory=False)

    def _opened(self, channel: Channel) -> None:
        self._channel = channel
        channel.add_on_close_callback(self._closed)
        channel.confirm_delivery(self._answered, callback=lambda _: self._on_ready())

    def _declare(self, channel: Channel) -> None:
        # Not answered, or refused: canaries end in no queue, which is nearly as good.
        channel.queue_declare(
            self._queue, exclusive=True, durable=False, auto_delete=True, arguments=_ARGUMENTS
        )

    def _answered(self, frame: Frame) -> None:
        self._outstanding = False
        self._on_answer(isinstance(frame.method, pika.spec.Basic.Ack))

    def _closed(self, _channel: object, reason: Exception) -> None:
        self._on_closed(str(reason))

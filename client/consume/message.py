"""A message as a consumer gets it."""

from collections.abc import Callable
from types import TracebackType
from typing import Any

from rabbitkeeper.client.amqp.decoding import Delivery, decode_envelope
from rabbitkeeper.client.amqp.properties import BasicProperties, decode_properties
from rabbitkeeper.client.consume.acknowledger import Acknowledger

RETRIES, EXCHANGE, ROUTING_KEY = "x-retries", "x-retry-exchange", "x-retry-routing-key"
"""Headers of a message that was retried: how often so far, and where it was published to."""


class Message:
    """One delivery, to be answered once, from any thread, with :meth:`ack`, :meth:`nack` or :meth:`reject`.

    An answer goes to the broker over the channel that brought the message. When that is gone the answer does
    nothing: the broker has put the message back and will deliver it again, with ``redelivered`` set. So
    consumers see each message at least once, and a message that was acked just before its broker died can
    come again.

    What is not looked at is not decoded. What a foreign publisher sent is there whatever it is: text that is
    not UTF-8 as bytes, a time beyond Python's as a number, and of a header whose type is not known, and those
    behind it in its table, the bytes.

    Attributes:
        body: bytes.
        queue: that it was consumed from, as it was asked for.
        delivery_tag: the broker's number for it, on its channel.
        redelivered: the broker has delivered it before, to this consumer or another.
        answered: whether this object was answered.
    """

    __slots__ = (
        "_acknowledger",
        "_envelope",
        "_on_ack",
        "_properties",
        "answered",
        "body",
        "delivery_tag",
        "queue",
        "redelivered",
    )

    def __init__(
        self,
        delivery: Delivery,
        queue: str,
        acknowledger: Acknowledger,
        on_ack: Callable[["Message"], None] | None = None,
    ) -> None:
        self.delivery_tag, self.redelivered, self._envelope, self._properties, self.body = delivery
        self.queue = queue
        self.answered = False
        self._acknowledger = acknowledger
        self._on_ack = on_ack

    @property
    def exchange(self) -> str:
        """That it was published to; empty for the default exchange."""
        return decode_envelope(self._envelope)[0] or self._before_retries(EXCHANGE) or ""

    @property
    def routing_key(self) -> str:
        """That it was published with."""
        exchange, routing_key = decode_envelope(self._envelope)
        before = None if exchange else self._before_retries(ROUTING_KEY)
        return routing_key if before is None else before

    def _before_retries(self, header: str) -> str | None:
        """What a copy that has waited for its next try has in ``header``."""
        value = self.headers.get(header)
        return value if isinstance(value, str) else None

    @property
    def properties(self) -> BasicProperties:
        """The publisher's: ``pika.BasicProperties``."""
        if not isinstance(self._properties, BasicProperties):
            self._properties = decode_properties(self._properties)
        return self._properties

    @property
    def message_id(self) -> str | None:
        """As the publisher set it; the SDK's publisher always does."""
        message_id: str | bytes | None = self.properties.message_id
        return message_id.decode(errors="surrogateescape") if isinstance(message_id, bytes) else message_id

    @property
    def expiration(self) -> float | None:
        """Seconds that the publisher gave it to be got; None, if no number of them."""
        text: object = self.properties.expiration
        return int(text) / 1000 if isinstance(text, str) and text.isascii() and text.isdigit() else None

    @property
    def priority(self) -> int | None:
        """As the publisher set it."""
        priority: int | None = self.properties.priority
        return priority

    @property
    def headers(self) -> dict[str, Any]:
        """The publisher's headers, and the broker's; empty when there are none."""
        return dict(self.properties.headers or {})

    @property
    def attempt(self) -> int:
        """Which delivery of this message it is, from 1 on.

        Quorum queues count (``x-delivery-count``); of others only the second and later ones can be told
        apart from the first, and count as 2. Tries before a delay (``retry=``) count too.
        """
        count = self.headers.get("x-delivery-count")
        if isinstance(count, int):
            return self.retries + count + 1
        return self.retries + (2 if self.redelivered else 1)

    @property
    def retries(self) -> int:
        """How often it has waited for its next try in a wait queue; see ``Client.on_message``."""
        count = self.headers.get(RETRIES)
        return count if isinstance(count, int) and count > 0 else 0

    def ack(self) -> None:
        """The message is done with; the broker forgets it."""
        # told first: a signal's exception in between must not keep the answer back, and twice is no harm
        if not self.answered:
            self._acknowledger.ack(self.delivery_tag)
            self.answered = True
            if self._on_ack is not None:
                self._on_ack(self)

    def moved(self) -> None:
        """A copy of it is elsewhere: it is acked, and not remembered as one that is done with."""
        if not self.answered:
            self._acknowledger.ack(self.delivery_tag)
            self.answered = True

    def nack(self, *, requeue: bool = True) -> None:
        """The message is not done with: it is delivered again, or with ``requeue=False`` dead-lettered."""
        if not self.answered:
            self._acknowledger.nack(self.delivery_tag, requeue=requeue)
            self.answered = True

    def reject(self, *, requeue: bool = False) -> None:
        """The message is refused: dead-lettered if its queue has a place for that, else dropped."""
        self.nack(requeue=requeue)

    def process(self, *, requeue: bool = True) -> "Processing":
        """For ``with`` and ``async with``: acked when the block ends, unless it was answered in it; put back,
        or with ``requeue=False`` dead-lettered, when the block raises, which is not kept from anybody. A task
        that is cancelled in the block puts it back in any case."""
        return Processing(self, requeue=requeue)

    def __repr__(self) -> str:
        return f"<Message {self.delivery_tag} of {self.queue!r}, {len(self.body)} bytes>"


class Processing:
    """See :meth:`Message.process`."""

    def __init__(self, message: Message, *, requeue: bool) -> None:
        self._message = message
        self._requeue = requeue

    def __enter__(self) -> Message:
        return self._message

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._message.ack()
        else:
            # what ends the program or the task says nothing of the message
            self._message.nack(requeue=self._requeue or not isinstance(error, Exception))

    async def __aenter__(self) -> Message:
        return self._message

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

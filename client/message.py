"""A message as a consumer gets it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """One delivery, to be answered once with :meth:`ack` or :meth:`nack`.

    An answer goes to the broker over the channel that brought the message. When that is gone the answer does
    nothing: the broker has put the message back and will deliver it again, with ``redelivered`` set. So
    consumers see each message at least once, and a message that was acked just before its broker died can
    come again.
    """

    body: bytes
    exchange: str
    routing_key: str
    properties: Any  # pika.BasicProperties
    redelivered: bool
    delivery_tag: int
    queue: str
    _answer: Callable[[int, bool, bool], None] = field(repr=False)

    @property
    def message_id(self) -> str | None:
        """As the publisher set it; the SDK's publisher always does."""
        found: str | None = self.properties.message_id
        return found

    @property
    def headers(self) -> dict[str, Any]:
        """The publisher's headers; empty when there are none."""
        return dict(self.properties.headers or {})

    def ack(self) -> None:
        """The message is done with; the broker forgets it."""
        self._answer(self.delivery_tag, True, False)

    def nack(self, *, requeue: bool = True) -> None:
        """The message is not done with: it is delivered again, or with ``requeue=False`` dead-lettered."""
        self._answer(self.delivery_tag, False, requeue)

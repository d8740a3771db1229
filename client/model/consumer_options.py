"""How a consumer asks the broker for messages, beside its queue and prefetch: as a value."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from rabbitkeeper.client.model.checks import shown
from rabbitkeeper.client.model.errors import InvalidArgument
from rabbitkeeper.client.model.field_table import encode_table
from rabbitkeeper.client.model.topology import Queue

_PRIORITY, _OFFSET = "x-priority", "x-stream-offset"


@dataclass(frozen=True, slots=True)
class ConsumerOptions:
    """What ``consume`` takes besides; checked when it is made.

    Args:
        priority: who has a higher one is fed first, as long as its prefetch has room; None: as with 0.
        exclusive: be the only consumer of the queue, or wait until that can be.
        no_ack: what is delivered is done with; the broker expects no answer.
        arguments: of the consumer, as RabbitMQ takes them.

    Raises:
        InvalidArgument: one of them cannot be sent, or is said twice.
    """

    priority: int | None = None
    exclusive: bool = False
    no_ack: bool = False
    arguments: Mapping[str, Any] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        for name in ("exclusive", "no_ack"):
            value = getattr(self, name)
            if not isinstance(value, bool):
                raise InvalidArgument(f"{name} {shown(value)} is not valid: use True or False")
        arguments = {} if self.arguments is None else self.arguments
        encode_table(arguments, "arguments", floats=False)
        if _OFFSET in arguments:
            raise InvalidArgument(f"arguments has {_OFFSET!r}: use offset= instead, which is kept up to date")
        object.__setattr__(self, "arguments", MappingProxyType(deepcopy(dict(arguments))))
        priority = self.priority
        if priority is None:
            return
        if isinstance(priority, bool) or not isinstance(priority, int) or not -(2**31) <= priority < 2**31:
            raise InvalidArgument(
                f"priority {shown(priority)} is not valid: use a whole number of 32 bits, such as 10"
            )
        if _PRIORITY in arguments:
            raise InvalidArgument(f"arguments has {_PRIORITY!r} and priority is given: use one of them")

    def check_queue(self, queue: Queue | None, *, is_stream: bool) -> None:
        """Refuse what ``queue``, as it was declared, does not do; None: nothing is known of it, but perhaps
        that it ``is_stream``.

        Raises:
            InvalidArgument: RabbitMQ would end the connection, or do something else in silence.
        """
        kind = None if queue is None else queue.declared_arguments.get("x-queue-type", "classic")
        if self.no_ack and (is_stream or kind == "stream"):
            raise InvalidArgument("no_ack is not valid with a stream: leave it out; an ack only makes room")
        if self.exclusive and kind in ("quorum", "stream"):
            raise InvalidArgument(
                f"exclusive is not valid with a {kind} queue, where RabbitMQ lets others consume beside it: "
                "declare the queue with {'x-single-active-consumer': True}"
            )

    def arguments_with(self, more: Mapping[str, Any]) -> dict[str, Any]:
        """All arguments of the consumer; ``more`` are those of a stream."""
        priority = {} if self.priority is None else {_PRIORITY: self.priority}
        return {**(self.arguments or {}), **priority, **more}


DEFAULT = ConsumerOptions()

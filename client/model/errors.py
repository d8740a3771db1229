"""What a caller of the SDK can meet. pika's and kazoo's errors are mapped to these and never get out.

Every publish ends in exactly one of: a receipt, :class:`Unroutable`, :class:`Nacked`, :class:`Blocked`,
:class:`NoLeader`, :class:`PublishUnknown` or :class:`Closed`. Of these only :class:`PublishUnknown` leaves
open whether the message is there; the others say that it is (a receipt) or that it is not.
"""

from collections.abc import Sequence

from rabbitkeeper.coordinator.model.errors import ConfigurationError, CoordinationError, RabbitKeeperError


class PublishError(RabbitKeeperError):
    """A publish that was not confirmed.

    Attributes:
        message_id: of the message, so that a caller can find it again.
    """

    def __init__(self, message: str, message_id: str | None = None) -> None:
        super().__init__(message)
        self.message_id = message_id


class Unroutable(PublishError):
    """The broker has the exchange but no queue for this routing key; the message came back and is nowhere."""


class Nacked(PublishError):
    """The broker refused the message: a full queue that rejects publishes, or a queue that is not well."""


class PublishUnknown(PublishError):
    """It may or may not be there: the deadline passed after the message was sent and before an answer came,
    or its connection was lost before the answer, and it was refused or returned when it was sent again.

    Publishing it again with the same ``message_id`` lets consumers drop the second one.
    """


class PublishInterrupted(RabbitKeeperError):
    """The iterable given to ``publish_many`` raised (``__cause__``). What it had given before was published.

    Attributes:
        outcomes: of that, in order: a receipt or an error each.
    """

    def __init__(self, message: str, outcomes: Sequence[object]) -> None:
        super().__init__(message)
        self.outcomes = outcomes


class Blocked(PublishError):
    """The deadline passed before the message was sent, while the client was connected: the broker blocked
    publishers (a memory or disk alarm), or answered nothing and so left the window full."""


class NoLeader(PublishError):
    """No broker of the group could be reached before the deadline; nothing was sent."""


class Closed(PublishError):
    """The client is closed, or was closed before the message was sent."""


class NoReply(RabbitKeeperError):
    """A request was confirmed, and there is no reply to it: none came by the deadline, or the replies were
    lost with their queue. Somebody may have worked on it.

    Attributes:
        correlation_id: of the request; None for one whose replies were lost.
    """

    def __init__(self, message: str, correlation_id: str | None = None) -> None:
        super().__init__(message)
        self.correlation_id = correlation_id


class NotAuthorized(RabbitKeeperError):
    """The broker refused the user name or password, the virtual host, or the operation."""


class TopologyError(RabbitKeeperError):
    """An exchange, queue or binding cannot be declared or consumed from, and trying again would not help."""


class AgentsUnreachable(CoordinationError):
    """No agent told of the group in time; the message says of each why."""


class WrongThread(RabbitKeeperError):
    """A call that waits, in a callback on the client's own I/O thread, or any call in a forked child: it
    would never return."""


def of_another_process() -> WrongThread:
    """For a forked child."""
    return WrongThread("this client belongs to the process that made it; make another one after the fork")


class InvalidArgument(ConfigurationError, TypeError, ValueError):
    """An argument that cannot be sent; nothing has been."""


__all__ = [
    "AgentsUnreachable",
    "Blocked",
    "Closed",
    "InvalidArgument",
    "Nacked",
    "NoLeader",
    "NoReply",
    "NotAuthorized",
    "PublishError",
    "PublishInterrupted",
    "PublishUnknown",
    "RabbitKeeperError",
    "TopologyError",
    "Unroutable",
    "WrongThread",
]

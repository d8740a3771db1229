"""What a connection of kombu's can raise besides py-amqp's own errors.

All of them are such as kombu and Celery take for a connection that is lost: they connect and try again.
"""

from amqp.exceptions import RecoverableConnectionError


class NoMember(RecoverableConnectionError):  # type: ignore[misc]  # py-amqp has no types
    """No member of the group could be connected to; the message says of each why."""


class NoAnswer(RecoverableConnectionError):  # type: ignore[misc]
    """The broker has not answered, or not confirmed a message, in its time: it may or may not be there."""


class NotReady(RecoverableConnectionError):  # type: ignore[misc]
    """The broker refuses what it will take again in a while, as a queue whose node is down."""


class MemberLeft(RecoverableConnectionError):  # type: ignore[misc]
    """The connection was dropped at the agents' word."""

"""Requests and replies as messages: which properties they have.

As everywhere with AMQP: a request names in ``reply_to`` the queue for its reply, and the reply has the
request's ``correlation_id``."""

from copy import copy

from rabbitkeeper.client.amqp.properties import BasicProperties, check_properties
from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.model.errors import InvalidArgument

DIRECT = "amq.rabbitmq.reply-to"  # begins the place of a caller that has no queue, but a channel


def is_queue(place: str) -> bool:
    """Whether a reply's place is a queue. RabbitMQ returns a mandatory reply to another one, though it has
    delivered it (https://www.rabbitmq.com/docs/direct-reply-to)."""
    return not place.startswith(DIRECT)


def check_request(given: BasicProperties | None) -> None:
    """Refuse properties of a request that are the call's to set.

    Raises:
        InvalidArgument: they are set.
    """
    if given is None:
        return
    check_properties(given)
    for name in ("reply_to", "correlation_id"):
        if getattr(given, name) is not None:
            raise InvalidArgument(f"properties.{name} is set: leave it out, a call sets it itself")


def request_properties(
    given: BasicProperties | None, *, reply_to: str, correlation_id: str, timeout: float
) -> BasicProperties:
    """Those of a request, which expires when nobody waits for its reply any more, in ``timeout`` seconds."""
    properties = BasicProperties() if given is None else copy(given)
    properties.reply_to, properties.correlation_id = reply_to, correlation_id
    if properties.expiration is None:
        properties.expiration = str(max(1, int(timeout * 1000)))
    return properties


def reply_to(message: Message, given: BasicProperties | None) -> tuple[str, BasicProperties]:
    """Where the reply to ``message`` goes, and its properties.

    Raises:
        InvalidArgument: ``message`` asks for none.
    """
    if not isinstance(message, Message):
        raise InvalidArgument(f"message of type {type(message).__name__} is not valid: use the request")
    if given is not None:
        check_properties(given)
    asked = message.properties
    if not isinstance(asked.reply_to, str) or not asked.reply_to:
        raise InvalidArgument(
            "the message has no reply_to: nobody waits for a reply; look at message.properties.reply_to first"
        )
    properties = BasicProperties() if given is None else copy(given)
    if properties.correlation_id is None:
        properties.correlation_id = asked.correlation_id or message.message_id
    return asked.reply_to, properties

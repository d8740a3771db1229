"""The copy of a message that waits for its next try: the same message, with what has become of it."""

from copy import copy

from rabbitkeeper.client.amqp.properties import BasicProperties
from rabbitkeeper.client.consume.message import EXCHANGE, RETRIES, ROUTING_KEY, Message

# The broker's own of this delivery, and what would have the copy routed elsewhere too.
LEFT_OUT = frozenset({"x-delivery-count", "x-acquired-count", "x-stream-offset", "CC", "BCC"})


def copy_properties(message: Message) -> BasicProperties:
    """Its properties.

    What is different: it counts one retry more and knows where it was published to; it does not expire by
    itself, which would shorten its wait; and it has no ``user_id``, which may be another user's than the
    client's.
    """
    properties = copy(message.properties)
    headers = {name: value for name, value in message.headers.items() if name not in LEFT_OUT}
    headers |= {
        RETRIES: message.retries + 1,
        EXCHANGE: message.exchange,
        ROUTING_KEY: message.routing_key,
    }
    properties.headers = headers
    properties.expiration = properties.user_id = None
    properties.delivery_mode = 2
    return properties

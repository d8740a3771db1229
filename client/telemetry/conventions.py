"""Names and attributes of spans and metrics, after OpenTelemetry's semantic conventions for messaging. Pure.

https://opentelemetry.io/docs/specs/semconv/messaging/ and, for destinations, …/messaging/rabbitmq/ (both of
status "development" in 2026).
"""

SYSTEM = "messaging.system"
OPERATION = "messaging.operation.name"
OPERATION_TYPE = "messaging.operation.type"
DESTINATION = "messaging.destination.name"
DESTINATION_TEMPLATE = "messaging.destination.template"
ROUTING_KEY = "messaging.rabbitmq.destination.routing_key"
DELIVERY_TAG = "messaging.rabbitmq.message.delivery_tag"
MESSAGE_ID = "messaging.message.id"
CONVERSATION_ID = "messaging.message.conversation_id"
CLIENT_ID = "messaging.client.id"
ERROR_TYPE = "error.type"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
ATTEMPT = "rabbitkeeper.attempt"
ATTEMPTS = "rabbitkeeper.attempts"
REDELIVERED = "rabbitkeeper.redelivered"

RABBITMQ = "rabbitmq"
DEFAULT_EXCHANGE = "amq.default"

DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""Seconds; the bounds that the conventions have for histograms of durations."""


def published_to(exchange: str, routing_key: str) -> str:
    """The destination of a publish."""
    return ":".join(part for part in (exchange, routing_key) if part) or DEFAULT_EXCHANGE


def consumed_from(exchange: str, routing_key: str, queue: str) -> str:
    """The destination of a delivery."""
    parts = [exchange, routing_key, *([] if queue == routing_key else [queue])]
    return ":".join(part for part in parts if part) or DEFAULT_EXCHANGE


def few_published_to(exchange: str, routing_key: str) -> str:
    """The destination for names of spans and for metrics, of which there must be few.

    Routing keys may be any number. For the default exchange they are names of queues, and those of replies
    and of queues that the broker names begin with ``amq.``.
    """
    if exchange:
        return exchange
    return routing_key if routing_key and not routing_key.startswith("amq.") else DEFAULT_EXCHANGE


def server(address: str) -> dict[str, str | int]:
    """The attributes of ``host:port``."""
    host, _, port = address.rpartition(":")
    return {SERVER_ADDRESS: host.strip("[]"), SERVER_PORT: int(port)} if port.isdigit() else {}


def error_type(error: BaseException) -> str:
    """Of an error, its class; with its module, if it is not the SDK's or Python's own."""
    kind = type(error)
    own = kind.__module__ == "builtins" or kind.__module__.startswith("rabbitkeeper.")
    return kind.__qualname__ if own else f"{kind.__module__}.{kind.__qualname__}"

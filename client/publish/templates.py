"""Templates of publishes, made once for each place and set of properties and kept.

Properties with headers are encoded each time: ``{"a": 1}`` and ``{"a": True}`` are equal to Python and
different to AMQP, so they cannot be a key; and headers mostly differ from message to message.
"""

from operator import attrgetter

from rabbitkeeper.client.amqp.frames import Template
from rabbitkeeper.client.amqp.properties import (
    PLAIN_PROPERTIES,
    BasicProperties,
    check_properties,
    encode_properties,
)
from rabbitkeeper.client.model.checks import check_short

KEPT = 4096  # templates; routing keys can be unboundedly many

_plain_fields = attrgetter(*(name for name in PLAIN_PROPERTIES if name != "message_id"))


class Templates:
    """Safe to use from several threads: each step is atomic, and making a template twice does no harm."""

    def __init__(self) -> None:
        self._kept: dict[object, Template] = {}

    def get(
        self, exchange: str, routing_key: str, properties: BasicProperties | None, *, mandatory: bool
    ) -> Template:
        """The template for a message; its message id is the caller's to give.

        Raises:
            InvalidArgument: the place or a property cannot be sent; says which.
        """
        if properties is None:
            key: tuple[object, ...] | None = (exchange, routing_key, mandatory)
        else:
            check_properties(properties)
            key = None
            if properties.headers is None:
                key = (exchange, routing_key, mandatory, _plain_fields(properties))
        try:
            template = None if key is None else self._kept.get(key)
        except TypeError:  # something in it has no hash, so it is no string
            template = key = None
        if template is None:
            template = _make(exchange, routing_key, properties, mandatory=mandatory)
            if key is not None:
                if len(self._kept) >= KEPT:
                    self._kept.clear()
                self._kept[key] = template
        return template


def _make(
    exchange: str, routing_key: str, properties: BasicProperties | None, *, mandatory: bool
) -> Template:
    for what, value in (("exchange", exchange), ("routing_key", routing_key)):
        check_short(what, value)
    flags, before, after = encode_properties(properties)
    return Template(exchange, routing_key, mandatory=bool(mandatory), flags=flags, before=before, after=after)

"""Makes ``rabbitkeeper://`` a broker URL that kombu knows. It imports no transport of kombu's.

kombu finds transports by name in a table and has no entry points for it; for serializers it has, and looks
for them before Celery connects. So the entry point ``rabbitkeeper`` of ``kombu.serializers`` leads here: to
arguments for ``kombu.serialization.register`` that register nothing but a name.
"""

from collections.abc import Callable
from typing import Any

import kombu.utils.url as kombu_url
from kombu.transport import TRANSPORT_ALIASES

from rabbitkeeper.client.kombu.broker_url import SCHEME, BrokerUrl
from rabbitkeeper.client.model.errors import InvalidArgument

TRANSPORT = "rabbitkeeper.client.kombu.transport:KombuTransport"

_PARSE = "_parse_url"  # kombu's own name for what its function that hides a password takes a URL apart with


def register() -> None:
    """Add the transport to kombu's table. Can be called again."""
    TRANSPORT_ALIASES[SCHEME] = TRANSPORT
    parse = getattr(kombu_url, _PARSE, None)
    if parse is not None and not hasattr(parse, SCHEME):
        setattr(kombu_url, _PARSE, _parser(parse))


def _parser(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """``parse``, which knows one host and one port, for URLs with several servers as well: Celery shows a
    worker's broker URL, and would end where it has declared its queues for delayed tasks."""

    def parse_url(url: str) -> Any:
        if url.partition("://")[0].partition("+")[0] != SCHEME:
            return parse(url)
        try:
            known = BrokerUrl.parse(url)
        except InvalidArgument:
            return kombu_url.urlparts(SCHEME, "", None, None, None, "", {})
        where = known.servers + known.base
        return kombu_url.urlparts(known.scheme, where, None, known.username, known.password, known.group, {})

    setattr(parse_url, SCHEME, True)
    return parse_url


register()

SERIALIZER = (None, None, "application/x-rabbitkeeper")
"""Neither encoder nor decoder, and a content type that nothing has."""

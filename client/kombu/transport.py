"""kombu's transport: it asks at each attempt where to connect, and what is connected is left in time.

What decides is in :mod:`member_choice`. Messages, serializers and pools are kombu's own.
"""

import logging
import ssl
import time
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from amqp.exceptions import AccessRefused, AMQPError, NotAllowed
from kombu.transport import pyamqp

from rabbitkeeper.client.kombu.broker_url import SCHEME, BrokerUrl
from rabbitkeeper.client.kombu.connection import KombuConnection
from rabbitkeeper.client.kombu.errors import NoMember
from rabbitkeeper.client.kombu.resolver import Resolver, resolvers
from rabbitkeeper.client.kombu.settings import KombuSettings, settings_of
from rabbitkeeper.client.routing.placement import Target
from rabbitkeeper.client.routing.switch import CONNECT_TIMEOUT
from rabbitkeeper.coordinator.model.broker_replies import Reply
from rabbitkeeper.coordinator.model.errors import CoordinationError
from rabbitkeeper.coordinator.model.text import printable

log = logging.getLogger(__name__)

LEAST = 0.1  # seconds for anything that is begun
PATIENCE = 5.0  # seconds for one attempt of kombu's, at all members, where kombu has no connect_timeout


class KombuTransport(pyamqp.Transport):  # type: ignore[misc]  # kombu has no types
    """See :class:`kombu.transport.base.Transport`; made by kombu.

    Args:
        client: the ``kombu.Connection`` that it is of. What its URL says of user, password and virtual host
            becomes the connection's own: kombu shows URLs, and no passwords.

    Raises:
        InvalidArgument: the URL is not valid.
    """

    Connection = KombuConnection
    can_parse_url = True

    def __init__(self, client: Any, **arguments: Any) -> None:
        super().__init__(client, **arguments)
        self._url = url = BrokerUrl.parse(client.hostname or "")
        if url.username is not None:
            client.userid, client.password = url.username, url.password
        if url.virtual_host is not None:
            client.virtual_host = url.virtual_host
        client.hostname = url.without_user().removeprefix(_prefix(client))

    def establish_connection(self) -> KombuConnection:
        """Connect to the best member that answers.

        Raises:
            NoMember: none did in time; kombu tries again.
            AccessRefused, NotAllowed: the broker refused user, password or virtual host.
            InvalidArgument, NotAuthorized: an option is not valid, or the agents want another token.
        """
        client = self.client
        settings = settings_of(self._url, client.transport_options or {}, secure=bool(client.ssl))
        deadline = time.monotonic() + (client.connect_timeout or PATIENCE)
        resolver = resolvers.of(settings.lookup)
        try:
            resolver.start(max(LEAST, deadline - time.monotonic()))
        except CoordinationError as error:
            raise NoMember(printable(str(error))) from error
        failures: dict[str, str] = {}
        while (target := resolver.next(deadline)) is not None:
            left = deadline - time.monotonic()
            if left <= 0 and target.member in failures:  # the others have had their turn
                break
            left = max(LEAST, left)
            timeout = min(left, CONNECT_TIMEOUT * resolver.patience(target))
            try:
                return self._connect(resolver, target, settings, timeout)
            except (AMQPError, OSError) as error:
                if _is_final(error):
                    raise
                resolver.failed(target, silent=isinstance(error, TimeoutError))
                failures[target.member] = printable(str(error) or type(error).__name__)
        raise NoMember(self._none(resolver, failures))

    def _connect(
        self, resolver: Resolver, target: Target, settings: KombuSettings, timeout: float
    ) -> KombuConnection:
        client = self.client
        password = client.password
        defaults = self.default_connection_params
        arguments: dict[str, Any] = {
            "userid": client.userid or defaults["userid"],
            "password": password() if callable(password) else password or defaults["password"],
            "login_method": client.login_method or defaults["login_method"],
            "virtual_host": client.virtual_host,
            "ssl": _tls(client.ssl, target.address),
            "heartbeat": client.heartbeat,
            "confirm_publish": True,
        }
        arguments.update(settings.amqp)
        given = arguments.get("client_properties") or {}
        arguments["client_properties"] = {"connection_name": settings.lookup.name, **given}
        connection = self.Connection(
            target, settings.answer_timeout, **{**arguments, "connect_timeout": timeout}
        )
        try:
            connection.connect()
        except BaseException:
            connection.collect()
            raise
        log.info("connected to %s at %s", target.member, printable(target.address))
        connection.client = client
        connection.report_to(resolver, resolver.opened(target, connection))
        return connection

    def _none(self, resolver: Resolver, failures: dict[str, str]) -> str:
        group = f"no member of group {self._url.group!r}"
        if failures:
            each = "; ".join(f"{name}: {why}" for name, why in failures.items())
            return f"{group} could be reached: {each}"
        return f"{group} takes connections: {resolver.mismatch() or 'none is there, or all of them are down'}"

    def qos_semantics_matches_spec(self, connection: Any) -> bool:
        """Always: Celery then asks for a prefetch of each consumer by itself. A quorum queue knows no other,
        and which queues are quorum queues is the broker's to say, where its default is to make them so."""
        del connection
        return True

    def as_uri(self, uri: str, include_password: bool = False, mask: str = "**") -> str:
        """The URL for people: with ``mask`` for the password, if it has one."""
        del uri
        client = self.client
        url = replace(self._url, username=client.userid or None)
        if not client.password:
            return url.text()
        if not include_password:
            return url.text(mask)
        return url.text(quote(client.password() if callable(client.password) else client.password, safe=""))

    def get_manager(self, *arguments: Any, **options: Any) -> Any:
        """There is none: which broker's management API it would be changes.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(f"{SCHEME}:// has no management API: ask an agent's, or a broker's")


def _prefix(client: Any) -> str:
    """What kombu has taken off the URL, and puts before it again."""
    return f"{client.uri_prefix}+" if client.uri_prefix else ""


def _tls(given: Any, address: str) -> Any:
    """kombu's ``ssl``, with the name of the member that is connected to, where its name is to be checked."""
    if not given:
        return given
    host = address.rpartition(":")[0].strip("[]")
    options = {} if given is True else dict(given)
    # kombu would keep the name of the member that was tried first
    if options.get("server_hostname") is None and options.get("cert_reqs") != ssl.CERT_NONE:
        options["server_hostname"] = host
    return options


def _is_final(error: BaseException) -> bool:
    """Whether every member would say the same, now and later."""
    if not isinstance(error, AccessRefused | NotAllowed):
        return False
    return not Reply(error.reply_code or 0, error.reply_text or "").may_pass

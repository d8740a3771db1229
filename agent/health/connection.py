"""One connection from the agent to its broker, with the local canary on it, from the attempt to its end.

It tells whoever made it what happens (:class:`ConnectionEvents`) and decides nothing; ``probe.py`` makes the
next one. What an old connection still says must be told apart by the one that each event names, because pika
closes it in its own time.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import pika
from pika.adapters.select_connection import IOLoop

from rabbitkeeper.agent.health.channel import Frame
from rabbitkeeper.agent.health.connect_failure import classify
from rabbitkeeper.agent.health.local_canary import LocalCanary
from rabbitkeeper.agent.model.observation import ConnectFailure

# pika waits for as long as the system does to look a name up: most of a minute while a network is cut off.
# The steps after that have connect_timeout each: TCP, and TLS and AMQP together.
_STEPS = 2.0
_MARGIN = 0.5  # seconds until pika has told that a step took too long

_HEARTBEAT = 20  # seconds; closes what no canary watches, such as a connection that was given up


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """How to reach the broker, and how often to ask it.

    Args:
        interval: seconds between canaries.
        hung_after: seconds of silence that matter to the judge: it is woken then.
        fall: failed attempts, and
        rise: confirmed canaries, that matter to the judge.
        connect_timeout: seconds for TCP, and as many again until the vhost is open.
    """

    host: str
    port: int
    username: str
    password: str
    vhost: str
    name: str  # the member's, for the broker's list of connections
    interval: float = 0.5
    hung_after: float = 2.0
    fall: int = 1
    rise: int = 1
    connect_timeout: float = 1.0
    tls: ssl.SSLContext | None = None
    server_name: str | None = None  # as in the broker's certificate; None: ``host``

    def parameters(self) -> pika.ConnectionParameters:
        return pika.ConnectionParameters(
            host=self.host,
            port=self.port,
            virtual_host=self.vhost,
            credentials=pika.PlainCredentials(self.username, self.password),
            connection_attempts=1,
            heartbeat=_HEARTBEAT,
            socket_timeout=self.connect_timeout,
            stack_timeout=self.connect_timeout,
            ssl_options=None
            if self.tls is None
            else pika.SSLOptions(self.tls, self.server_name or self.host),
            client_properties={"connection_name": f"rabbitkeeper agent {self.name}"},
        )

    def __repr__(self) -> str:  # the password must not reach a log by way of a traceback
        return f"ProbeSettings({self.username}@{self.host}:{self.port}{self.vhost!r})"


class ConnectionEvents(Protocol):
    """What a connection tells, always on the I/O loop's thread."""

    def connection_up(self, connection: "BrokerConnection") -> None: ...

    def connection_failed(self, connection: "BrokerConnection", failure: ConnectFailure, error: str) -> None:
        """The attempt to connect has failed."""

    def connection_broken(self, connection: "BrokerConnection", error: str) -> None:
        """The connection was up and is not any more."""

    def connection_blocked(self, connection: "BrokerConnection", reason: str | None) -> None:
        """The broker blocks publishers (reason), or does so no more (None)."""

    def canary_sent(self, connection: "BrokerConnection") -> None:
        """The broker owes an answer."""

    def canary_answered(self, connection: "BrokerConnection", confirmed: bool, latency: float) -> None: ...


class BrokerConnection:
    """Connects at once; belongs to the I/O loop's thread.

    Args:
        settings: whom to connect to, and how often to send a canary.
        loop: the I/O loop.
        events: who is told.
        clock: monotonic seconds.
    """

    def __init__(
        self, settings: ProbeSettings, loop: IOLoop, events: ConnectionEvents, *, clock: Callable[[], float]
    ) -> None:
        self.settings = settings
        self._loop = loop
        self._events = events
        self._clock = clock
        self._canary: LocalCanary | None = None
        self._ready = False
        self._blocked = False
        self._sent = 0.0
        self._closing = False
        self._on_closed: Callable[[], None] | None = None
        self.amqp: pika.SelectConnection | None = None  # while it is up
        self._pika = pika.SelectConnection(
            settings.parameters(),
            on_open_callback=self._opened,
            on_open_error_callback=self._failed,
            on_close_callback=self._broken,
            custom_ioloop=loop,
        )
        self._patience = loop.call_later(settings.connect_timeout * _STEPS + _MARGIN, self._give_up)

    @property
    def version(self) -> str | None:
        """RabbitMQ's, as it says itself; None while there is no connection."""
        properties = getattr(self.amqp, "server_properties", None) or {}
        version = properties.get("version")
        return version if isinstance(version, str) else None

    def close(self, on_closed: Callable[[], None] | None = None) -> None:
        """Close it and tell no more of it.

        Args:
            on_closed: called when the broker has said goodbye, which a sick one never does.
        """
        self._closing = True
        self._on_closed = on_closed
        self.amqp = None
        if not (self._pika.is_closing or self._pika.is_closed):
            self._pika.close()

    def _opened(self, connection: pika.SelectConnection) -> None:
        if self._closing:
            return
        self._loop.remove_timeout(self._patience)
        self.amqp = connection
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)
        self._events.connection_up(self)
        self._canary = LocalCanary(
            connection, on_ready=self._on_ready, on_answer=self._on_answer, on_closed=self._on_channel_closed
        )
        self._events.canary_sent(self)  # the canary's channel is the first thing that it owes

    def _failed(self, _connection: object, error: BaseException) -> None:
        self._ended()
        if not self._closing:
            self._events.connection_failed(self, *classify(error))

    def _give_up(self) -> None:
        if not self._closing:
            self.close()
            self._events.connection_failed(
                self,
                ConnectFailure.REFUSED,
                f"the host {self.settings.host} is not found: looking it up takes too long",
            )

    def _broken(self, _connection: object, error: BaseException) -> None:
        self.amqp = None
        self._ended()
        if not self._closing:
            self._events.connection_broken(self, classify(error)[1])

    def _ended(self) -> None:
        self._loop.remove_timeout(self._patience)
        if self._on_closed is not None:
            self._on_closed()

    def _on_channel_closed(self, reason: str) -> None:
        if self.amqp is None or not self.amqp.is_open:
            return  # the channel went with its connection
        self.close()
        self._events.connection_broken(self, f"the broker closed the canary's channel: {reason}")

    def _on_ready(self) -> None:
        self._ready = True
        self._send()

    def _send(self) -> None:
        if self.amqp is None or self._canary is None or self._blocked or self._canary.outstanding:
            return
        self._sent = self._clock()
        self._canary.send()
        self._events.canary_sent(self)

    def _on_answer(self, confirmed: bool) -> None:
        latency = self._clock() - self._sent
        self._events.canary_answered(self, confirmed, latency)
        self._loop.call_later(max(0.0, self.settings.interval - latency), self._send)

    def _on_blocked(self, _connection: object, frame: Frame) -> None:
        self._blocked = True
        self._events.connection_blocked(self, str(getattr(frame.method, "reason", None) or "no reason given"))

    def _on_unblocked(self, _connection: object, _frame: object) -> None:
        self._blocked = False
        self._events.connection_blocked(self, None)
        if self._ready:
            self._send()

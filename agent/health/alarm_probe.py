"""A second connection to the broker, which publishes nothing: for as long as an alarm blocks the first.

RabbitMQ stops reading from a connection that has published during an alarm, so nothing that is asked there is
answered, be the broker well or hung. One that does not publish is served as ever. It is asked for a setting
of its own channel, which the node answers alone.
"""

from typing import Protocol

import pika
from pika.adapters.select_connection import IOLoop

from rabbitkeeper.agent.health.channel import Channel
from rabbitkeeper.agent.health.connect_failure import classify
from rabbitkeeper.agent.model.observation import ConnectFailure


class AlarmProbeEvents(Protocol):
    """What an alarm probe tells, on the I/O loop's thread."""

    def alarm_probe_asked(self) -> None:
        """The broker owes an answer."""

    def alarm_probe_answered(self) -> None:
        """It has given one."""


class AlarmProbe:
    """Connects at once, and again when that fails, until it is closed. Belongs to the I/O loop's thread.

    Args:
        parameters: of the connection.
        loop: the I/O loop.
        events: who is told.
        interval: seconds from an answer to the next question, and between attempts to connect.
    """

    def __init__(
        self,
        parameters: pika.ConnectionParameters,
        loop: IOLoop,
        events: AlarmProbeEvents,
        *,
        interval: float,
    ) -> None:
        self._parameters = parameters
        self._loop = loop
        self._events = events
        self._interval = interval
        self._closed = False
        self._channel: Channel | None = None
        self._connection: pika.SelectConnection | None = None
        self._connect()

    def close(self) -> None:
        """Ask no more. Idempotent."""
        self._closed = True
        connection = self._connection
        if connection is not None and not (connection.is_closing or connection.is_closed):
            connection.close()

    def _connect(self) -> None:
        if self._closed:
            return
        self._events.alarm_probe_asked()
        self._connection = pika.SelectConnection(
            self._parameters,
            on_open_callback=lambda connection: connection.channel(on_open_callback=self._opened),
            on_open_error_callback=self._failed,
            on_close_callback=self._failed,
            custom_ioloop=self._loop,
        )

    def _failed(self, _connection: object, error: BaseException) -> None:
        self._channel = None
        if self._closed:
            return
        if classify(error)[0] is not ConnectFailure.SILENT:
            self._events.alarm_probe_answered()
        self._loop.call_later(self._interval, self._connect)

    def _opened(self, channel: Channel) -> None:
        self._channel = channel
        self._answered()

    def _answered(self, *_: object) -> None:
        if not self._closed:
            self._events.alarm_probe_answered()
            self._loop.call_later(self._interval, self._ask)

    def _ask(self) -> None:
        if not self._closed and self._channel is not None and self._channel.is_open:
            self._events.alarm_probe_asked()
            self._channel.basic_qos(prefetch_count=1, callback=self._answered)

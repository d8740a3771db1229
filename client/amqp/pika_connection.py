"""The transport over pika: connections to real brokers. See :class:`transport.Transport`."""

import logging
import re
from collections.abc import Callable

from pika import ConnectionParameters as ConnectionParameters
from pika import PlainCredentials, SSLOptions
from pika.adapters.select_connection import SelectConnection
from pika.exceptions import ConnectionClosedByClient
from pika.frame import Method

from rabbitkeeper.client.amqp import transport
from rabbitkeeper.client.amqp.decoding import Decoder
from rabbitkeeper.client.amqp.pika_channel import PikaChannel
from rabbitkeeper.client.amqp.pika_errors import connection_lost
from rabbitkeeper.client.amqp.pika_logging import filter_loggers, unlogged
from rabbitkeeper.client.amqp.pika_loop import ConnectionLoop, PikaLoop
from rabbitkeeper.client.amqp.reader import read_directly
from rabbitkeeper.client.amqp.shared_loop import ClientLoop, client_loop
from rabbitkeeper.client.amqp.transport import FRAME_MAX, Access, ChannelLost, ConnectionLost, Timer

log = logging.getLogger(__name__)

ANSWERS = 4  # of a broker that opens a connection, at the most, each of which begins the timeout again
OURS_FIRST = 1.0  # seconds by which pika's timeouts are later than ours
CLOSE_TIMEOUT = 1.0  # seconds for the closing handshake before the socket is dropped


def connection_parameters(access: Access, address: str, timeout: float) -> ConnectionParameters:
    """pika's parameters for the broker at ``address`` (host:port), with ``timeout`` seconds an answer."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    return ConnectionParameters(
        host=host,
        port=int(port),
        virtual_host=access.virtual_host,
        credentials=PlainCredentials(access.username, access.password),
        heartbeat=access.heartbeat,
        connection_attempts=1,
        socket_timeout=timeout + OURS_FIRST,
        stack_timeout=(ANSWERS + 1) * timeout + OURS_FIRST,
        blocked_connection_timeout=None,
        ssl_options=None if access.tls is None else SSLOptions(access.tls, host),
        client_properties={"product": "RabbitKeeper", "connection_name": access.name},
    )


class PikaTransport:
    """See :class:`transport.Transport`. Brings its loop.

    Args:
        shared: on the I/O thread that clients of this process share, not on one of its own.
    """

    def __init__(self, *, shared: bool = False) -> None:
        filter_loggers()
        self.loop: PikaLoop | ClientLoop
        if shared:
            self.loop = client_loop()
        else:
            with unlogged():
                self.loop = PikaLoop()

    def connect(
        self,
        address: str,
        access: Access,
        *,
        timeout: float,
        on_open: Callable[[], None],
        on_lost: Callable[[ConnectionLost], None],
        on_blocked: Callable[[str | None], None],
    ) -> "PikaConnection":
        return PikaConnection(
            self.loop,
            address,
            access,
            timeout=timeout,
            on_open=on_open,
            on_lost=on_lost,
            on_blocked=on_blocked,
        )


class SignsOfLife:
    """Of a broker that opens a connection: whether it is worth waiting for more. Pure."""

    def __init__(self) -> None:
        self._heard = 0  # bytes
        self._times = 0

    def seen(self, heard: int) -> bool:
        """Whether more was heard since the last look, and not so often that it leads nowhere.

        Args:
            heard: bytes so far.
        """
        is_more = heard > self._heard and self._times < ANSWERS
        self._heard, self._times = heard, self._times + is_more
        return is_more


class PikaConnection:
    """See :class:`transport.Connection`."""

    def __init__(
        self,
        loop: PikaLoop | ClientLoop,
        address: str,
        access: Access,
        *,
        timeout: float,
        on_open: Callable[[], None],
        on_lost: Callable[[ConnectionLost], None],
        on_blocked: Callable[[str | None], None],
    ) -> None:
        self._loop = loop
        self._on_open: Callable[[], None] | None = on_open
        self._on_lost: Callable[[ConnectionLost], None] | None = on_lost
        self._on_blocked: Callable[[str | None], None] | None = on_blocked
        self._is_open = False
        self._channels: list[PikaChannel] = []
        self._decoder: Decoder | None = None
        self._own_loop = ConnectionLoop(loop.ioloop, self._broken)
        self._connection: SelectConnection = None  # stays so if it could not even be begun
        self._timeout = timeout
        self._signs = SignsOfLife()
        self._timer: Timer | None = loop.call_later(timeout, self._look_again)
        try:
            self._connection = SelectConnection(
                connection_parameters(access, address, timeout),
                on_open_callback=self._opened,
                on_open_error_callback=self._failed,
                on_close_callback=self._failed,
                custom_ioloop=self._own_loop,
            )
        except Exception as error:  # noqa: BLE001 - as if nobody were at that address
            why = f"cannot connect to {address!r}: {error!r}"
            loop.call_later(0.0, lambda: self._fail(ConnectionLost(why)))
            return
        self._connection.add_on_connection_blocked_callback(self._blocked)
        self._connection.add_on_connection_unblocked_callback(self._unblocked)

    @property
    def is_open(self) -> bool:
        return self._is_open and self._connection is not None and bool(self._connection.is_open)

    @property
    def frame_max(self) -> int:
        return FRAME_MAX if self._connection is None else int(self._connection.params.frame_max)

    @property
    def version(self) -> tuple[int, int]:
        said = None if self._connection is None else self._connection.server_properties
        match = re.match(r"(\d+)\.(\d+)", str((said or {}).get("version")))
        return (0, 0) if match is None else (int(match[1]), int(match[2]))

    def channel(
        self,
        on_open: Callable[[transport.Channel], None],
        on_lost: Callable[[transport.Channel, ChannelLost], None],
    ) -> PikaChannel:
        channel = PikaChannel(self._loop, self._connection, self._decoder, on_open, on_lost)
        self._channels = [known for known in self._channels if not known.is_over]
        self._channels.append(channel)
        return channel

    def update_secret(self, secret: str, on_done: Callable[[], None]) -> None:
        if self.is_open:
            self._connection.update_secret(secret, "it would have expired", lambda _: on_done())

    def abort(self) -> None:
        self._forget()
        connection = self._connection
        if connection is None or connection.is_closed or connection.is_closing:
            return
        if not self._drop("connection given up"):
            connection.close()

    def close(self) -> None:
        if not self.is_open:  # pika 1.4 fails over a ``close`` during the opening handshake
            self.abort()
            return
        self._forget()
        self._connection.close()
        self._own_loop.call_later(CLOSE_TIMEOUT, self.end_closing)  # its client may be over by then
        self._loop.end_with_loop(self)

    def end_closing(self) -> None:
        """See :class:`pika_loop.Closing`."""
        if not self._connection.is_closed:
            self._drop("closing took too long")

    def _drop(self, why: str) -> bool:
        """Close the socket at once; whether this pika can do that."""
        terminate = getattr(self._connection, "_terminate_stream", None)
        if terminate is None:
            return False
        terminate(ConnectionClosedByClient(200, why))
        return True

    def _forget(self) -> None:
        self._on_open = self._on_lost = self._on_blocked = None
        self._is_open = False
        for channel in self._channels:
            channel.silence()
        self._channels.clear()
        if self._timer is not None:
            self._loop.cancel(self._timer)
            self._timer = None

    def _opened(self, _connection: object) -> None:
        self._is_open = True
        self._decoder = read_directly(self._connection)
        if self._timer is not None:
            self._loop.cancel(self._timer)
            self._timer = None
        if self._on_open is not None:
            self._on_open()

    def _broken(self, error: BaseException) -> None:
        """Something of this connection raised what nobody expected: it is of no use any more."""
        report = self._on_lost
        log.log(logging.DEBUG if report is None else logging.ERROR, "a connection failed", exc_info=error)
        try:
            self.abort()
        except Exception as second:  # noqa: BLE001 - pika may be in any state
            log.warning("a connection that failed could not be dropped: %r", second)
        self._report(report, ConnectionLost(f"the connection failed: {error!r}"))

    def _failed(self, _connection: object, error: BaseException) -> None:
        report = self._on_lost
        self._forget()
        self._report(report, connection_lost(error))

    def _report(self, report: Callable[[ConnectionLost], None] | None, lost: ConnectionLost) -> None:
        if report is None:
            return
        try:
            report(lost)
        except BaseException as fault:  # noqa: BLE001 - no fault of this connection's, which has ended
            raised = fault
            self._loop.call_later(0.0, lambda: _raise(raised))

    def _look_again(self) -> None:
        """Time is up, unless the answer is there and was not read: the loop may be behind, so it has one look
        at its sockets first."""
        self._timer = self._loop.call_later(0.0, self._silent)

    def _silent(self) -> None:
        if self._signs.seen(int(getattr(self._connection, "bytes_received", 0))):
            self._timer = self._loop.call_later(self._timeout, self._look_again)
        else:
            self._fail(ConnectionLost(f"no answer in {self._timeout:g} s"))

    def _fail(self, lost: ConnectionLost) -> None:
        self._timer = None
        report = self._on_lost
        self.abort()
        if report is not None:
            report(lost)

    def _blocked(self, _connection: object, frame: Method) -> None:
        if self._on_blocked is not None:
            self._on_blocked(str(frame.method.reason or "no reason given"))

    def _unblocked(self, _connection: object, _frame: object) -> None:
        if self._on_blocked is not None:
            self._on_blocked(None)


def _raise(error: BaseException) -> None:
    """On the loop itself: what is raised there comes out of it."""
    raise error

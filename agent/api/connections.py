"""The HTTP API's connections: accepted, given a place, and closed when their time is over.

``admission.py`` decides; this accepts, speaks TLS, and tells it what each connection does. uvicorn's own way
of accepting has no deadline for the head of a request and no limit that a health check could pass.
"""

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from rabbitkeeper.agent.api.admission import HEAD_TIMEOUT, Admission, Place, Stage
from rabbitkeeper.agent.api.refusal import Refusal
from rabbitkeeper.agent.runtime.limited_log import LimitedLog

LOG = logging.getLogger("rabbitkeeper.agent.api")

CHECKS = frozenset({"/leader", "/replica", "/live", "/ready", "/health"})
"""What load balancers and orchestrators ask for: answered whatever else there is."""

_BATCH = 64  # connections accepted in one go
_LOOK_EVERY = 0.5  # seconds between looks for those whose time is over
_HEAD = 4096  # bytes; a health check has a few hundred
_PAUSE = 0.1  # seconds without accepting when there are no descriptors left
_NONE_LEFT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_LATE = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]


class BoundedServer(uvicorn.Server):
    """uvicorn without its own accepting.

    Args:
        config: uvicorn's.
        listening: the socket.
        admission: who gets a place.
        tls: what a new connection is wrapped in; None: nothing.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        listening: socket.socket,
        admission: Admission,
        tls: Callable[[], ssl.SSLContext | None],
    ) -> None:
        super().__init__(config)
        self._acceptor = _Acceptor(listening, admission, tls, self._protocol)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])
        self._acceptor.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._acceptor.stop()
        await super().shutdown(sockets=[])

    def _protocol(self, connection: "_Connection") -> "_Protocol":
        return _Protocol(connection, self.config, self.server_state, self.lifespan.state)


class _Acceptor:
    def __init__(
        self,
        listening: socket.socket,
        admission: Admission,
        tls: Callable[[], ssl.SSLContext | None],
        protocol: Callable[["_Connection"], "_Protocol"],
    ) -> None:
        self.admission = admission
        self.log = LimitedLog(LOG)
        self._listening = listening
        self._tls = tls
        self._protocol = protocol
        self._connections: dict[Place, _Connection] = {}
        self._again: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._listening.setblocking(False)
        self._listen()
        self._look_round()

    def stop(self) -> None:
        """Accept nobody any more, and let those go who have asked for nothing yet."""
        asyncio.get_running_loop().remove_reader(self._listening)
        for timer in (self._again, self._look):
            if timer is not None:
                timer.cancel()
        for place, connection in [*self._connections.items()]:
            if place.stage is Stage.WAITING:
                connection.abort()

    def forget(self, place: Place) -> None:
        self.admission.leave(place)
        self._connections.pop(place, None)

    def _listen(self) -> None:
        asyncio.get_running_loop().add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        for _ in range(_BATCH):
            try:
                peer, address = self._listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                self._cannot_accept(error)
                return
            self._welcome(peer, str(address[0]))

    def _welcome(self, peer: socket.socket, host: str) -> None:
        tls = self._tls()
        stage = Stage.CHECK if tls is None and _has_asked(peer) else Stage.WAITING
        place, victim = self.admission.arrive(host, time.monotonic(), stage)
        if victim is not None:
            self.log.warning(
                "pushed out",
                "a connection of %s gives its place to a newer one of %s: %d are open",
                victim.address,
                host,
                self.admission.count,
            )
            self._abort(victim)
        if place is None:
            self.log.warning(
                "no place", "a connection of %s was closed: %d are open", host, self.admission.count
            )
            peer.close()
            return
        self._connections[place] = _Connection(self, place, peer, tls, self._protocol)

    def _cannot_accept(self, error: OSError) -> None:
        """Without descriptors the listening socket stays ready, and would be asked without end."""
        if error.errno not in _NONE_LEFT:
            self.log.warning("accept", "a connection could not be accepted: %s", error.strerror)
            return
        self.log.warning(
            "descriptors",
            "no connection can be accepted (%s): %d are open",
            error.strerror,
            self.admission.count,
        )
        victim = self.admission.yielding(time.monotonic())
        if victim is not None:
            self._abort(victim)
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listening)
        self._again = loop.call_later(_PAUSE, self._listen)

    def _look_round(self) -> None:
        for place in self.admission.overdue(time.monotonic()):
            connection = self._connections.get(place)
            if connection is not None:
                connection.expire()
        self._look = asyncio.get_running_loop().call_later(_LOOK_EVERY, self._look_round)

    def _abort(self, place: Place) -> None:
        connection = self._connections.get(place)
        if connection is not None:
            connection.abort()


def _has_asked(peer: socket.socket) -> bool:
    """Whether the whole head of a request has come with the connection."""
    try:
        return b"\r\n\r\n" in peer.recv(_HEAD, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except OSError:
        return False


class _Connection:
    """One connection, from its acceptance to its end."""

    def __init__(
        self,
        acceptor: _Acceptor,
        place: Place,
        peer: socket.socket,
        tls: ssl.SSLContext | None,
        protocol: Callable[["_Connection"], "_Protocol"],
    ) -> None:
        self.place = place
        self.acceptor = acceptor
        self.transport: asyncio.Transport | None = None  # once it can be spoken over
        self.asked = False  # something of a request has come
        self._peer = peer
        self._beginning = asyncio.create_task(self._begin(tls, protocol))

    def move(self, stage: Stage) -> bool:
        return self.acceptor.admission.move(self.place, stage, time.monotonic())

    def ended(self) -> None:
        self.acceptor.forget(self.place)

    def expire(self) -> None:
        """Its time for a request is over."""
        if self.place.stage is Stage.WAITING:
            self.acceptor.log.warning(
                "late", "a connection of %s was closed: no whole request came in time", self.place.address
            )
            if self.asked and self.transport is not None:
                self.transport.write(_LATE)
                self.transport.close()
                self.ended()
                return
        self.abort()

    def abort(self) -> None:
        self.ended()
        if self.transport is not None:
            self.transport.abort()
        else:
            self._beginning.cancel()

    async def _begin(
        self, tls: ssl.SSLContext | None, protocol: Callable[["_Connection"], "_Protocol"]
    ) -> None:
        limit = None if tls is None else HEAD_TIMEOUT
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: protocol(self),
                self._peer,
                ssl=tls,
                ssl_handshake_timeout=limit,
                ssl_shutdown_timeout=None if tls is None else 1.0,
            )
        except OSError as error:  # ssl.SSLError and TimeoutError are ones
            why = getattr(error, "reason", None) or error.strerror or type(error).__name__
            self.acceptor.log.warning("tls", "TLS with %s has failed: %s", self.place.address, why)
            self._close()
        except asyncio.CancelledError:
            self._close()
            raise

    def _close(self) -> None:
        with contextlib.suppress(OSError):
            self._peer.close()
        self.ended()


class _Protocol(H11Protocol):
    """uvicorn's HTTP, which says what its connection does."""

    def __init__(
        self, connection: _Connection, config: uvicorn.Config, state: Any, shared: dict[str, Any]
    ) -> None:
        super().__init__(config, state, shared)
        self._connection = connection
        self._serve = self.app
        self.app = self._admit

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        secure = transport.get_extra_info("ssl_object")
        certificate = None if secure is None else secure.getpeercert(binary_form=True)
        self.app_state = {**self.app_state, "certified": certificate is not None}
        self._connection.transport = transport
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.ended()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._connection.asked = True
        if self._connection.place.stage is Stage.IDLE:
            self._connection.move(Stage.WAITING)
        super().data_received(data)
        if self._busy and self._connection.place.stage is Stage.WAITING:
            self._connection.move(Stage.CHECK)  # until it is served, and then seen which kind it is

    def on_response_complete(self) -> None:
        self._connection.move(Stage.IDLE)
        super().on_response_complete()  # may begin the next request, if it has come already
        if not self._busy and self.conn.trailing_data[0]:
            self._connection.move(Stage.WAITING)

    @property
    def _busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    async def _admit(self, scope: Any, receive: Any, send: Any) -> None:
        stage = Stage.CHECK if scope.get("path") in CHECKS else Stage.OTHER
        if self._connection.move(stage):
            await self._serve(scope, receive, send)
            return
        refusal = Refusal(503, "too many requests are under way; ask again", {"Retry-After": "1"})
        await refusal.response()(scope, receive, send)

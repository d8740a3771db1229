"""The HTTP API as the agent has it: put together, its port taken, run in a thread of its own, ended."""

import errno
import logging
import os
import socket
import ssl
import threading
from collections.abc import Callable, Mapping

import uvicorn

from rabbitkeeper.agent.api.admission import IDLE_TIMEOUT, Admission, limits_for
from rabbitkeeper.agent.api.app import Sources, build
from rabbitkeeper.agent.api.connections import BoundedServer
from rabbitkeeper.agent.api.metrics import Metrics
from rabbitkeeper.agent.api.refusal import WriteAccess
from rabbitkeeper.agent.api.stream import Stream
from rabbitkeeper.agent.api.tls import server_context
from rabbitkeeper.agent.config import HttpConfig
from rabbitkeeper.agent.group.announcement import Announcer
from rabbitkeeper.agent.model.errors import AddressTaken
from rabbitkeeper.agent.model.observation import Traffic
from rabbitkeeper.agent.model.state import Board
from rabbitkeeper.agent.notify.dispatcher import Sink
from rabbitkeeper.agent.runtime import descriptors
from rabbitkeeper.coordinator.model.errors import ConfigurationError
from rabbitkeeper.coordinator.store.store import Store

LOG = logging.getLogger("rabbitkeeper.agent.api")

_PASSES = frozenset({errno.EADDRINUSE, errno.EADDRNOTAVAIL, socket.EAI_AGAIN})  # another has it; not up yet
_DEFER = 5  # seconds; the kernel rounds up to its retransmissions, about 7
_BACKLOG = 4096  # a wave of strangers must not fill it; the kernel's net.core.somaxconn may be lower
_GRACE = 1  # seconds for requests under way when it ends
_STOP_TIMEOUT = 3.0  # seconds for the thread to end
_UNREAD = 20_000  # milliseconds until the kernel gives up a peer that takes nothing


class ApiServer:
    """Serves from :meth:`start` to :meth:`stop`.

    Args:
        config: ``http``, with ``listen``.
        board: the agent's state.
        store: makes a store for a thread.
        announcer: who the agent is.
        hooks: outcomes of hooks, for the metrics.
        traffic: what the cluster has carried, as :class:`Sources` has it.
    """

    def __init__(
        self,
        config: HttpConfig,
        board: Board,
        *,
        store: Callable[[], Store],
        announcer: Announcer,
        hooks: Mapping[tuple[str, str, str], int],
        traffic: Callable[[], tuple[tuple[float, Traffic], ...]] = tuple,
    ) -> None:
        self._config = config
        self._access = _access(config)
        self._stream = Stream(announcer.instance)
        self._metrics = Metrics(
            board, announcer.version, hooks=hooks, listeners=lambda: self._stream.listeners
        )
        self._app = build(
            Sources(
                board=board,
                store=store,
                member=announcer.config.name,
                access=lambda: self._access,
                version=announcer.version,
                metrics=self._metrics,
                stream=self._stream,
                zookeeper=announcer.config.zookeeper.servers,
                traffic=traffic,
            )
        )
        self._server: BoundedServer | None = None
        self._context: ssl.SSLContext | None = None
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="rabbitkeeper-api", daemon=True)

    def sinks(self) -> tuple[Sink, ...]:
        """Who is to be told of states and events."""
        return self._metrics.receive, self._stream.receive

    def listen(self) -> None:
        """Take the port and read the certificate.

        Raises:
            AddressTaken: the port cannot be had yet; it may be tried again.
            ConfigurationError: one of them cannot be had.
        """
        self._context = server_context(self._config)
        self._socket = _listen(self._config)
        admission = Admission(limits_for(descriptors.limit()))
        self._server = BoundedServer(self._settings(), self._socket, admission, lambda: self._context)

    def adopt(self, config: HttpConfig) -> None:
        """Take the token and the certificates anew. From any thread; connections that there are go on.

        Args:
            config: as it is now; where it listens does not change.

        Raises:
            ConfigurationError: a certificate cannot be used; nothing has changed.
        """
        self._context = server_context(config)
        self._access = _access(config)

    def start(self) -> None:
        """After :meth:`listen`."""
        self._thread.start()
        LOG.info("the HTTP API listens on %s", self._config.listen)

    def stop(self) -> None:
        """End it; waits for what is under way, three seconds at the most. Idempotent."""
        self._stream.close()
        if self._server is not None:
            self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(_STOP_TIMEOUT)
        if self._socket is not None:
            self._socket.close()

    def _settings(self) -> uvicorn.Config:
        return uvicorn.Config(
            self._app,
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,  # who asks is who connects
            timeout_keep_alive=int(IDLE_TIMEOUT),
            timeout_graceful_shutdown=_GRACE,
        )

    def _run(self) -> None:
        assert self._server is not None  # noqa: S101 - start comes after listen
        try:
            self._server.run()
        except Exception:  # the top of this thread; the agent does without it
            LOG.exception("the HTTP API has ended")


def _access(config: HttpConfig) -> WriteAccess:
    token = None if config.token is None else config.token.get_secret_value()
    return WriteAccess(token, certificate=config.client_ca is not None and config.verify == "writes")


def _listen(config: HttpConfig) -> socket.socket:
    try:
        found = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)
        family, _, _, _, address = found[0]
        listening = socket.create_server(address, family=family, backlog=_BACKLOG)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno is not None and error.errno > 0 else str(error)
        said = (
            f"http.listen is {config.listen!r}, and there the agent cannot listen: "
            f"{why}; give an address of this host and a port that is free"
        )
        raise (AddressTaken if error.errno in _PASSES else ConfigurationError)(said) from None
    # Both are taken over by each connection. An answer is two writes, and without the first option the second
    # waits 40 ms for the peer's delayed acknowledgement. (asyncio sets it only on sockets that name TCP.)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # The kernel hands over a connection when its first bytes are there, or after so many seconds: who
    # connects to be silent costs the agent nothing, and a check's request is there when it is accepted.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, _DEFER)
    # One that is dropped because it does not read is not kept by its buffers.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD)
    return listening

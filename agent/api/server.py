"""The HTTP API as the agent has it: put together, its port taken, run in a thread of its own, ended."""

import logging
import os
import socket
import ssl
import threading
from collections.abc import Callable, Mapping

import uvicorn

from rabbitkeeper.agent.api.app import Sources, build
from rabbitkeeper.agent.api.metrics import Metrics
from rabbitkeeper.agent.api.stream import Stream
from rabbitkeeper.agent.config import HttpConfig
from rabbitkeeper.agent.group.announcement import Announcer
from rabbitkeeper.agent.model.state import Board
from rabbitkeeper.agent.notify.dispatcher import Sink
from rabbitkeeper.coordinator.model.errors import ConfigurationError
from rabbitkeeper.coordinator.store.store import Store

LOG = logging.getLogger("rabbitkeeper.agent.api")

_BACKLOG = 128
_CONNECTIONS = 512  # at once; the next are answered with 503
_KEEP_ALIVE = 30  # seconds; load balancers keep their connections between checks
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
    """

    def __init__(
        self,
        config: HttpConfig,
        board: Board,
        *,
        store: Callable[[], Store],
        announcer: Announcer,
        hooks: Mapping[tuple[str, str, str], int],
    ) -> None:
        self._config = config
        self._stream = Stream(announcer.instance)
        self._metrics = Metrics(
            board, announcer.version, hooks=hooks, listeners=lambda: self._stream.listeners
        )
        self._app = build(
            Sources(
                board=board,
                store=store,
                member=announcer.config.name,
                token=None if config.token is None else config.token.get_secret_value(),
                version=announcer.version,
                metrics=self._metrics,
                stream=self._stream,
            )
        )
        self._server: uvicorn.Server | None = None
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="rabbitkeeper-api", daemon=True)

    def sinks(self) -> tuple[Sink, ...]:
        """Who is to be told of states and events."""
        return self._metrics.receive, self._stream.receive

    def listen(self) -> None:
        """Take the port and read the certificate.

        Raises:
            ConfigurationError: one of them cannot be had.
        """
        settings = self._settings()
        self._socket = _listen(self._config)
        self._server = uvicorn.Server(settings)

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
        config = self._config
        settings = uvicorn.Config(
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
            limit_concurrency=_CONNECTIONS,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=_GRACE,
            ssl_certfile=config.certificate,
            ssl_keyfile=config.key,
            # Without one OpenSSL would ask for it at the terminal, and a daemon would wait for ever.
            ssl_keyfile_password="the key must have no passphrase",  # noqa: S106 - it is none
            ssl_ca_certs=None if config.client_ca is None else str(config.client_ca),
            ssl_cert_reqs=ssl.CERT_NONE if config.client_ca is None else ssl.CERT_REQUIRED,
        )
        try:
            settings.load()
        except OSError as error:  # ssl.SSLError is one
            files = ", ".join(
                f"http.{key} ({path})"
                for key in ("certificate", "key", "client_ca")
                if (path := getattr(config, key)) is not None
            )
            raise ConfigurationError(
                f"{files} cannot be used: {error.strerror or error}; give PEM files that belong together"
            ) from None
        return settings

    def _run(self) -> None:
        assert self._server is not None  # noqa: S101 - start comes after listen
        assert self._socket is not None  # noqa: S101
        try:
            self._server.run(sockets=[self._socket])
        except Exception:  # the top of this thread; the agent does without it
            LOG.exception("the HTTP API has ended")


def _listen(config: HttpConfig) -> socket.socket:
    try:
        found = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)
        family, _, _, _, address = found[0]
        listening = socket.create_server(address, family=family, backlog=_BACKLOG)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno is not None and error.errno > 0 else str(error)
        raise ConfigurationError(
            f"http.listen is {config.listen!r}, and there the agent cannot listen: "
            f"{why}; give an address of this host and a port that is free"
        ) from None
    # Both are taken over by each connection. An answer is two writes, and without the first option the second
    # waits 40 ms for the peer's delayed acknowledgement. (asyncio sets it only on sockets that name TCP.)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # One that is dropped because it does not read is not kept by its buffers.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD)
    return listening

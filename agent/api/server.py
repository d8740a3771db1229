"""The thread that the HTTP API runs in, and the socket that it listens on."""

import contextlib
import logging
import socket
import ssl
import threading

import uvicorn
from fastapi import FastAPI

from rabbitkeeper.agent.config import HttpConfig
from rabbitkeeper.coordinator.errors import ConfigurationError

LOG = logging.getLogger("rabbitkeeper.agent.api")

_BACKLOG = 128
_CONNECTIONS = 512  # at once; the next are answered with 503
_KEEP_ALIVE = 30.0  # seconds; load balancers keep their connections between checks
_GRACE = 1.0  # seconds for requests under way when it ends
_STOP_TIMEOUT = 3.0


def listen(config: HttpConfig) -> socket.socket:
    """A socket that listens on ``http.listen``.

    Raises:
        ConfigurationError: it cannot be had: the port is taken, the address is not of this host.
    """
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        if family is socket.AF_INET:
            found = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)
            family, address = found[0][0], found[0][4]
        else:
            address = (config.host, config.port)
        return socket.create_server(address, family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigurationError(
            f"http.listen is {config.listen!r}, and there the agent cannot listen: "
            f"{error.strerror or error}; give a free port of this host's"
        ) from None


class ApiServer:
    """Serves ``app`` from :meth:`start` to :meth:`stop`, in a thread of its own.

    Args:
        app: the API.
        config: ``http``.
        listening: from :func:`listen`; closed when it ends.

    Raises:
        ConfigurationError: the certificate or the key cannot be used.
    """

    def __init__(self, app: FastAPI, config: HttpConfig, listening: socket.socket) -> None:
        self._listening = listening
        self._config = config
        settings = uvicorn.Config(
            app,
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            limit_concurrency=_CONNECTIONS,
            timeout_keep_alive=int(_KEEP_ALIVE),
            timeout_graceful_shutdown=int(_GRACE),
            ssl_certfile=config.certificate,
            ssl_keyfile=config.key,
            ssl_ca_certs=None if config.client_ca is None else str(config.client_ca),
            ssl_cert_reqs=ssl.CERT_NONE if config.client_ca is None else ssl.CERT_REQUIRED,
        )
        try:
            settings.load()
        except OSError as error:  # ssl.SSLError is one
            listening.close()
            raise ConfigurationError(
                f"http.certificate ({config.certificate}), http.key or http.client_ca cannot be used: "
                f"{error.strerror or error}; give PEM files that belong together"
            ) from None
        self._server = uvicorn.Server(settings)
        self._thread = threading.Thread(target=self._run, name="rabbitkeeper-api", daemon=True)

    def start(self) -> None:
        self._thread.start()
        LOG.info("the HTTP API listens on %s", self._config.listen)

    def stop(self) -> None:
        """End it; waits for what is under way, three seconds at the most. Idempotent."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(_STOP_TIMEOUT)
        with contextlib.suppress(OSError):
            self._listening.close()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._listening])
        except Exception:  # the top of this thread; the agent does without it
            LOG.exception("the HTTP API has ended")

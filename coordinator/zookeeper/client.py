"""kazoo, set up the way RabbitKeeper needs it; and its errors, turned into ours.

What kazoo does by default and why it is set otherwise here:

- *Backoff.* Its pause between attempts to connect grows without a useful bound, so that a client comes back
  long after ZooKeeper did and has lost its session by then. Here it ends at :data:`RECONNECT_DELAY`.
- *Time to connect.* It gives one server the whole session timeout; one server that is cut off would cost the
  session although the others are well. Here each server gets its share of it.
- *A server that boots.* ZooKeeper opens its port before it serves, and some of the connections of the first
  tenth of a second are never answered (in three of six boots measured, 3.8.0). kazoo waits for the answer
  for the whole session timeout, and so loses the session. Here the wait is short at first and doubles.
- *A hung connection.* Every request counts as a sign of life of the server, so a client that keeps asking
  never notices that nothing is answered. :meth:`Handler.sever` lets the session end such a connection.
- *The negotiated session timeout.* The server clamps what was asked for, and kazoo keeps the result to
  itself, save that it logs the server's answer as an object: :class:`Log` takes it from there.
- *TLS.* The context is ours: server names are checked, which kazoo does not do by default.
- *Logging.* Each attempt to connect is a warning, each request with its credentials a debug line. Here
  operators get one line per change of state, from ``session.py``; kazoo's warnings are debug lines, and the
  lines about single requests go nowhere.

This module holds no state of a session.
"""

import atexit
import contextlib
import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

from kazoo.client import KazooClient
from kazoo.exceptions import (
    AuthFailedError,
    BadVersionError,
    ConnectionClosedError,
    ConnectionLoss,
    InvalidACLError,
    KazooException,
    NoAuthError,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
    OperationTimeoutError,
    RequestTimeoutError,
    SessionClosedRequireSaslError,
    SessionExpiredError,
    SessionMovedError,
    ThrottledOpError,
)
from kazoo.handlers.threading import SequentialThreadingHandler
from kazoo.protocol.serialization import Connect

from rabbitkeeper.coordinator.backend.access import BackendAccess
from rabbitkeeper.coordinator.model.errors import (
    AccessDenied,
    Conflict,
    CoordinationError,
    NodeExists,
    NoNode,
    SessionLost,
    ZooKeeperUnreachable,
)
from rabbitkeeper.coordinator.zookeeper.acl import acl_of
from rabbitkeeper.coordinator.zookeeper.hosts import certified_name

RECONNECT_DELAY = 0.5  # seconds at most between attempts to connect, give or take 40 %

_log = logging.getLogger(__name__)

_UNREACHABLE = (
    ConnectionClosedError,  # a subclass of SessionExpiredError: the client was stopped, nothing more is known
    ConnectionLoss,
    OperationTimeoutError,
    RequestTimeoutError,
    SessionMovedError,
    ThrottledOpError,
)
_DENIED = (NoAuthError, AuthFailedError, InvalidACLError, SessionClosedRequireSaslError)


def translate(error: BaseException, path: str) -> CoordinationError:
    """Ours for one of kazoo's errors.

    Args:
        error: what an operation of kazoo ended with.
        path: of the znode, for the message.
    """
    name = type(error).__name__
    if isinstance(error, _UNREACHABLE):
        return ZooKeeperUnreachable(f"ZooKeeper's answer about {path} was lost ({name})")
    if isinstance(error, SessionExpiredError):
        return SessionLost(f"the ZooKeeper session expired before the operation on {path}")
    if isinstance(error, _DENIED):
        return AccessDenied(f"ZooKeeper denies access to {path} ({name}): check the credentials and its ACL")
    if isinstance(error, NoNodeError):
        return NoNode(f"{path} does not exist, or its parent does not", path)
    if isinstance(error, NodeExistsError):
        return NodeExists(f"{path} exists already", path)
    if isinstance(error, BadVersionError):
        return Conflict(f"{path} has been changed in the meantime", path)
    if isinstance(error, NotEmptyError):
        return Conflict(f"{path} has children", path)
    return CoordinationError(f"ZooKeeper refused an operation on {path}: {name}")


class Handler(SequentialThreadingHandler):  # type: ignore[misc]  # kazoo is not typed
    """kazoo's threads and sockets, with bounded times to connect and a way to end a hung connection.

    Args:
        timeout: the session timeout that is asked for, seconds.
        servers: how many there are to try.
        tls: for the connections; None: without TLS.

    Attributes:
        negotiated: the session timeout that the server granted last, seconds; None before the first
            connection, or if this version of kazoo does not show it.
        problem: why the last handshake failed, for a person.
        refusals: connections since the last one that was granted a session, on which the server said nothing.
    """

    def __init__(self, timeout: float, servers: int, tls: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self._tls = tls
        self.negotiated: float | None = None
        self.problem: str | None = None
        self.refusals = 0
        self._timeout = timeout
        self._connect_timeout = max(0.25, timeout / (servers + 1))
        self._patience = self._first_patience = max(0.5, timeout / 12)
        self._greeted = False
        self._socket: socket.socket | None = None
        self._threads: list[threading.Thread] = []

    def create_connection(self, *args: Any, **options: Any) -> Any:
        if self._socket is not None and not self._greeted:
            self.refusals += 1
            self._socket = None
        patience = min(options.get("timeout") or self._connect_timeout, self._connect_timeout)
        deadline = time.monotonic() + patience
        made = super().create_connection(*args, **{**options, "timeout": patience})
        if self._tls is not None:
            made.settimeout(max(0.05, deadline - time.monotonic()))
            try:
                made = self._tls.wrap_socket(made, server_hostname=certified_name(options["hostname"]))
            except OSError as error:
                self.problem = (
                    f"TLS with {options['hostname']} failed: {getattr(error, 'verify_message', '') or error}"
                )
                made.close()
                raise
        self.problem = None
        self._socket = made
        self._greeted = False
        return made

    def select(self, *args: Any, **options: Any) -> Any:
        """kazoo's, with less patience until the server has answered the first message.

        What TLS has decrypted already does not show in the socket.
        """
        *sockets, timeout = args
        decrypted = [one for one in sockets[0] if isinstance(one, ssl.SSLSocket) and one.pending()]
        if decrypted:
            return decrypted, [], []
        if self._greeted:
            return super().select(*args, **options)
        ready = super().select(*sockets, min(timeout, self._patience), **options)
        if not any(ready):  # kazoo gives this connection up
            self._patience = min(2 * self._patience, self._timeout)
        return ready

    def adapt(self, tls: ssl.SSLContext | None) -> None:
        """Another TLS, from the next connection on."""
        self._tls = tls

    def granted(self, timeout: float) -> None:
        """The server has answered the first message, and grants ``timeout`` seconds."""
        self.negotiated = timeout
        self._greeted = True
        self.refusals = 0
        self._patience = self._first_patience

    def spawn(self, func: Callable[..., Any], *args: Any, **options: Any) -> Any:
        thread = super().spawn(func, *args, **options)
        self._threads.append(thread)
        return thread

    def start(self) -> None:
        """As kazoo's, but for the interpreter's end, at which kazoo waits for its threads without a limit.

        They are daemons. One may still be ending its session then (:func:`end`), or wait for a server.
        """
        super().start()
        atexit.unregister(self.stop)

    def sever(self) -> None:
        """End the present TCP connection; kazoo goes on to the next server and keeps the session."""
        made = self._socket
        if made is None:
            return
        # By a handle of its own: a TLS socket's shutdown would take the session's state from under the
        # thread that is reading it.
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(made.fileno())) as handle:
            handle.shutdown(socket.SHUT_RDWR)

    @property
    def ended(self) -> bool:
        """Whether one of kazoo's threads has ended, as after an error that it does not handle."""
        return any(not thread.is_alive() for thread in self._threads)


class Log:
    """What kazoo is given as its logger.

    Args:
        granted: called with the session timeout (seconds) of each answer that grants one.
    """

    def __init__(self, granted: Callable[[float], None]) -> None:
        self._granted = granted

    def log(self, level: int, message: str, *args: object, **_options: object) -> None:
        # The client's own Connect is logged with its xid beside it, the server's answer alone.
        if len(args) == 1 and isinstance(args[0], Connect):
            timeout = args[0].time_out  # milliseconds; 0 when the session has expired
            if timeout > 0:
                self._granted(timeout / 1000.0)

    def debug(self, message: str, *args: object, **_options: object) -> None:
        """Dropped: single requests, with what they carry."""

    def info(self, message: str, *args: object, **_options: object) -> None:
        _log.debug(message, *args)

    warn = warning = error = info

    def exception(self, message: str, *args: object, **_options: object) -> None:
        _log.error(message, *args, exc_info=True)


def build(hosts: str, timeout: float, access: BackendAccess) -> tuple[KazooClient, Handler]:
    """A client that has not been started, and its handler.

    Args:
        hosts: as ``hosts.check_hosts`` returns it.
        timeout: the session timeout to ask for, seconds.
        access: who it is, and who may do what with what it creates.
    """
    handler = Handler(timeout, servers=hosts.partition("/")[0].count(",") + 1, tls=access.tls)
    retry = {"max_tries": -1, "delay": 0.05, "backoff": 2, "max_delay": RECONNECT_DELAY, "max_jitter": 0.4}
    client = KazooClient(
        hosts=hosts,
        timeout=timeout,
        handler=handler,
        auth_data=[] if access.identity is None else [("digest", ":".join(access.identity))],
        default_acl=None if access.identity is None else acl_of(access),
        randomize_hosts=True,
        connection_retry=retry,
        command_retry={"max_tries": 1},  # not used: what to do again is the caller's decision
        logger=Log(handler.granted),
    )
    return client, handler


def end(client: KazooClient, name: str) -> threading.Thread:
    """Tell the server that the session is over, aside: kazoo's stop() can take as long as its connecting.

    Its threads are daemons and end by themselves.
    """

    def run() -> None:
        try:
            client.stop()
        except (KazooException, OSError, AttributeError) as error:  # the last: it had not begun to connect
            _log.debug("kazoo did not stop in time: %s", error)
        else:
            client.close()

    ending = threading.Thread(target=run, name=f"{name}-close", daemon=True)
    ending.start()
    return ending

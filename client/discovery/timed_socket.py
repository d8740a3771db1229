"""A TCP connection, with TLS or without, on which everything has a deadline and can be interrupted.

It is for one thread. :class:`Interrupter` is for another one, which wants that thread to come back at once.
"""

import os
import select
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress

_IN, _OUT = select.POLLIN, select.POLLOUT


class Interrupted(Exception):
    """Whoever waits here is wanted elsewhere."""


class Interrupter:
    """Ends the waiting of one thread, now and for good."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()

    def fileno(self) -> int:
        """Readable from the interruption on."""
        return self._theirs.fileno()

    def interrupt(self) -> None:
        """From any thread, and again."""
        with suppress(OSError):
            self._ours.send(b"!")

    def close(self) -> None:
        """When nobody waits any more."""
        self._ours.close()
        self._theirs.close()


class TimedSocket:
    """One connection; closed by whoever has it, also when :meth:`connect` raises.

    Args:
        interrupter: of the thread that uses it.
        now: the clock that deadlines are of; seconds, monotonic.
    """

    def __init__(self, interrupter: Interrupter, now: Callable[[], float] = time.monotonic) -> None:
        self._interrupter = interrupter
        self._now = now
        self._socket: socket.socket | None = None

    def connect(self, host: str, port: int, tls: ssl.SSLContext | None, deadline: float) -> None:
        """Connect to the first of the host's addresses that answers, each given its share of the time.

        Only the look-up of a name is the system's, and takes as long as that allows.

        Raises:
            OSError: it could not be reached, or not in time (``TimeoutError``), or its certificate is not
                good (``ssl.SSLError``).
            Interrupted: it was.
        """
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for number, (family, kind, protocol, _, address) in enumerate(addresses):
            self.close()
            self._socket = socket.socket(family, kind, protocol)
            left = deadline - self._now()
            share = self._now() + left / (len(addresses) - number)
            try:
                self._reach(self._socket, address, share)
                break
            except OSError:
                if number == len(addresses) - 1:
                    raise
        if tls is not None:
            self._speak_tls(tls, host, deadline)

    def send(self, data: bytes, deadline: float) -> None:
        """All of it.

        Raises:
            OSError, Interrupted: as :meth:`connect`.
        """
        view = memoryview(data)
        while view:
            sent = self._attempt(lambda connected, rest=view: connected.send(rest), _OUT, deadline)  # type: ignore[misc]
            view = view[sent:]

    def receive_into(self, buffer: memoryview, deadline: float) -> int:
        """What is there, as soon as something is; how many bytes, 0 at the end.

        Raises:
            OSError, Interrupted: as :meth:`connect`.
        """
        return self._attempt(lambda connected: connected.recv_into(buffer), _IN, deadline)

    def close(self) -> None:
        """At once. Can be called again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _reach(self, connecting: socket.socket, address: object, deadline: float) -> None:
        connecting.setblocking(False)
        with suppress(BlockingIOError):
            connecting.connect(address)  # type: ignore[arg-type]  # as getaddrinfo has it
            return
        self._wait(connecting, _OUT, deadline)
        error = connecting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))

    def _speak_tls(self, tls: ssl.SSLContext, host: str, deadline: float) -> None:
        assert self._socket is not None  # noqa: S101
        secured = tls.wrap_socket(self._socket, server_hostname=host, do_handshake_on_connect=False)
        self._socket = secured
        self._attempt(lambda _: secured.do_handshake(), _IN, deadline)

    def _attempt(self, act: Callable[[socket.socket], "int | None"], ready: int, deadline: float) -> int:
        """Do ``act``, waiting as it wants to."""
        connected = self._socket
        if connected is None:
            raise OSError("it is closed")
        while True:
            if self._now() >= deadline:  # also of a peer that has always something to say
                raise TimeoutError("no answer in time")
            try:
                return act(connected) or 0
            except ssl.SSLWantReadError:
                self._wait(connected, _IN, deadline)
            except ssl.SSLWantWriteError:
                self._wait(connected, _OUT, deadline)
            except BlockingIOError:
                self._wait(connected, ready, deadline)

    def _wait(self, connected: socket.socket, ready: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(connected, ready)
        poll.register(self._interrupter, _IN)
        happened = dict(poll.poll(max(0.0, deadline - self._now()) * 1000))
        if self._interrupter.fileno() in happened:
            raise Interrupted
        if not happened:
            raise TimeoutError("no answer in time")

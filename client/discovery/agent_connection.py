"""One HTTP connection to an agent: asks how the group is, and listens to the stream. On one thread.

It speaks to the address that it is given and to no other: a redirect is not followed, so that the token goes
nowhere else, and no proxy is taken from the environment. Everything has a deadline and a bound.
"""

import http.client
import io
import json
import socket
import ssl
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from rabbitkeeper.client.discovery.agent_address import AgentAddress
from rabbitkeeper.client.discovery.event_stream import LARGEST, EventStream, SentEvent, StreamError
from rabbitkeeper.client.discovery.group_answer import SHOWN
from rabbitkeeper.client.discovery.timed_socket import Interrupter, TimedSocket
from rabbitkeeper.coordinator.model.text import printable

_CHUNK = 65536  # bytes read at a time
_REASON = 4096  # bytes of a refusal that are read, for its reason
_OK = 200
_REDIRECTS = range(300, 400)
_UNAUTHORIZED = frozenset({401, 403})

T = TypeVar("T")


class AgentFailed(Exception):
    """An agent is of no use at the moment; the message says why.

    Attributes:
        unauthorized: it wants another token or certificate than it was shown.
    """

    def __init__(self, why: str, *, unauthorized: bool = False) -> None:
        super().__init__(why)
        self.unauthorized = unauthorized


class AgentConnection(Protocol):
    """What is needed of a connection. Each method raises :class:`AgentFailed`, after which it is closed."""

    def group(self, deadline: float) -> bytes:
        """``GET /group``: what the agent says."""

    def listen(self, deadline: float) -> None:
        """Begin with ``GET /events``; :meth:`group` is not called any more."""

    def hear(self, deadline: float) -> list[SentEvent]:
        """What has been sent, when something has, be it a comment alone; it is awaited until ``deadline``."""

    def close(self) -> None:
        """At once. Can be called again."""


class HttpConnection:
    """See :class:`AgentConnection`.

    Args:
        address: whose.
        token: shown to it; None: none is.
        tls: for an address with TLS.
        interrupter: of the thread; what it interrupts raises :class:`timed_socket.Interrupted`.
        now: seconds, monotonic.
    """

    def __init__(
        self,
        address: AgentAddress,
        *,
        token: str | None,
        tls: ssl.SSLContext,
        interrupter: Interrupter,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = address
        self._token = token
        self._tls = tls if address.secure else None
        self._socket = TimedSocket(interrupter, now)
        self._reader: _Reader | None = None
        self._stream: http.client.HTTPResponse | None = None
        self._events = EventStream()

    def group(self, deadline: float) -> bytes:
        return self._guarded(lambda: self._group(deadline))

    def listen(self, deadline: float) -> None:
        self._guarded(lambda: self._listen(deadline))

    def hear(self, deadline: float) -> list[SentEvent]:
        return self._guarded(lambda: self._hear(deadline))

    def close(self) -> None:
        self._socket.close()
        self._reader = self._stream = None

    def _group(self, deadline: float) -> bytes:
        is_kept = self._reader is not None
        try:
            answer = self._ask("/group", "application/json", deadline)
        except ConnectionError:
            if not is_kept:
                raise
            self.close()  # it was closed while nothing was asked, as agents do when they need the place
            answer = self._ask("/group", "application/json", deadline)
        body = bytearray()
        while chunk := answer.read1(_CHUNK):
            body += chunk
            if len(body) > LARGEST:
                raise AgentFailed(f"it answers with more than {LARGEST // 2**20} MiB")
        if answer.will_close:
            self.close()
        return bytes(body)

    def _listen(self, deadline: float) -> None:
        self._stream = self._ask("/events?group=true", "text/event-stream", deadline)

    def _hear(self, deadline: float) -> list[SentEvent]:
        if self._stream is None or self._reader is None:
            raise AgentFailed("it is not listened to")
        self._reader.deadline = deadline
        data = self._stream.read1(_CHUNK)
        if not data:
            raise AgentFailed("it has ended the stream")
        return self._events.feed(data)

    def _ask(self, path: str, kind: str, deadline: float) -> http.client.HTTPResponse:
        """The answer to one request, of this kind of content; its body is to be read."""
        if self._reader is None:
            self._socket.connect(self._address.host, self._address.port, self._tls, deadline)
            self._reader = _Reader(self._socket)
        self._reader.deadline = deadline
        self._socket.send(self._request(path, kind), deadline)
        answer = http.client.HTTPResponse(self._reader, method="GET")  # type: ignore[arg-type]  # makes a file of it
        answer.begin()
        if answer.status != _OK:
            raise _refusal(answer)
        given = answer.headers.get_content_type()
        if given != kind or answer.getheader("Content-Encoding", "identity") != "identity":
            shown = printable(given)[:SHOWN]
            raise AgentFailed(f"it answers with {shown} instead of {kind}: no agent's API is there")
        return answer

    def _request(self, path: str, kind: str) -> bytes:
        lines = [
            f"GET {self._address.path}{path} HTTP/1.1",
            f"Host: {self._address.authority}",
            f"Accept: {kind}",
            "Accept-Encoding: identity",
            "User-Agent: rabbitkeeper",
        ]
        if self._token is not None:
            lines.append(f"Authorization: Bearer {self._token}")
        return "\r\n".join([*lines, "", ""]).encode()

    def _guarded(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except BaseException as error:
            self.close()
            if isinstance(error, TimeoutError):
                raise AgentFailed("it does not answer in time") from None
            if isinstance(error, ssl.SSLCertVerificationError):
                raise AgentFailed(f"its certificate is not good: {error.verify_message}") from None
            if isinstance(error, socket.gaierror):
                raise AgentFailed(f"its name is not known: {error.strerror}") from None
            if isinstance(error, ssl.SSLError):
                raise AgentFailed(f"TLS has failed: {error.reason or error}") from None
            if isinstance(error, OSError):
                raise AgentFailed(f"it cannot be reached: {error.strerror or error}") from None
            if isinstance(error, http.client.HTTPException | ValueError):
                raise AgentFailed(f"it does not speak HTTP: {type(error).__name__}") from None
            if isinstance(error, StreamError):
                raise AgentFailed(f"its stream is not taken: {error}") from None
            raise


class _Reader(io.RawIOBase):
    """What ``http.client`` reads from, as if it were a socket; by the deadline that is set."""

    def __init__(self, connected: TimedSocket) -> None:
        super().__init__()
        self._connected = connected
        self._buffered = _Buffered(self)
        self.deadline = 0.0

    def makefile(self, _mode: str) -> io.BufferedReader:
        """The same one for each answer of a connection: what was read ahead is the next one's."""
        return self._buffered

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        return self._connected.receive_into(buffer, self.deadline)


class _Buffered(io.BufferedReader):
    """Stays open when an answer ends that was read from it."""

    def close(self) -> None:
        pass


def _refusal(answer: http.client.HTTPResponse) -> AgentFailed:
    status = answer.status
    if status in _REDIRECTS:
        return AgentFailed(f"it answers with a redirect ({status}), which is not followed")
    if status in _UNAUTHORIZED:
        return AgentFailed(f"it wants another token or certificate ({status})", unauthorized=True)
    reason = ""
    if answer.headers.get_content_type() == "application/json":
        try:
            said = json.loads(answer.read1(_REASON))
        except (ValueError, RecursionError):
            said = None
        if isinstance(said, dict) and isinstance(said.get("reason"), str):
            reason = f": {printable(said['reason'])[:SHOWN]}"
    return AgentFailed(f"it answers with {status}{reason}")

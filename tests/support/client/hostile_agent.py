"""A server on a real socket that answers whatever it is told to: what an agent's address may lead to."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

PATIENCE = 60.0  # seconds; not waited for when things work

Answer = Callable[[socket.socket], None]


def says(head: str, body: bytes = b"", *, kind: str = "application/json") -> Answer:
    """Answers ``head`` and ``body``, with the length of that."""
    lines = f"HTTP/1.1 {head}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return lambda peer: peer.sendall(lines.encode() + body)


def raw(data: bytes) -> Answer:
    """Answers these bytes, and ends the connection."""

    def answer(peer: socket.socket) -> None:
        peer.sendall(data)
        peer.shutdown(socket.SHUT_WR)

    return answer


def nothing(_peer: socket.socket) -> None:
    """Keeps the connection and is silent."""


def without_end(head: bytes, part: bytes) -> Answer:
    """Answers ``part`` again and again, for as long as it is read."""

    def answer(peer: socket.socket) -> None:
        peer.sendall(head)
        while True:
            peer.sendall(part)

    return answer


class HostileAgent:
    """Answers each request, on each connection, with ``answer``; what was asked is in ``heard``."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self.heard: list[bytes] = []
        self._peers: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for peer in self._peers:
            with suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                peer, _ = self._listening.accept()
                self._peers.append(peer)
                threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with peer, suppress(OSError):
            while request := peer.recv(65536):
                self.heard.append(request)
                self._answer(peer)

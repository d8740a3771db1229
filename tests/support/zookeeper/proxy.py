"""A TCP proxy that can be cut, go silent or be slow: a network between one client and its server."""

import contextlib
import queue
import socket
import threading
import time
from typing import Self


class Proxy:
    """Forwards connections to ``target`` (``host:port``) until it is told otherwise."""

    def __init__(self, target: str) -> None:
        host, port = target.split(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open = threading.Event()
        self._open.set()
        self._refusing = False
        self._swallow = 0
        self._delay = 0.0
        self._sockets: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self.cut()
        self._open.set()

    @property
    def address(self) -> str:
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    @property
    def carries(self) -> bool:
        """Whether there is a connection."""
        return bool(self._sockets)

    def swallow(self, connections: int) -> None:
        """The next connections are taken and never answered, as by a ZooKeeper that boots."""
        self._swallow = connections

    def delay(self, seconds: float) -> None:
        """What the server says comes so much later from now on, on connections that there are as well."""
        self._delay = seconds

    def silence(self) -> None:
        """Connections stay and carry nothing, new ones too: a cut cable."""
        self._open.clear()

    def cut(self) -> None:
        """Connections break, new ones are closed at once."""
        self._refusing = True
        for one in list(self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """All is well for new connections; what had been silent is cut, as after a long while it would be."""
        if not self._open.is_set():
            self.cut()
        self._refusing = False
        self._open.set()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._refusing:
                client.close()
                continue
            if self._swallow:
                self._swallow -= 1
                self._sockets.add(client)
                continue
            server = socket.create_connection(self._target)
            self._sockets |= {client, server}
            held: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
            threading.Thread(target=self._forward, args=(client, server), daemon=True).start()
            threading.Thread(target=self._take, args=(server, held), daemon=True).start()
            threading.Thread(target=self._give, args=(held, server, client), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._open.wait()
                sink.sendall(data)
        self._end(source, sink)

    def _take(self, source: socket.socket, held: "queue.SimpleQueue[tuple[float, bytes]]") -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                held.put((time.monotonic() + self._delay, data))
        held.put((0.0, b""))

    def _give(
        self, held: "queue.SimpleQueue[tuple[float, bytes]]", source: socket.socket, sink: socket.socket
    ) -> None:
        with contextlib.suppress(OSError):
            while True:
                due, data = held.get()
                if not data:
                    break
                time.sleep(max(0.0, due - time.monotonic()))
                self._open.wait()
                sink.sendall(data)
        self._end(source, sink)

    def _end(self, source: socket.socket, sink: socket.socket) -> None:
        self._open.wait()  # a cut cable does not carry a good-bye either
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            self._sockets.discard(one)

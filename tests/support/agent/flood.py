"""Strangers who only hold connections, silent or with half a request; and who counts checks meanwhile.

As a program (``flood.py HOST PORT SILENT HALF HOSTS``) it is a flood until its input ends. It takes no more
of the processor than others leave, since strangers bring processors of their own.
"""

import contextlib
import os
import selectors
import socket
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from types import TracebackType
from typing import Self

HALF = b"GET /leader HTTP/1.1\r\nHost: somebody\r\nX-Half: "
_BATCH = 200  # connections opened between two looks at those that there are


class _InThread(ABC):
    """Runs in a thread of its own while it is entered."""

    def __init__(self) -> None:
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()

    @abstractmethod
    def _run(self) -> None:
        """Until ``_ending`` is set."""


class Flood(_InThread):
    """Keeps connections open while it is entered; what the server closes is opened again, after a moment.

    Args:
        address: of the server.
        silent: connections that say nothing.
        half: connections that begin a request, and go on with a byte a second.
        again: seconds until a connection that was closed is made again.
        hosts: how many addresses of 127.1.0.0/16 they come from; 0: from the one that everybody has.
    """

    def __init__(
        self, address: tuple[str, int], *, silent: int, half: int, again: float = 1.0, hosts: int = 0
    ) -> None:
        super().__init__()
        self.opened = 0
        self._hosts = hosts
        self._address = address
        self._kinds = [False] * silent + [True] * half
        self._again = again

    def _run(self) -> None:
        due = deque((0.0, half) for half in self._kinds)  # in the order of time: each waits equally long
        trickle_at = time.monotonic() + 1.0
        with selectors.DefaultSelector() as there:
            while not self._ending.is_set():
                now = time.monotonic()
                for _ in range(_BATCH):
                    if not due or due[0][0] > now:
                        break
                    self._open(there, due.popleft()[1])
                for key, _ in there.select(0.02):
                    if self._closed(key.fileobj):
                        there.unregister(key.fileobj)
                        due.append((now + self._again, key.data))
                if now >= trickle_at:
                    trickle_at = now + 1.0
                    self._trickle(there)
            for key in [*there.get_map().values()]:
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.close()

    def _open(self, there: selectors.BaseSelector, half: bool) -> None:
        made = socket.socket()
        made.setblocking(False)
        if self._hosts:
            # Without this a server that listens on all addresses cannot have the port that this one is given.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((f"127.1.{self.opened % self._hosts // 250}.{self.opened % self._hosts % 250 + 1}", 0))
        made.connect_ex(self._address)
        self.opened += 1
        there.register(made, selectors.EVENT_READ, half)
        if half:
            with contextlib.suppress(OSError):
                made.send(HALF)

    def _trickle(self, there: selectors.BaseSelector) -> None:
        for key in [*there.get_map().values()]:
            assert isinstance(key.fileobj, socket.socket)
            if key.data:
                with contextlib.suppress(OSError):
                    key.fileobj.send(b"x")

    def _closed(self, one: object) -> bool:
        assert isinstance(one, socket.socket)
        try:
            if one.recv(4096):
                return False
        except BlockingIOError:
            return False
        except OSError:
            pass
        one.close()
        return True


def check(address: tuple[str, int], path: str, timeout: float) -> tuple[str, float]:
    """One health check as a load balancer makes it, over a connection of its own.

    Returns:
        The status line's code, or what went wrong; and how many seconds it took.
    """
    began = time.monotonic()
    try:
        with socket.create_connection(address, timeout) as made:
            made.sendall(f"GET {path} HTTP/1.1\r\nHost: check\r\nConnection: close\r\n\r\n".encode())
            answer = made.recv(64)
    except OSError as error:
        return type(error).__name__, time.monotonic() - began
    return answer.decode().split(" ")[1] if b" " in answer else "closed", time.monotonic() - began


class Checks(_InThread):
    """Counts the answers to checks that are made while it is entered.

    Args:
        address: of the server.
        paths: what is asked for, in turn.
        interval: seconds between two checks.
        timeout: seconds for one.
    """

    def __init__(
        self, address: tuple[str, int], *paths: str, interval: float = 0.05, timeout: float = 1.0
    ) -> None:
        super().__init__()
        self.answers: Counter[str] = Counter()
        self.took: list[float] = []
        self._address = address
        self._paths = paths
        self._interval = interval
        self._timeout = timeout

    def _run(self) -> None:
        number = 0
        while not self._ending.wait(self._interval):
            answer, took = check(self._address, self._paths[number % len(self._paths)], self._timeout)
            self.answers[answer] += 1
            self.took.append(took)
            number += 1


if __name__ == "__main__":
    os.nice(19)
    host, port, silent, half, hosts = sys.argv[1:]
    with Flood((host, int(port)), silent=int(silent), half=int(half), hosts=int(hosts)) as flood:
        sys.stdin.read()
    print(flood.opened)  # noqa: T201

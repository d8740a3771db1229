"""One I/O thread for many clients: pika's loop, and each client's part of it, as :class:`transport.Loop`.

What a client's own calls raise ends that client, as it would on a thread of its own, and no other. A callback
that takes long delays all of them. The thread begins with the first client and stays as long as the process:
it costs nothing while there is nothing to do.
"""

import logging
import os
import threading
import time
from collections.abc import Callable

from rabbitkeeper.client.amqp.pika_logging import unlogged
from rabbitkeeper.client.amqp.pika_loop import Closing, PikaLoop
from rabbitkeeper.client.amqp.transport import Hosted, Timer

log = logging.getLogger(__name__)


class ThreadHasEnded(RuntimeError):
    """The shared I/O thread has failed; a client that begins afterwards gets another."""


class SharedThread:
    """The thread, and the loop that it runs."""

    def __init__(self) -> None:
        self.loop = PikaLoop()
        self.thread = threading.Thread(target=self._run, name="rabbitkeeper-shared-io", daemon=True)
        self.clients: set[HostedThread] = set()
        self.is_over = False
        self._lock = threading.Lock()

    def start(self, client: "HostedThread") -> bool:
        """Run, if it does not yet, also for ``client``; whether it has not ended."""
        with self._lock:
            if self.is_over:
                return False
            self.clients.add(client)
            if self.thread.ident is None:
                self.thread.start()
            return True

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            self.loop.run()
        except BaseException as raised:
            log.exception("the shared I/O thread failed; its clients are closed")
            error = raised
        with self._lock:  # who starts now is told of it there
            self.is_over = True
            clients = list(self.clients)
        for client in clients:
            client.over(error)
        self.loop.release()


class ClientLoop:
    """One client's part. See :class:`transport.Loop`."""

    def __init__(self, shared: SharedThread) -> None:
        self.ioloop = shared.loop.ioloop
        self._shared = shared
        self._hosted: HostedThread | None = None
        self._is_over = False

    @staticmethod
    def now() -> float:
        return time.monotonic()

    def call_soon_threadsafe(self, callback: Callable[[], None]) -> None:
        if not self._is_over:
            self._shared.loop.call_soon_threadsafe(self._guarded(callback))

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        return None if self._is_over else self._shared.loop.call_later(delay, self._guarded(callback))

    def cancel(self, timer: Timer) -> None:
        if timer is not None and not self._is_over:
            self._shared.loop.cancel(timer)

    def run(self) -> None:
        raise AssertionError("a client of a shared thread has none of its own to run on")

    def stop(self) -> None:
        if self._hosted is not None:
            hosted = self._hosted
            self._shared.loop.call_later(0.0, lambda: hosted.over(None))

    def release(self) -> None:
        self._is_over = True

    def end_with_loop(self, connection: Closing) -> None:
        """See :meth:`PikaLoop.end_with_loop`: here the loop goes on, and ends it by its timer."""

    def thread(self, hosted: Hosted, name: str) -> "HostedThread":
        del name  # it has one already
        self._hosted = HostedThread(self._shared, hosted)
        return self._hosted

    def _guarded(self, callback: Callable[[], None]) -> Callable[[], None]:
        def call() -> None:
            if self._is_over:
                return
            try:
                callback()
            except BaseException as error:
                log.exception("a client on the shared I/O thread failed")
                if self._hosted is not None:
                    self._hosted.over(error)

        return call


class HostedThread:
    """The shared thread as one client sees it. See :class:`transport.IoThread`."""

    def __init__(self, shared: SharedThread, hosted: Hosted) -> None:
        self._shared = shared
        self._hosted = hosted
        self._is_started = False
        self._has_ended = threading.Event()

    @property
    def ident(self) -> int | None:
        return self._shared.thread.ident if self._is_started else None

    def start(self) -> None:
        self._is_started = True
        if self._shared.start(self):
            self._shared.loop.call_soon_threadsafe(self._hosted.begin)
        else:
            self.over(ThreadHasEnded("the I/O thread that clients share has ended"))

    def is_alive(self) -> bool:
        return self._is_started and not self._has_ended.is_set()

    def join(self, timeout: float | None = None) -> None:
        self._has_ended.wait(timeout)

    def over(self, error: BaseException | None) -> None:
        """It is not called any more. On the thread, if that has not ended."""
        if self._has_ended.is_set():
            return
        self._shared.clients.discard(self)
        try:
            self._hosted.over(error)
        finally:
            self._has_ended.set()


class _ThisProcess:
    """The shared thread of this process; a forked child begins another."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.shared: SharedThread | None = None

    def forget(self) -> None:
        self.lock, self.shared = threading.Lock(), None


_process = _ThisProcess()
os.register_at_fork(after_in_child=_process.forget)


def client_loop() -> ClientLoop:
    """A part of this process's shared thread for one more client."""
    with _process.lock:
        if _process.shared is None or _process.shared.is_over:
            with unlogged():
                _process.shared = SharedThread()
        return ClientLoop(_process.shared)

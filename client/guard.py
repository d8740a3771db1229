"""The guard: whether a client can be called, here and now."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rabbitkeeper.client.engine.engine import Engine
from rabbitkeeper.client.model.errors import Closed, WrongThread, of_another_process
from rabbitkeeper.client.process import this as process

GRACE = 1.0  # seconds beyond its own deadline for which a caller waits for the I/O thread's word


@contextmanager
def let_others_in(*locks: Any) -> Iterator[None]:
    """Meanwhile this thread holds none of ``locks`` (``threading.RLock``).

    A signal handler may have come while its thread held one that the I/O thread needs, and would wait for
    that thread in vain. It is what ``threading.Condition`` does when it waits.
    """
    released = [(lock, lock._release_save()) for lock in locks if lock._is_owned()]
    try:
        yield
    finally:
        for lock, state in released:
            lock._acquire_restore(state)


class Guard:
    """Refuses calls that would do nothing, or wait for ever.

    Args:
        engine: of the client.
    """

    def __init__(self, engine: Engine) -> None:
        self.is_closing = False  # the client takes nothing any more
        self._engine = engine
        self.pid = process.pid  # of the process that made the client
        self.process = process
        self._close_lock = threading.RLock()  # a signal handler may close the client that is being closed

    @property
    def is_foreign(self) -> bool:
        """Whether this is another process than the one that made the client."""
        return process.pid != self.pid

    def begin_closing(self) -> bool:
        """Take nothing from now on; whether this is the first call."""
        with self._close_lock:
            already, self.is_closing = self.is_closing, True
        return not already

    def check_usable(self) -> None:
        """Refuse what hands something over and waits.

        Raises:
            WrongThread: in a forked child, or in a callback on the I/O thread.
            Closed: the client was closed.
            RabbitKeeperError: why the client has ended by itself.
        """
        self.check_process()
        self.check_waiting()
        self.check_open()

    def check_usable_in_callback(self) -> None:
        """As :meth:`check_usable`, for what does not wait."""
        self.check_process()
        self.check_open()

    def check_process(self) -> None:
        """Refuse a forked child."""
        if self.is_foreign:
            raise of_another_process()

    def check_waiting(self) -> None:
        """Refuse to wait where waiting would wait for itself."""
        if threading.get_ident() == self._engine.thread.ident:
            raise WrongThread(
                "a call that waits, in a callback on the client's I/O thread, would wait for itself; "
                "use publish_nowait, or another thread"
            )

    def check_open(self) -> None:
        """Refuse when the client takes nothing any more."""
        if self._engine.failure is not None:
            raise self._engine.failure
        if self.is_closing:
            raise Closed("the client is closed")

"""One piece of work that takes seconds, done beside the loop, which is woken when it has ended."""

import threading
from collections.abc import Callable
from typing import Protocol

from rabbitkeeper.coordinator.model.errors import RabbitKeeperError


class Job(Protocol):
    """A job as those who ask for it see it."""

    @property
    def done(self) -> bool: ...

    @property
    def failure(self) -> RabbitKeeperError | None: ...

    def wait(self, timeout: float) -> bool: ...


# Begins a piece of work: its name, what to do, and what to call when it has ended.
Launch = Callable[[str, Callable[[], object], Callable[[], None]], Job]


class ThreadJob:
    """Starts at once, in a daemon thread of its own.

    Args:
        name: of the thread.
        work: what to do; it must end by itself, since nothing can stop it.
        wake: called when it has ended, from its thread.
    """

    def __init__(self, name: str, work: Callable[[], object], wake: Callable[[], None]) -> None:
        self._work = work
        self._wake = wake
        self._error: Exception | None = None
        self._done = threading.Event()
        threading.Thread(target=self._run, name=f"rabbitkeeper-{name}", daemon=True).start()

    @property
    def done(self) -> bool:
        return self._done.is_set()

    def wait(self, timeout: float) -> bool:
        """Wait until it has ended; False if it has not within ``timeout`` seconds."""
        return self._done.wait(timeout)

    @property
    def failure(self) -> RabbitKeeperError | None:
        """The error that it ended with, once it is done; None if it succeeded.

        Raises:
            Exception: any error that is not ours: a fault of the program.
        """
        if self._error is None or isinstance(self._error, RabbitKeeperError):
            return self._error
        raise self._error

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 - carried over to the thread that asks for the outcome
            self._error = error
        finally:
            self._done.set()
            self._wake()

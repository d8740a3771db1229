"""How a command waits: an interface of three calls, so that its loops can be run in virtual time."""

import time
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from typing import Any, Protocol


class Waiting(Protocol):
    def now(self) -> float:
        """Seconds, monotonic."""
        ...

    def pause(self, seconds: float) -> None: ...

    def until_done(self, future: "Future[Any]") -> None: ...


class RealWaiting:
    """On this thread, with the system's clock."""

    def now(self) -> float:
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)

    def until_done(self, future: "Future[Any]") -> None:
        wait_for((future,))

"""The two clocks that a loop goes by, so that tests can give it others."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clocks:
    """Both in seconds.

    Attributes:
        monotonic: for everything that waits.
        wall: since 1970; for an operator's appointed time and for nothing else.
    """

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time

"""The two clocks that a loop goes by, so that tests can give it others.

A machine that is suspended stops ``CLOCK_MONOTONIC``, and ZooKeeper's servers do not wait for it: by that
clock a lease would be valid for seconds after the machine has been resumed, and another member leads by
then. ``CLOCK_BOOTTIME`` counts on (Linux, clock_gettime(2)). What only waits, or guards one call, may go by
either.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass


def monotonic() -> float:
    """Seconds that have passed, a suspended machine's included where the system counts them."""
    return time.clock_gettime(_CLOCK)


_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


@dataclass(frozen=True, slots=True)
class Clocks:
    """Both in seconds.

    Attributes:
        monotonic: for everything that waits.
        wall: since 1970; for an operator's appointed time and for nothing else.
    """

    monotonic: Callable[[], float] = monotonic
    wall: Callable[[], float] = time.time

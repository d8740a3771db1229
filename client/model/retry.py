"""The retry: how long to wait before trying something again. Pure; one rule for all of the client.

The first retry is at once, each later one after a random time between nothing and a ceiling that doubles
(full jitter: Brooker, "Exponential Backoff And Jitter", 2015), so that clients that lost something together
do not come back together.

What is not retried but waited for, or must not come too often, grows the same way without the chance
(:func:`doubled`).
"""

from dataclasses import dataclass
from random import Random

BASE = 0.05  # seconds: half the ceiling of the second retry
MAXIMUM = 1.0  # seconds: no ceiling is higher


def doubled(first: float, times: int, most: float) -> float:
    """``first``, doubled so many times, but no more than ``most``, which is below 2**16 times the first."""
    return min(most, first * 2.0 ** min(times, 16))  # the power must not grow for ever: it would overflow


@dataclass(slots=True)
class Retry:
    """The failures of one thing, in a row.

    Args:
        random: for the jitter.
        base: half the ceiling of the second retry, seconds.
        maximum: the highest ceiling, seconds.
    """

    random: Random
    base: float = BASE
    maximum: float = MAXIMUM
    failures: int = 0

    def failed(self) -> float:
        """It failed (again): seconds until the next attempt."""
        self.failures += 1
        if self.failures == 1:
            return 0.0
        return self.random.uniform(0, doubled(self.base, self.failures - 1, self.maximum))

    def worked(self) -> None:
        """It worked: the next failure is the first again."""
        self.failures = 0

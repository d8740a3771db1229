"""The retry: how long to wait before trying something again. Pure; one rule for all of the client.

The first retry is at once, each later one after a random time between nothing and a ceiling that doubles
(full jitter: Brooker, "Exponential Backoff And Jitter", 2015), so that clients that lost something together
do not come back together.
"""

from dataclasses import dataclass
from random import Random

BASE = 0.05  # seconds: half the ceiling of the second retry
MAXIMUM = 1.0  # seconds: no ceiling is higher


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
        # past 2**16 every ceiling is at its maximum, and the power must not grow for ever
        return self.random.uniform(0, min(self.maximum, self.base * 2 ** min(self.failures - 1, 16)))

    def worked(self) -> None:
        """It worked: the next failure is the first again."""
        self.failures = 0

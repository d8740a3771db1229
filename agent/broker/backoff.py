"""When a broker that died is started again: at once, then with growing random pauses, then seldom. Pure.

Full jitter (a uniform draw from zero to the ceiling) as in Marc Brooker's "Exponential Backoff and Jitter",
AWS Architecture Blog, 2015: brokers that died together do not come back in step.

A broker that does not come up ten times will as a rule not come up the eleventh time, but its disk may have
been cleared since: so giving up is a long pause, not an end, and nobody has to be there when the cause goes.
"""

from dataclasses import dataclass, replace

CEILING = 30.0  # seconds, of the longest pause
_FIRST_CEILING = 1.0  # seconds, of the pause before the second restart
STEADY = 60.0  # seconds of good health after which earlier deaths are forgotten
LONG_PAUSE = 600.0  # seconds until a broker that was given up is tried once more


@dataclass(frozen=True, slots=True)
class RestartBackoff:
    """A value; every change makes a new one.

    ``deaths`` counts those that are not forgotten yet; ``due`` is when the next start may be made,
    seconds monotonic; ``given_up`` says that it is a long way off, since restarts have not helped.
    """

    deaths: int = 0
    due: float = 0.0
    given_up: bool = False

    def died(self, now: float, draw: float, limit: int) -> "RestartBackoff":
        """The broker died, or could not be started.

        Args:
            now: seconds, monotonic.
            draw: a random number in [0, 1).
            limit: restarts after which it is given up.
        """
        if self.deaths >= limit:
            return RestartBackoff(limit + 1, now + LONG_PAUSE, given_up=True)
        ceiling = 0.0 if self.deaths == 0 else min(CEILING, _FIRST_CEILING * 2.0 ** min(self.deaths - 1, 10))
        return RestartBackoff(self.deaths + 1, now + ceiling * draw)

    def well(self, since: float, now: float) -> "RestartBackoff":
        """The broker has been well from ``since`` to ``now``."""
        if self.deaths and now - since >= STEADY:
            return replace(self, deaths=0, given_up=False)
        return self


def given_up(limit: int) -> str:
    """What is said of a broker that has been started again so often, and has not stayed up."""
    return (
        f"given up after {limit} restarts in a row: it is started again once every "
        f"{LONG_PAUSE / 60:g} minutes, or at once by 'rabbitkeeper restart' or the end of a pause"
    )

"""The pace of what is published or consumed: so many a second. Pure: the time is an argument."""

CATCH_UP = 0.1  # seconds: what a slow turn has missed is made up for, and no more than so much of it


class Pace:
    """Args: rate: messages a second; None for as many as go."""

    def __init__(self, rate: float | None) -> None:
        self._interval = 0.0 if rate is None else 1.0 / rate
        self._due: float | None = None

    def pause(self, now: float) -> float:
        """How long to wait before the next one, which counts as begun then; seconds.

        Args:
            now: seconds, monotonic.
        """
        due = now if self._due is None else max(self._due, now - CATCH_UP)
        self._due = due + self._interval
        return max(0.0, due - now)

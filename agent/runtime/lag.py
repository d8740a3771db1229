"""Whether this process is held up: its loop comes round later than it wanted to. Pure.

A host that is overloaded, or stands still, holds up the agent as it does the broker. So when the loop itself
was late, a broker that has not answered meanwhile says little.
"""

LATE = 0.75  # seconds beyond the moment for which a turn was planned
REMEMBERED = 15.0  # seconds


class Lag:
    """Belongs to the loop's thread. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._due: float | None = None
        self._late_until = 0.0
        self.last = 0.0  # seconds by which the present turn is late

    def planned(self, due: float) -> None:
        """The next turn is to begin at ``due`` at the latest."""
        self._due = due

    def began(self, now: float) -> None:
        """A turn begins."""
        self.last = 0.0 if self._due is None else max(0.0, now - self._due)
        if self.last > LATE:
            self._late_until = now + REMEMBERED

    def late(self, now: float) -> bool:
        """Whether one of the last turns was late."""
        return now < self._late_until

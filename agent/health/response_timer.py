"""How long a broker has been silent, counted so that a pause of the *agent* is not blamed on the broker.

A canary's age by the clock would say "hung" of a healthy broker whenever the agent itself was stopped or
starved for longer than the limit: the answer lies unread in the socket meanwhile. So silence is counted in
steps, by the thread that also reads the answers, and a step counts for no more than its usual length.
"""

from dataclasses import dataclass, replace

STEP = 0.1  # seconds between two counts
_LONGEST_STEP = 0.2  # seconds that one count may add


@dataclass(frozen=True, slots=True)
class ResponseTimer:
    """A value; every change makes a new one."""

    lasted: float = 0.0  # seconds
    counted: float | None = None  # when it was last counted, monotonic; None while nothing is asked

    def asked(self, now: float) -> "ResponseTimer":
        """The broker is asked something. No change if an answer is owed already."""
        return self if self.counted is not None else replace(self, counted=now)

    def count(self, now: float) -> "ResponseTimer":
        """Another step has passed without the answer."""
        if self.counted is None:
            return self
        step = min(max(0.0, now - self.counted), _LONGEST_STEP)
        return ResponseTimer(self.lasted + step, now)

    def answered(self) -> "ResponseTimer":
        return ResponseTimer()

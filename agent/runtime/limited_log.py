"""A log that a stranger cannot fill: of one kind of line, one in a while, with how many were left out."""

import logging
from collections.abc import Callable

from rabbitkeeper.agent.runtime.clocks import monotonic

INTERVAL = 10.0  # seconds


class LimitedLog:
    """Belongs to one thread.

    Args:
        log: where the lines go.
        interval: seconds between two lines of one kind.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        log: logging.Logger,
        *,
        interval: float = INTERVAL,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._log = log
        self._interval = interval
        self._clock = clock
        self._said: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def warning(self, kind: str, message: str, *arguments: object) -> None:
        """Log it, unless a line of its kind was logged a moment ago.

        Args:
            kind: one of few: nothing that a stranger chooses.
            message, arguments: as for a logger.
        """
        now = self._clock()
        if now - self._said.get(kind, float("-inf")) < self._interval:
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return
        self._said[kind] = now
        more = self._left_out.pop(kind, 0)
        if more:
            message, arguments = (
                f"{message} (and %d more like this since the last such line)",
                (*arguments, more),
            )
        self._log.warning(message, *arguments)

"""The majority canary on the loop's side: asked for before a lead is taken, and while there is no majority.

Pure bookkeeping around a request that the probe answers; whether to campaign is ``election.py``'s to say.
"""

from collections.abc import Callable

from rabbitkeeper.agent.majority_canary import MajorityResult
from rabbitkeeper.agent.probe import MajorityRequest

RETRY = 1.0  # seconds between canaries while there is no majority


class Campaign:
    """At most one majority canary at a time.

    Args:
        ask: has a majority canary published; called with seconds to try for.
        timeout: those seconds.
    """

    def __init__(self, ask: Callable[[float], MajorityRequest], timeout: float) -> None:
        self._ask = ask
        self._timeout = timeout
        self._request: MajorityRequest | None = None
        self._ended_at = 0.0
        self.minority: str | None = None  # why the last canary was not confirmed; None if it was
        self.failed_at: float | None = None  # when the last campaign came to nothing, seconds monotonic

    def collect(self, now: float) -> None:
        """Take note of a result that has come in; at the start of each turn."""
        result = self._request.result if self._request is not None else None
        if result is None:
            return
        self._ended_at = now
        self.minority = None if result.confirmed else result.error
        if not result.confirmed:
            self.failed_at = now
            self._request = None

    def run(self) -> MajorityResult | None:
        """Campaign: have a canary confirmed, in as many turns as it takes.

        Returns:
            None while it is under way; once a majority has confirmed it, the result.
        """
        if self._request is None:
            self._request = self._ask(self._timeout)
        return self._request.result

    def ended(self, now: float, *, won: bool) -> None:
        """What became of the campaign whose result :meth:`run` returned."""
        self._request = None
        self.failed_at = None if won else now

    def idle(self, now: float) -> float | None:
        """Not campaigning in this turn: drop what nobody waits for, and ask again while in a minority.

        Returns:
            When there is something to do by the clock alone, monotonic seconds.
        """
        if self._request is not None and (self.minority is None or self._request.result is not None):
            self._request.cancel()
            self._request = None
        if self.minority is None:
            return None
        if self._request is None and now >= self._ended_at + RETRY:
            self._request = self._ask(self._timeout)
        return self._ended_at + RETRY if self._request is None else None

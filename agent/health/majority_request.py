"""A majority canary as those who ask for one know it: the request, and how it ended."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MajorityResult:
    """How a majority canary ended."""

    confirmed: bool
    took: float  # seconds
    attempts: int
    error: str | None = None  # why it was not confirmed, a sentence


class MajorityRequest:
    """A majority canary that was asked for; ``result`` is set when it has ended.

    Args:
        cancel: called with the request when nobody waits for it any more.
    """

    def __init__(self, cancel: Callable[["MajorityRequest"], None]) -> None:
        self._cancel = cancel
        self.result: MajorityResult | None = None

    def cancel(self) -> None:
        """Nobody waits for it any more. Returns at once."""
        self._cancel(self)

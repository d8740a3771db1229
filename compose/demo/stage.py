"""What the scenario, the screen and the report need of a demo, in processes or in containers."""

from collections.abc import Mapping
from typing import Protocol

from rabbitkeeper.compose.demo.message_log import Totals
from rabbitkeeper.compose.demo.timeline import GroupTimeline


class Traffic(Protocol):
    """One producer and one consumer at work, and what became of every message."""

    @property
    def failures(self) -> tuple[str, ...]:
        """How publishes ended that were not confirmed, a sentence each."""

    def totals(self) -> Totals: ...

    def last_confirm(self) -> float:
        """When the last confirm came, seconds monotonic; 0 before the first."""

    def longest_pause(self, start: float, end: float) -> float:
        """The longest time without a confirm between the last one before ``start`` and ``end``, seconds."""

    def connected(self) -> Mapping[str, str | None]:
        """To which member each client is connected, by the client's name."""

    def check(self) -> None:
        """Raises what ended the producer or the consumer, if something did."""

    def finish(self, timeout: float) -> frozenset[int]:
        """Stop producing, and wait until everything confirmed is delivered.

        Returns:
            The numbers of the messages that were confirmed and not delivered within ``timeout`` seconds.
        """


class Stage(Protocol):
    """The group that is broken."""

    def logs(self, target: str) -> str:
        """Where to look when something of it does not come back."""

    def is_back(self, target: str, timeline: GroupTimeline) -> bool:
        """Whether what was broken is in its place again, as far as can be seen from outside."""

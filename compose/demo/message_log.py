"""What became of every message of the demo, whoever writes it down. Pure: the times are given."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Totals:
    """The counts at one moment."""

    published: int
    confirmed: int
    delivered: int  # different messages
    duplicated: int  # deliveries beyond the first of a message
    failed: int  # publishes that ended otherwise than confirmed


@dataclass(slots=True)
class MessageLog:
    """What was published, confirmed and delivered, by number. Written by one thread a field, read by any."""

    published: int = 0
    confirmed: set[int] = field(default_factory=set)
    asked_at: list[float] = field(default_factory=list)  # of those confirmed; seconds, monotonic
    confirmed_at: list[float] = field(default_factory=list)  # ascending
    deliveries: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)  # a sentence for each publish that was not confirmed

    def totals(self) -> Totals:
        return Totals(
            published=self.published,
            confirmed=len(self.confirmed),
            delivered=len(self.deliveries),
            duplicated=self.deliveries.total() - len(self.deliveries),
            failed=len(self.failures),
        )

    def confirm(self, number: int, asked: float, at: float) -> None:
        """A message was published at ``asked`` and confirmed ``at``, seconds monotonic."""
        self.confirmed.add(number)
        self.asked_at.append(asked)
        self.confirmed_at.append(at)

    def deliver(self, numbers: Iterable[int]) -> None:
        self.deliveries.update(numbers)

    def missing(self) -> frozenset[int]:
        """Confirmed and not delivered so far."""
        return frozenset(number for number in self.confirmed if number not in self.deliveries)

    def last_confirm(self) -> float:
        """When the last confirm came, seconds monotonic; 0 before the first."""
        return self.confirmed_at[-1] if self.confirmed_at else 0.0

    def longest_pause(self, start: float, end: float) -> float:
        """The longest time without a confirm between the last one before ``start`` and ``end``, seconds."""
        return longest_pause(self.confirmed_at[:], start, end)

    def slowest_publish(self, start: float, end: float) -> float:
        """The longest time from a publish to its confirm among those under way in between, seconds."""
        took = [
            confirmed - asked
            for asked, confirmed in zip(self.asked_at[:], self.confirmed_at[:], strict=False)
            if confirmed > start and asked < end
        ]
        return max(took, default=0.0)


def longest_pause(moments: Sequence[float], start: float, end: float) -> float:
    """The longest time without one of ``moments`` between the last before ``start`` and ``end``, seconds.

    Args:
        moments: ascending.
    """
    before = [moment for moment in moments if moment <= start][-1:] or [start]
    within = [moment for moment in moments if start < moment <= end]
    return max(later - earlier for earlier, later in pairwise([*before, *within, end]))

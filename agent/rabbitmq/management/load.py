"""A member's load as it is written to ZooKeeper: coarse, and only when it has really changed. Pure.

Every change of a member's record wakes all agents and clients, so numbers that waver are not written: they
are rounded to steps that grow with them, and a new one is taken up at most every half minute.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rabbitkeeper.agent.model.observation import Load

LEAST = 30.0  # seconds between two changes


def coarse(number: int) -> int:
    """``number`` rounded to one digit and a half: 0 to 10 as they are, 15, 20, 25 … 100, 150 …"""
    step = 1
    while number > 10 * step:
        step *= 10
    half = max(1, step // 2)
    return (number + half // 2) // half * half if step > 1 else number


@dataclass(frozen=True, slots=True)
class Published:
    """What stands in the record; a value, every change makes a new one."""

    load: Mapping[str, int] = field(default_factory=dict)
    since: float | None = None  # seconds monotonic

    def seen(self, load: Load, now: float) -> "Published":
        """The same, or what is to be written now.

        A number that lies within one step of what is published is not news: one at the edge of two steps
        would go back and forth.
        """
        if self.since is not None and now < self.since + LEAST:
            return self
        exact = {"connections": load.connections, "classic_queues": load.classic_queues}
        if self.load and all(_near(number, self.load.get(name)) for name, number in exact.items()):
            return self
        return Published({name: coarse(number) for name, number in exact.items()}, now)


def _near(number: int, published: int | None) -> bool:
    if published is None:
        return False
    if number == published:
        return True
    step = max(1, coarse(max(number, published)) // 10)
    return number > 0 and published > 0 and abs(number - published) <= step

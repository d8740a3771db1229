"""Virtual time: what is to happen and when, and chance from one seed. Nothing here waits."""

import heapq
import random
from collections.abc import Callable


class Crashed(BaseException):
    """The process whose call this was is no more."""


class World:
    """Virtual time, and chance from one seed."""

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.chance = random.Random(seed)
        self.after_each: Callable[[], None] = lambda: None
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        self._count = 0

    def at(self, time: float, event: Callable[[], object]) -> None:
        self._count += 1
        heapq.heappush(self._events, (max(time, self.now), self._count, event))

    def after(self, delay: float, event: Callable[[], object]) -> None:
        self.at(self.now + delay, event)

    def advance(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            time, _, event = heapq.heappop(self._events)
            self.now = max(self.now, time)
            event()
            self.after_each()
        self.now = max(self.now, until)

"""What a simulated broker's canary consumer gets: a queue feeds its consumers by turns, or starves them."""

import random
from dataclasses import replace

from rabbitkeeper.agent.model.observation import ConnectionFacts

TURNS = 5  # canaries in a row that others' consumers get at the most: two turns of three
ELSEWHERE = 0.6  # of the canaries: those that others' consumers get


class Feeding:
    """One broker's. It draws from a chance of its own, so that a seed's history stays what it was.

    Args:
        node: the broker's.

    Attributes:
        starves: it takes messages, and no consumer that was there gets one.
    """

    def __init__(self, node: str) -> None:
        self._chance = random.Random(node)
        self.starves = False

    def confirmed(self, facts: ConnectionFacts, now: float) -> ConnectionFacts:
        """A canary was confirmed: what the probe knows now."""
        if facts.up_since is None or facts.blocked is not None:
            return facts
        if self.starves or (facts.unfed < TURNS and self._chance.random() < ELSEWHERE):
            since = now if facts.unfed_since is None else facts.unfed_since
            return replace(facts, unfed=facts.unfed + 1, unfed_since=since)
        return replace(facts, unfed=0, unfed_since=None)

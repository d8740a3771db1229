"""What is done beside the loop and not often, in every mode: asking a node why it refuses, and asking the
management API. What only one mode needs is the mode's (``mode.py``).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from rabbitkeeper.agent.health.inspection import Inspection
from rabbitkeeper.agent.health.judge import HealthPolicy, worth_asking
from rabbitkeeper.agent.model.observation import ManagementFacts, Observation
from rabbitkeeper.agent.rabbitmq.management.load import Published


class Management(Protocol):
    """What is needed of the poller."""

    @property
    def facts(self) -> ManagementFacts: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Housekeeping:
    """Belongs to the loop's thread; each part begins its own jobs.

    Args:
        inspection: asks the node.
        node: the broker's Erlang node.
        management: polls the management API; None if it is not to be asked.
    """

    def __init__(self, inspection: Inspection, *, node: str, management: Management | None = None) -> None:
        self._inspection = inspection
        self._node = node
        self._management = management
        self._published = Published()

    def start(self) -> None:
        """Begin what has a thread of its own."""
        if self._management is not None:
            self._management.start()

    def stop(self) -> None:
        """End it, without waiting. Idempotent."""
        if self._management is not None:
            self._management.stop()

    @property
    def load(self) -> Mapping[str, int]:
        """What the broker carries, for the member's record; empty if that is not known."""
        return self._published.load

    def observe(
        self, now: float, observation: Observation, policy: HealthPolicy, process: str | None
    ) -> Observation:
        """Add what the node has said of itself. Begins nothing.

        Args:
            now: seconds, monotonic.
            observation: of this turn.
            policy: for how long a broker that has never answered is given.
            process: tells the broker's process from any other.
        """
        facts = self._management.facts if self._management is not None else ManagementFacts()
        if facts.load is not None:
            self._published = self._published.seen(facts.load, now)
        return replace(
            observation,
            node=self._inspection.look(now, process, wanted=worth_asking(observation, now, policy)),
            management=facts,
            node_name=self._node,
        )

    def tend(self, now: float) -> None:
        """Begin what is due; after :meth:`observe` in the same turn."""
        self._inspection.ask(now)

"""``election``, ``failback`` and ``replicas``.

How a vacant lead is taken, whether a better member asks for it back, and how many replicas queues have.
"""

from typing import Annotated

from pydantic import Field

from rabbitkeeper.agent.config.fields import Section
from rabbitkeeper.coordinator.policy.election import ElectionTiming


class ElectionConfig(Section):
    """``election``: the order in which members take a vacant lead, in time."""

    stagger: Annotated[float, Field(ge=0.05, le=10, allow_inf_nan=False)] = 0.3  # of each over the next
    settle: Annotated[float, Field(ge=0, le=60, allow_inf_nan=False)] = 2.0  # for the one that led before

    @property
    def timing(self) -> ElectionTiming:
        return ElectionTiming(stagger=self.stagger, settle=self.settle)


class ReplicasConfig(Section):
    """``replicas``: of quorum queues that do not say themselves how many they are to have."""

    target: Annotated[int, Field(ge=1, le=99)] = 3  # as many as RabbitMQ gives a new queue


class FailbackConfig(Section):
    """``failback``: a better member asks for the lead when it has been running for ``after`` seconds."""

    after: Annotated[float, Field(ge=1, le=604800, allow_inf_nan=False)] | None = None  # None: it never does

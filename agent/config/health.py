"""``health``: how the broker is probed and when it counts as ill."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from rabbitkeeper.agent.config.fields import Count, Seconds, Section, problem


class HealthConfig(Section):
    """``health``: how the broker is probed and when it counts as ill."""

    interval: Annotated[float, Field(ge=0.05, le=60, allow_inf_nan=False)] = 0.5  # between canaries
    hung_after: Seconds = 2.0  # a canary without an answer for so long: hung
    connect_timeout: Annotated[float, Field(ge=0.1, le=60, allow_inf_nan=False)] = 1.0
    fall: Count = 1  # failed reconnections, or canaries on a majority, until that counts
    rise: Count = 1  # confirmed canaries until a broker counts as running, or as having a majority, again
    start_grace: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = 30.0
    majority_interval: Annotated[float, Field(ge=1, le=600, allow_inf_nan=False)] = 5.0  # between canaries
    majority_timeout: Annotated[float, Field(ge=0.5, le=120, allow_inf_nan=False)] = 5.0  # of one of them
    fast_nodedown: bool = True  # drop a node that is gone and does not answer before net_ticktime does

    @model_validator(mode="after")
    def _timings_agree(self) -> Self:
        if self.hung_after < self.interval:
            raise problem(
                "hung_after",
                f"is {self.hung_after:g} s, shorter than health.interval ({self.interval:g} s): a canary "
                "would be given up before the next is due; "
                f"set hung_after to at least {self.interval:g}, better {4 * self.interval:g}",
            )
        return self

"""What the engine shows of itself to other threads: values."""

from dataclasses import dataclass

from rabbitkeeper.client.model.status import LastSwitch
from rabbitkeeper.client.routing.placement import Target
from rabbitkeeper.client.routing.switch import Phase


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where the client is, at one moment. Times are seconds, monotonic."""

    phase: Phase
    since: float
    target: Target | None
    epoch: int
    leader: Target | None
    blocked: str | None
    last_switch: LastSwitch | None
    error: str | None

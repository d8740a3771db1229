"""What the engine shows of itself to other threads: values."""

from dataclasses import dataclass

from rabbitkeeper.client.engine.executor import SwitchExecutor
from rabbitkeeper.client.model.status import LastSwitch
from rabbitkeeper.client.routing.placement import Target
from rabbitkeeper.client.routing.switch import Phase, Switch


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


def snapshot_of(switch: Switch, executor: SwitchExecutor, blocked: str | None) -> Snapshot:
    """The present one; ``blocked``: why the broker blocks publishers, if it does."""
    current = executor.current
    return Snapshot(
        phase=switch.phase,
        since=switch.since,
        target=None if current is None else current.target,
        epoch=switch.targets.epoch,
        leader=switch.targets.leader,
        blocked=blocked,
        last_switch=executor.last_switch,
        error=executor.last_error or None,
    )

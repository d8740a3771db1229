"""A broker as its supervisor knows it, and what is planned for it."""

from rabbitkeeper.agent.broker.policy import Step, Supervised, plan
from rabbitkeeper.coordinator.model.records import MemberStatus

WELL = Supervised(
    can_start=True,
    can_kill=True,
    running=True,
    status=MemberStatus.RUNNING,
    answers=True,
    been_up=True,
    formed=True,
    watched_since=100.0,
)
BOOT = 120.0  # seconds that a boot may take


def step(broker: Supervised, now: float = 200.0) -> Step:
    return plan(broker, now, boot_timeout=BOOT).step

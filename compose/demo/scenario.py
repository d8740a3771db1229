"""The demo's scenario: what is broken, in which order, and what is waited for. Shows nothing itself.

How a fault is struck and repaired is the stage's: processes and containers have each their own faults, and
share all that is here.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Generic, TypeVar

from rabbitkeeper.compose.demo.report import FaultResult
from rabbitkeeper.compose.demo.stage import Stage, Traffic
from rabbitkeeper.compose.demo.timeline import GroupTimeline

CALM = 3.0  # seconds of undisturbed load before each fault
SETTLE = 2.0  # seconds of load that must go through after the group is whole
WHOLE_TIMEOUT = 120.0  # seconds for what was broken to be back
ABSENCE = (
    8.0  # seconds until a fault is repaired that does not end by itself; ZooKeeper's sessions are shorter
)

AnyStage = TypeVar("AnyStage", bound=Stage)


def _the_member(_stage: Stage, member: str) -> str:
    return member


@dataclass(frozen=True, slots=True)
class Fault(Generic[AnyStage]):
    """A way to break something, and how it is repaired if it does not repair itself.

    Attributes:
        name: for the report.
        says: the sentence for people, with ``{target}``.
        strike: breaks the target.
        repair: what somebody has to do about it; None: nothing.
        target: what is broken when a member is chosen: the member itself, as a rule.
        repaired: the sentence for the repair, with ``{target}``.
        absence: seconds until it is repaired.
    """

    name: str
    says: str
    strike: Callable[[AnyStage, str], None]
    repair: Callable[[AnyStage, str], None] | None = None
    target: Callable[[AnyStage, str], str] = _the_member
    repaired: str = "{target} is started again"
    absence: float = ABSENCE


class Scenario(Generic[AnyStage]):
    """Breaks things one after the other and measures.

    Args:
        stage: what is broken.
        traffic: running.
        timeline: kept up to date by somebody else.
        say: takes a sentence for each thing that happens.
    """

    def __init__(
        self, stage: AnyStage, traffic: Traffic, timeline: GroupTimeline, say: Callable[[str], None]
    ) -> None:
        self._stage = stage
        self._traffic = traffic
        self._timeline = timeline
        self._say = say

    def run(self, faults: Iterable[Fault[AnyStage]]) -> list[FaultResult]:
        """These faults, always on the leader; ends early when something does not come back."""
        results: list[FaultResult] = []
        for fault in faults:
            results.append(self._run(fault, self._leader()))
            if results[-1].whole is None:
                break
        return results

    def run_random(
        self, faults: Sequence[Fault[AnyStage]], seconds: float, random: Random
    ) -> list[FaultResult]:
        """Any of these faults on any member, until the time is over."""
        results = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            member = random.choice(self._timeline.members)
            results.append(self._run(random.choice(faults), member))
            if results[-1].whole is None:
                break
        return results

    def _leader(self) -> str:
        deadline = time.monotonic() + WHOLE_TIMEOUT
        while (leader := self._timeline.leader) is None and time.monotonic() < deadline:
            self._pause(0.1)
        return leader or self._timeline.members[0]

    def _run(self, fault: Fault[AnyStage], member: str) -> FaultResult:
        self._pause(CALM)
        target = fault.target(self._stage, member)
        role = self._role(target)
        self._say(f"{fault.says.format(target=target)}{', the leader' if role == 'leader' else ''}")
        struck = time.monotonic()
        fault.strike(self._stage, target)
        absent = 0.0
        if fault.repair is not None:
            self._pause(fault.absence)
            self._say(fault.repaired.format(target=target))
            absent = time.monotonic() - struck
            fault.repair(self._stage, target)
        whole = self._await_whole(struck, target)
        self._pause(SETTLE)
        end = time.monotonic()
        seen = self._timeline.elected_since(struck)
        result = FaultResult(
            fault=fault.name,
            target=target,
            role=role,
            gap=self._traffic.longest_pause(struck, end),
            new_leader=None if seen is None else seen.member,
            elected=None if seen is None else seen.at - struck,
            absent=absent,
            whole=whole,
        )
        if whole is None:
            self._say(f"{target} is not back after {WHOLE_TIMEOUT:.0f} s: see {self._stage.logs(target)}")
        else:
            self._say(
                f"the group is whole again after {whole:.1f} s; the gap in confirms was {result.gap:.2f} s"
            )
        return result

    def _role(self, target: str) -> str:
        if target not in self._timeline.members:
            return ""
        return "leader" if self._timeline.leader == target else "replica"

    def _await_whole(self, struck: float, target: str) -> float | None:
        """Seconds until everything is in its place again, after the target was seen not to be."""
        deadline = struck + WHOLE_TIMEOUT
        seen_broken = False
        while time.monotonic() < deadline:
            back = self._stage.is_back(target, self._timeline)
            seen_broken = seen_broken or not back or time.monotonic() - struck > 2 * ABSENCE
            if seen_broken and back and self._timeline.is_whole():
                return time.monotonic() - struck
            self._pause(0.05)
        return None

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._traffic.check()
            time.sleep(min(0.1, left))

"""The demo's scenario: what is broken, in which order, and what is waited for. Shows nothing itself."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

from rabbitkeeper.compose.demo.load import Load
from rabbitkeeper.compose.demo.observer import Observer
from rabbitkeeper.compose.demo.report import FaultResult
from rabbitkeeper.compose.local import Local

CALM = 3.0  # seconds of undisturbed load before each fault
SETTLE = 2.0  # seconds of load that must go through after the group is whole
WHOLE_TIMEOUT = 120.0  # seconds for a broken member to be back
ABSENCE = 8.0  # seconds for which a killed node stays away; longer than ZooKeeper's session timeout


@dataclass(frozen=True, slots=True)
class Fault:
    """A way to break a member, and how it is repaired if it does not repair itself."""

    name: str
    says: str  # with {member}
    strike: Callable[[Local, str], None]
    repair: Callable[[Local, str], None] | None = None


def _repair_node(local: Local, member: str) -> None:
    local.start_agent(member)  # as systemd or Docker would


KILL_BROKER = Fault("broker killed", "SIGKILL to the broker of {member}", Local.kill_broker)
KILL_NODE = Fault(
    "node killed", "SIGKILL to broker and agent of {member}", Local.kill_node, repair=_repair_node
)
HANG_BROKER = Fault("broker hung", "SIGSTOP to the broker of {member}", Local.stop_broker)
FAULTS = (KILL_BROKER, KILL_NODE, HANG_BROKER)


class Scenario:
    """Breaks things one after the other and measures.

    Args:
        local: the group's processes.
        load: running.
        observer: running.
        say: takes a sentence for each thing that happens.
    """

    def __init__(self, local: Local, load: Load, observer: Observer, say: Callable[[str], None]) -> None:
        self._local = local
        self._load = load
        self._observer = observer
        self._say = say

    def run_all(self) -> list[FaultResult]:
        """Each fault once, always on the leader."""
        return self.run(FAULTS)

    def run(self, faults: Iterable[Fault]) -> list[FaultResult]:
        """These faults, always on the leader; ends early when a member does not come back."""
        results: list[FaultResult] = []
        for fault in faults:
            results.append(self._run(fault, self._leader()))
            if results[-1].whole is None:
                break
        return results

    def run_random(self, seconds: float, random: Random) -> list[FaultResult]:
        """Any fault on any member, until the time is over."""
        results = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            member = random.choice(self._observer.members)
            results.append(self._run(random.choice(FAULTS), member))
            if results[-1].whole is None:
                break
        return results

    def _leader(self) -> str:
        deadline = time.monotonic() + WHOLE_TIMEOUT
        while (leader := self._observer.leader) is None and time.monotonic() < deadline:
            self._pause(0.1)
        return leader or self._observer.members[0]

    def _run(self, fault: Fault, member: str) -> FaultResult:
        self._pause(CALM)
        led = self._observer.leader == member
        self._say(f"{fault.says.format(member=member)}{', the leader' if led else ''}")
        struck = time.monotonic()
        fault.strike(self._local, member)
        if fault.repair is not None:
            self._pause(ABSENCE)
            self._say(f"{member} is started again")
            fault.repair(self._local, member)
        whole = self._await_whole(struck, member)
        self._pause(SETTLE)
        end = time.monotonic()
        seen = self._observer.elected_since(struck)
        result = FaultResult(
            fault=fault.name,
            member=member,
            led=led,
            gap=self._load.longest_pause(struck, end),
            new_leader=None if seen is None else seen.member,
            elected=None if seen is None else seen.at - struck,
            whole=whole,
        )
        if whole is None:
            self._say(f"{member} is not back after {WHOLE_TIMEOUT:.0f} s: see {self._local.logs(member)}")
        else:
            self._say(
                f"the group is whole again after {whole:.1f} s; the gap in confirms was {result.gap:.2f} s"
            )
        return result

    def _await_whole(self, struck: float, member: str) -> float | None:
        """Seconds until every member runs again, after the broken one was seen not to."""
        deadline = struck + WHOLE_TIMEOUT
        seen_broken = False
        while time.monotonic() < deadline:
            view = self._observer.view
            record = None if view is None else view.members.get(member)
            seen_broken = seen_broken or record is None or record.record.state.value != "running"
            seen_broken = seen_broken or time.monotonic() - struck > 2 * ABSENCE
            if seen_broken and self._observer.is_whole():
                return time.monotonic() - struck
            self._pause(0.05)
        return None

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._load.check()
            time.sleep(min(0.1, left))

"""To which member the next of kombu's connections goes, and when one is left. Pure.

A connection of kombu's cannot move while it works, as a client's own does: what is left is lost for whoever
uses it, who opens another one and gets again what it had not answered. So one is left only when

* its member's agent says that the broker takes nothing (``hung``, ``stopped`` …): at once;
* its member drains, whose broker is about to close it: within half a second;
* its member is gone from the group, with its agent, and others are there: after :data:`GRACE`, in which an
  agent that was started again is back;
* its member led, and another leads (with ``spread="leader"``): at a moment by chance, so that not all that
  were at the old leader come at once.

One that was opened while nobody led, as after a kill, stays where it is when somebody else takes the lead.
"""

from collections.abc import Collection
from dataclasses import dataclass
from random import Random

from rabbitkeeper.client.routing.failures import Failures
from rabbitkeeper.client.routing.placement import LEAVING, MOVES, Placement, Spread, Target, Targets
from rabbitkeeper.coordinator.model.records import MemberStatus

GRACE = 2.0  # seconds for a member that is gone to be there again
SHORTEST_MOVE = 1.0  # seconds over which connections leave a member that leads no more, at least

_NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Leave:
    """Connection ``number`` is to be dropped, without a closing handshake."""

    number: int
    member: str
    why: str


@dataclass(slots=True)
class _Held:
    """A connection that is open."""

    target: Target
    led: bool  # its member has led since it was opened, or did then
    why: str = ""  # it is left; empty: it is not
    leave_at: float = _NEVER  # seconds, monotonic


class MemberChoice:
    """Of one process and one group.

    Args:
        spread, site: see :class:`Placement`.
        random: for the chance.
        now: seconds, monotonic.
    """

    def __init__(self, spread: Spread, site: str | None, random: Random, now: float) -> None:
        self._spread = spread
        self._placement = Placement(spread, site, random, now)
        self._failures = Failures(random)
        self._random = random
        self._held: dict[int, _Held] = {}
        self._numbers = 0
        self.targets = Targets()
        """The group as it was seen last."""

    # -- where to go

    def next(self, now: float) -> Target | None:
        """The best member to connect to; None if there is none that may be tried now.

        One that has failed is tried when none is left that has not, and its pause is over.
        """
        candidates = self._placement.candidates(self.targets)
        for target in candidates:
            if target.address not in self._failures:
                return target
        due = [one for one in candidates if self._failures.retry_at(one.address) <= now]
        return min(due, key=lambda one: self._failures.retry_at(one.address), default=None)

    def patience(self, address: str) -> float:
        """How long an attempt there may take, as a multiple of the first."""
        return self._failures.patience(address)

    def retry_at(self) -> float:
        """When one that has failed may be tried again; infinity if none has."""
        return min(
            (
                self._failures.retry_at(one.address)
                for one in self._placement.candidates(self.targets)
                if one.address in self._failures
            ),
            default=_NEVER,
        )

    def opened(self, target: Target, now: float) -> int:
        """A connection to it is open; its number."""
        self._failures.opened()
        self._failures.worked(target.address)
        self._numbers += 1
        self._held[self._numbers] = held = _Held(target, self._leads(target))
        self._look_at(held, now)
        return self._numbers

    def failed(self, address: str, now: float, *, silent: bool = False, ended: bool = False) -> None:
        """It could not be connected to, or a connection to it was lost; see :meth:`Failures.failed`."""
        self._failures.failed(address, now, silent=silent, ended=ended)

    def ended(self, number: int) -> None:
        """The connection is none any more."""
        self._held.pop(number, None)

    def keep(self, numbers: Collection[int]) -> None:
        """All others are none any more: nobody holds them, though nobody has ended them."""
        for number in self._held.keys() - numbers:
            del self._held[number]

    # -- when to leave

    def view(self, targets: Targets, now: float) -> None:
        """The group has changed. A picture that is older than one seen before is passed over."""
        if targets.order < self.targets.order:
            return
        for name, target in targets.members.items():
            if target.status is MemberStatus.RUNNING and self.targets.members.get(name) != target:
                self._failures.is_well(target.address)
        if targets.leader is not None and targets.order > self.targets.order:
            self._failures.is_well(targets.leader.address)
        self._placement.view(self.targets, targets, now)
        self.targets = targets
        for held in self._held.values():
            held.led = held.led or self._leads(held.target)
            self._look_at(held, now)

    def leaves(self, now: float) -> list[Leave]:
        """The connections whose time has come; they are held no more."""
        due = {number: held for number, held in self._held.items() if held.leave_at <= now}
        for number in due:
            del self._held[number]
        return [Leave(number, held.target.member, held.why) for number, held in due.items()]

    def leave_at(self) -> float:
        """When :meth:`leaves` has something at the latest; infinity for never."""
        return min((held.leave_at for held in self._held.values()), default=_NEVER)

    def _look_at(self, held: _Held, now: float) -> None:
        why, over, least = self._reason(held)
        if why != held.why:
            held.why = why
            held.leave_at = now + least + over * self._random.random() if why else _NEVER

    def _reason(self, held: _Held) -> tuple[str, float, float]:
        """Why it is left, over how many seconds, and after how many at least; empty if it is not."""
        target, targets = held.target, self.targets
        if targets.declares_dead(target):
            return f"its agent says that {target.member} is {targets.members[target.member].status}", 0.0, 0.0
        if not self._other_than(target):
            return "", 0.0, 0.0
        if targets.drains(target):
            return f"{target.member} is being drained", LEAVING, 0.0
        if self._is_gone(target):
            return f"{target.member} is gone from the group", 0.0, GRACE
        leader = targets.leader
        if self._spread != "leader" or not held.led or leader is None or self._leads(target):
            return "", 0.0, 0.0
        if targets.declares_dead(leader):
            return "", 0.0, 0.0
        return f"{leader.member} leads now", max(SHORTEST_MOVE, self._size() / MOVES), 0.0

    def _size(self) -> float:
        """Connections of the group, as far as its members say."""
        return float(sum(self.targets.loads.values()))

    def _other_than(self, target: Target) -> bool:
        """Whether there is another place to go to."""
        return any(one.address != target.address for one in self._placement.candidates(self.targets))

    def _is_gone(self, target: Target) -> bool:
        is_known = any(one.address == target.address for one in self.targets.members.values())
        return not is_known and not self._leads(target)

    def _leads(self, target: Target) -> bool:
        return self.targets.leader is not None and self.targets.leader.address == target.address

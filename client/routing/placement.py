"""The placement: to which of the healthy members a client connects, and when it moves to another. Pure.

=============  =====================================================================================
``"leader"``   the leader; when it cannot be reached, any other member, by chance
``"members"``  all members alike: by chance, the less a member carries the likelier
``"site"``     as ``"leader"`` or ``"members"`` among those of the client's site; others when none is there
=============  =====================================================================================

Chance matters: a thousand clients that lose their broker at once see the same figures at the same time, and
would all go to the member that has the least.

With ``"members"`` a client also moves while nothing is broken, so that a member that returns gets its share:
now and then, at a time of its own, it compares what its member carries with the mean, and moves with a
chance that lets half of the excess go in one round. Where members do not say what they carry, one that has
newly come is given its share once, one in so many clients, within one round.

A member that is being drained is left before it ends: ``"members"`` and ``"site"`` do so at once, in the time
that its agent leaves them. With ``"leader"`` it is the lead that moves, and the clients with it.

A client that is well on a live member is in no hurry to be where another leads: it goes there at a moment by
chance, and the more connections the group carries, or the longer its own took to open, the later, so that
brokers that have just taken all the clients of a dead one are not asked to take them all once more.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from types import MappingProxyType
from typing import Literal

from rabbitkeeper.coordinator.model.records import MemberStatus

Spread = Literal["leader", "members", "site"]

ROUND = 30.0  # seconds in which each client compares once
TOLERANCE = 1.1  # times the mean, or the mean through it: what any member may carry and nobody moves
EXCESS = 0.5  # of what it carries above the mean leaves it in one round
MOVES = 25.0  # a second: clients that go to a new leader, of all the group's, on the average
LONGEST_MOVE = 300.0  # seconds over which they do, however many they are
SIZE_HALF_LIFE = (
    60.0  # seconds after which half of the connections that were seen once are not believed any more
)
PROMPT = 0.1  # seconds: a broker that opens a connection in so many is not burdened with them
CALM = 8.0  # times what it took beyond them: over so long a client goes to a new leader at least
LEAVING = 0.5  # seconds over which clients leave a draining member; its agent gives them 1 s before it closes


@dataclass(frozen=True, slots=True)
class Target:
    """A broker as the group knows it."""

    member: str
    instance: str
    address: str  # host:port
    status: MemberStatus
    site: str | None = None


@dataclass(frozen=True, slots=True)
class Targets:
    """The group as a client sees it.

    ``leader`` may name a member that has no znode any more: the leader's znode is what counts.
    """

    epoch: int = 0  # of the leader; of the last one seen while there is none
    leader: Target | None = None
    members: Mapping[str, Target] = field(default_factory=lambda: MappingProxyType({}))
    loads: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """Connections that members carry, by name; of those that say so."""
    era: tuple[int, int] = (0, 0)  # in which the epoch counts: see GroupView.era

    @property
    def incarnation(self) -> int:
        """Of the group."""
        return self.era[1]

    @property
    def order(self) -> tuple[tuple[int, int], int]:
        """The larger is the newer: a picture that is older than one seen before is not acted on."""
        return self.era, self.epoch

    def declares_dead(self, target: Target) -> bool:
        """Whether its agent says that the broker takes nothing."""
        status = self._status(target)
        return status is not None and status.down

    def drains(self, target: Target) -> bool:
        """Whether its agent says that it is being taken out of service. It still works for the moment."""
        return self._status(target) is MemberStatus.DRAINING

    def _status(self, target: Target) -> MemberStatus | None:
        """What is said of it now; None if nothing is."""
        member = self.members.get(target.member)
        return member.status if member is not None and member.address == target.address else None


class Placement:
    """One client's choice.

    Args:
        spread: see the module.
        site: the client's own, for ``"site"``.
        random: for the chance.
        now: seconds, monotonic.
    """

    def __init__(self, spread: Spread, site: str | None, random: Random, now: float) -> None:
        self._spread = spread
        self._site = site
        self._random = random
        self._compare_at = now + ROUND * random.uniform(0.5, 1.5)
        self._leave_at = float("inf")  # when it leaves a member that drains
        self._newcomers: frozenset[str] = frozenset()  # that came in this round
        self._wish: Target | None = None
        self._size, self._size_at = 0.0, now  # connections of the group; of members that say so
        self._took, self._took_at = 0.0, now  # seconds beyond PROMPT to open a connection, and when
        self._move_at: float | None = None  # when it goes to the leader

    @property
    def awaits_leader(self) -> bool:
        """Whether a starting client waits for a leader for a while, when there is none."""
        return self._spread != "members"

    def candidates(self, targets: Targets) -> list[Target]:
        """Where a client without a connection may go, the best first."""
        leader = targets.leader
        if leader is not None and targets.declares_dead(leader):
            leader = None
        others = [
            target
            for target in targets.members.values()
            if not target.status.down and target.status is not MemberStatus.STARTING
        ]
        others = self._by_chance(others, targets.loads)
        others.sort(key=lambda target: target.status is not MemberStatus.RUNNING)
        if self._spread != "members" and leader is not None:
            others = [leader, *(target for target in others if target.member != leader.member)]
        elif leader is not None and all(target.member != leader.member for target in others):
            others.append(leader)
        if self._spread == "site":
            others.sort(
                key=lambda target: (not self._is_near(target), target.status is MemberStatus.DRAINING)
            )
        return others

    def view(self, before: Targets, targets: Targets, now: float) -> None:
        """The group has changed."""
        self._size = max(float(sum(targets.loads.values())), self.size(now))
        self._size_at = now
        came = {
            name
            for name, target in targets.members.items()
            if target.status is MemberStatus.RUNNING and not _same_and_well(before.members.get(name), target)
        }
        if before.members and came:
            if not self._newcomers:
                self._compare_at = min(self._compare_at, now + ROUND * self._random.random())
            self._newcomers |= came
        if self._wish is not None and targets.members.get(self._wish.member) != self._wish:
            self._wish = None

    def size(self, now: float) -> float:
        """Connections that the group carries, or has carried a moment ago; 0 when nobody says."""
        return float(self._size * 0.5 ** ((now - self._size_at) / SIZE_HALF_LIFE))

    def opened(self, seconds: float, now: float) -> None:
        """A connection took ``seconds`` to open. Brokers that many connect to at once are slow, and the more
        so the more they are, whether anybody says how many or not."""
        self._took, self._took_at = max(seconds - PROMPT, self._slowness(now)), now

    def _slowness(self, now: float) -> float:
        return float(self._took * 0.5 ** ((now - self._took_at) / SIZE_HALF_LIFE))

    def wish(self, targets: Targets, current: Target, now: float) -> Target | None:
        """Where a client whose connection works would rather be; None: it is well where it is."""
        if self._spread == "members" and now >= self._compare_at:
            self._compare_at = now + ROUND * self._random.uniform(0.5, 1.5)
            self._wish = self._compared(targets, current)
            self._newcomers = frozenset()
        if self._spread != "leader" and targets.drains(current):
            return self._way_out(targets, current, now)
        if self._leave_at < float("inf"):  # it drains no longer
            self._leave_at, self._wish = float("inf"), None
        match self._spread:
            case "leader":
                leader = targets.leader
                if leader is None or leader.address == current.address or targets.declares_dead(leader):
                    self._move_at = None
                    return None
                most = LEAVING if targets.drains(current) else LONGEST_MOVE
                over = min(most, max(self.size(now) / MOVES, CALM * self._slowness(now)))
                if self._move_at is None or self._move_at > now + over:
                    self._move_at = now + over * self._random.random()
                return leader if now >= self._move_at else None
            case "site":
                if current.site == self._site:
                    return None
                if self._wish is None or self._wish.status is not MemberStatus.RUNNING:
                    best = next(iter(self.candidates(targets)), None)
                    self._wish = best if best is not None and self._is_near(best) else None
                return self._wish
            case "members":
                return self._wish

    def refused(self) -> None:
        """The wish could not be fulfilled; wait for the next comparison."""
        self._wish = None

    def fulfilled(self) -> None:
        """The client is somewhere else now, by its wish or not."""
        self._wish = self._move_at = None
        self._leave_at = float("inf")

    @property
    def compare_at(self) -> float:
        """When :meth:`wish` may have another answer by itself; seconds, monotonic."""
        move_at = float("inf") if self._move_at is None else self._move_at
        return min(self._leave_at, move_at, self._compare_at if self._spread == "members" else float("inf"))

    def _is_near(self, target: Target) -> bool:
        """Of the client's own site, and there to stay."""
        return target.site == self._site and target.status is not MemberStatus.DRAINING

    def _way_out(self, targets: Targets, current: Target, now: float) -> Target | None:
        others = [
            target
            for target in self.candidates(targets)
            if target.status is MemberStatus.RUNNING and target.address != current.address
        ]
        if not others:
            self._leave_at = float("inf")  # until the group changes
            return None
        if self._leave_at == float("inf"):
            self._leave_at = now + LEAVING * self._random.random()
        if self._wish is None and now >= self._leave_at:
            self._wish = others[0]
        return self._wish

    def _compared(self, targets: Targets, current: Target) -> Target | None:
        well = [target for target in targets.members.values() if target.status is MemberStatus.RUNNING]
        others = [target for target in well if target.address != current.address]
        if not others:
            return None
        if len(others) == len(well):  # its own is not well, though it works
            return self._by_chance(others, targets.loads)[0]
        loads = targets.loads
        if all(target.member in loads for target in well):
            mine = loads[current.member]
            mean = sum(loads[target.member] for target in well) / len(well)
            least = min(loads[target.member] for target in well)
            even = mine <= mean * TOLERANCE and least >= mean / TOLERANCE
            if mine <= mean + 1 or even or self._random.random() >= EXCESS * (mine - mean) / mine:
                return None
            room = [max(0.0, mean - loads[target.member]) for target in others]
            return self._random.choices(others, room)[0]
        newcomers = [target for target in others if target.member in self._newcomers]
        if newcomers and self._random.random() < len(newcomers) / len(well):
            return self._random.choice(newcomers)
        return None

    def _by_chance(self, targets: list[Target], loads: Mapping[str, int]) -> list[Target]:
        """In an order by chance: an empty member is the first choice of (1 + n) times as many clients as one
        that carries n times the mean. A share of the clients goes to each, however old the figures are."""
        known = [loads[target.member] for target in targets if target.member in loads]
        mean = sum(known) / len(known) if known else 0.0

        def key(target: Target) -> float:
            load = loads.get(target.member, mean)
            weight = 1 / (1 + (load / mean if mean else 0.0))
            # Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006
            return float(self._random.random() ** (1 / weight))

        keys = {target.member: key(target) for target in targets}
        return sorted(targets, key=lambda target: keys[target.member], reverse=True)


def _same_and_well(before: Target | None, target: Target) -> bool:
    return (
        before is not None
        and before.status is MemberStatus.RUNNING
        and before.instance == target.instance
        and before.address == target.address
    )

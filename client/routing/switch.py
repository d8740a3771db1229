"""The switch: to which broker a client is connected, and when it moves. Pure.

A machine of three phases::

    connecting ──ready──▶ live ──lost──▶ switching ──ready──▶ live …

It is told what the group looks like, what became of its links (a link is one AMQP connection), and the
time; it answers with orders for the one who does the I/O. At most two links exist at once: the *current*
one, over which everything goes, and a *next* one, which becomes the current one when it is ready.

* The current link is lost: the next is opened at once, to the leader or, as the brokers are one cluster, to
  any other live member. Nobody waits for an election.
* The client had better be elsewhere (the lead has moved, or see the placement) and the current link works:
  the next link is opened first and the client moves when it is ready, so nothing stalls; whatever was
  unconfirmed on the old link is waited for, then published again.
* An agent says that its broker is hung or has stopped: the link to it is dropped without a handshake.
* ZooKeeper is away: the last view stays, and nothing is given up because of it.

Only an equal or newer epoch is acted on: a stale view cannot move a client back.
"""

from dataclasses import dataclass
from enum import StrEnum
from random import Random

from rabbitkeeper.client.model.retry import Retry
from rabbitkeeper.client.routing.placement import Placement, Target, Targets
from rabbitkeeper.coordinator.model.records import MemberStatus

MOVE_RETRY = 1.0  # seconds between attempts to move while the current link works
SETTLED = 1.0  # seconds after which the loss of a link counts as the first failure of its broker again
LEADERLESS_GRACE = 2.0  # seconds for which a starting client waits for a leader before it takes any member


class Phase(StrEnum):
    CONNECTING = "connecting"  # never been live
    LIVE = "live"
    SWITCHING = "switching"  # was live, has no working link
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Open:
    """Open link number ``link`` to ``target``; report ready or failed within ``timeout`` seconds."""

    link: int
    target: Target
    why: str


@dataclass(frozen=True, slots=True)
class Promote:
    """Link ``link`` is now the current one; ``retire`` (if any) is left in an orderly way.

    ``urgent``: the link to retire cannot be expected to answer any more.
    """

    link: int
    target: Target
    retire: int | None
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class Abort:
    """Drop link ``link`` without a closing handshake; it will not be reported on any more."""

    link: int
    why: str


Order = Open | Promote | Abort


@dataclass(slots=True)
class _Failures:
    retry: Retry
    retry_at: float = 0.0  # seconds, monotonic


class Switch:
    """The machine. Every method takes the time (seconds, monotonic) and returns orders, to be done in turn.

    Args:
        now: when the client was started.
        random: for the jitter; seeded in tests.
        placement: chooses among the members.
    """

    def __init__(self, now: float, random: Random, placement: Placement | None = None) -> None:
        self.phase = Phase.CONNECTING
        self.targets = Targets()
        self.current: tuple[int, Target] | None = None
        self.next: tuple[int, Target] | None = None
        self.since = now  # of the phase
        self.lost_at: float | None = None  # when the last working link was lost
        self._random = random
        self._placement = placement or Placement("leader", None, random, now)
        self._links = 0
        self._failures: dict[str, _Failures] = {}  # by address
        self._ready_at = now  # since when the current link is that
        self._retry_at = now  # when the next attempt is due, whatever its target

    def view(self, targets: Targets, now: float) -> list[Order]:
        """The group has changed."""
        if self.phase is Phase.CLOSED or targets.epoch < self.targets.epoch:
            return []
        for address in self._freshly_well(targets):
            self._failures.pop(address, None)
        self._placement.view(self.targets, targets, now)
        self.targets = targets
        orders: list[Order] = []
        if self.next is not None and self._gone(self.next[1]):
            orders.append(Abort(self.next[0], f"{self.next[1].member} is not well any more"))
            self.next = None
        if self.current is not None and self.targets.declares_dead(self.current[1]):
            orders += self._lose(f"its agent says that {self.current[1].member} takes nothing", now)
        return orders + self.tick(now)

    def ready(self, link: int, now: float) -> list[Order]:
        """Link ``link`` is open and takes publishes."""
        if self.next is None or self.next[0] != link:
            return []
        retire, urgent = None, False
        if self.current is not None:
            retire, urgent = self.current[0], self._gone(self.current[1])
            self._failures.pop(self.current[1].address, None)
        self.current, self.next = self.next, None
        self._ready_at = now
        self._placement.fulfilled()
        self._enter(Phase.LIVE, now)
        return [Promote(link, self.current[1], retire, urgent), *self.tick(now)]

    def failed(self, link: int, now: float) -> list[Order]:
        """Link ``link`` could not be opened, or was lost."""
        if self.next is not None and self.next[0] == link:
            address = self.next[1].address
            self.next = None
            self._penalize(address, now)
            if self.current is not None:
                self._placement.refused()
                self._retry_at = now + self._random.uniform(0, MOVE_RETRY)
            return self.tick(now)
        if self.current is not None and self.current[0] == link:
            self._leave(self.current[1].address, now)
            return self.tick(now)
        return []

    def tick(self, now: float) -> list[Order]:
        """Time has passed; see :meth:`wake_at`."""
        if self.phase is Phase.CLOSED or self.next is not None:
            return []
        if self.current is not None:
            return self._move(now)
        target, why = self._choose(now)
        return [] if target is None else [self._open(target, why)]

    def close(self) -> list[Order]:
        """No more links: both are dropped (an orderly end comes before this, from the one who does I/O)."""
        orders = [Abort(link[0], "the client is closed") for link in (self.current, self.next) if link]
        self.current = self.next = None
        self.phase = Phase.CLOSED
        return list(orders)

    def wake_at(self, now: float) -> float:
        """When :meth:`tick` has something to do at the latest; infinity for never."""
        if self.phase is Phase.CLOSED or self.next is not None:
            return float("inf")
        if self.current is not None:
            wish = self._placement.wish(self.targets, self.current[1], now)
            return self._retry_at if wish is not None else self._placement.compare_at
        due = [
            self._failures[target.address].retry_at
            for target in self._placement.candidates(self.targets)
            if target.address in self._failures
        ]
        if self._waits_for_leader and self.targets.members:
            due.append(self.since + LEADERLESS_GRACE)
        return max(now, min(due, default=float("inf")))

    # -- choosing

    @property
    def _waits_for_leader(self) -> bool:
        return (
            self.phase is Phase.CONNECTING and self.targets.leader is None and self._placement.awaits_leader
        )

    def _choose(self, now: float) -> tuple[Target | None, str]:
        candidates = self._placement.candidates(self.targets)
        if self._waits_for_leader and now < self.since + LEADERLESS_GRACE:
            return None, "waiting for a leader"
        for target in candidates:
            failures = self._failures.get(target.address)
            if failures is None:
                leads = self.targets.leader is not None and target.member == self.targets.leader.member
                return target, "it leads" if leads else "it is a live member"
        due = [target for target in candidates if self._failures[target.address].retry_at <= now]
        if due:
            return min(due, key=lambda target: self._failures[target.address].retry_at), "trying again"
        return None, "every broker failed just now"

    def _move(self, now: float) -> list[Order]:
        if self.current is None or now < self._retry_at:
            return []
        wish = self._placement.wish(self.targets, self.current[1], now)
        if wish is None:
            return []
        leads = self.targets.leader is not None and wish.member == self.targets.leader.member
        return [self._open(wish, f"{wish.member} {'leads now' if leads else 'is the better place'}")]

    def _open(self, target: Target, why: str) -> Open:
        self._links += 1
        self.next = (self._links, target)
        return Open(self._links, target, why)

    # -- remembering

    def _penalize(self, address: str, now: float) -> None:
        failures = self._failures.setdefault(address, _Failures(Retry(self._random)))
        failures.retry_at = now + failures.retry.failed()

    def _freshly_well(self, targets: Targets) -> list[str]:
        """Addresses of members that have changed for the better, or of a newly announced leader."""
        well = [
            target.address
            for name, target in targets.members.items()
            if target.status is MemberStatus.RUNNING and self.targets.members.get(name) != target
        ]
        if targets.leader is not None and targets.epoch > self.targets.epoch:
            well.append(targets.leader.address)
            self._retry_at = 0.0
        return well

    def _gone(self, target: Target) -> bool:
        """Not a sensible target any more: declared dead, or unknown while others are there."""
        if self.targets.declares_dead(target):
            return True
        leader = self.targets.leader
        leads = leader is not None and leader.address == target.address
        known = any(member.address == target.address for member in self.targets.members.values())
        return not leads and not known and bool(self.targets.members)

    def _lose(self, why: str, now: float) -> list[Order]:
        assert self.current is not None  # noqa: S101
        link, target = self.current
        self._leave(target.address, now)
        return [Abort(link, why)]

    def _leave(self, address: str, now: float) -> None:
        """The current link, to ``address``, is none any more, and there is no other."""
        if now - self._ready_at >= SETTLED:  # a broker that ends each link at once is not tried all the time
            self._failures.pop(address, None)
        self._penalize(address, now)
        self.current = None
        self.lost_at = now
        self._enter(Phase.SWITCHING, now)

    def _enter(self, phase: Phase, now: float) -> None:
        if phase is not self.phase:
            self.phase, self.since = phase, now

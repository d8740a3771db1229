"""The switch: to which broker a client is connected, and when it moves. Pure.

A machine of three phases::

    connecting ──ready──▶ live ──lost──▶ switching ──ready──▶ live …

and, while it is live, of a planned move::

    live ──ready──▶ moving ──moved──▶ live (on the other connection)

It is told what the group looks like, what became of its connections, and the time; it answers with orders for
the one who does the I/O. It alone says which connection is *current*, the one over which everything goes. At
most one other exists beside it: the *next* one, which is being opened, or is open and moved to. (Connections
that were left may live on for a moment, for the last answers; they are no concern of the switch.)

* The current connection is lost: the next is opened at once, to the leader or, as the brokers are one
  cluster, to any other live member. Nobody waits for an election.
* The client had better be elsewhere (the lead has moved, or see the placement) and the current connection
  works: the next one is opened first. When it is ready the client is *moving*: whoever does the I/O prepares
  the next one and reports when everything can go over it (:meth:`Switch.moved`). Until then the current one
  stays the current one. Another move begins when this one has ended, or in its place, when the client had
  better be elsewhere again.
* While it is moving, the current connection is lost, or its broker is given up: the next one becomes the
  current one at once, prepared or not. The next one is lost: the client stays where it is, and tries again
  later.
* An agent says that its broker is hung or has stopped: the connection to it is dropped without a handshake.
* The member's znode has gone while others are there: another is opened at once, whatever leads, and becomes
  the current one as soon as it is ready. Until then the old one stays, for only the agent may have gone.
* The current connection answers nothing of what it should (:meth:`Switch.doubt`): another member is tried,
  and the doubted one is not returned to for a while, which grows.
* ZooKeeper is away: the last view stays, and nothing is given up because of it.

Only an equal or newer epoch is acted on: a stale view cannot move a client back.
"""

from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import NamedTuple

from rabbitkeeper.client.model.retry import doubled
from rabbitkeeper.client.routing.failures import MOST_PATIENCE, Failures
from rabbitkeeper.client.routing.placement import Placement, Target, Targets
from rabbitkeeper.coordinator.model.records import MemberStatus

MOVE_RETRY = 1.0  # seconds at the most to the next attempt to move from what works; doubled …
MOST_MOVE_RETRY = 30.0  # … with each that fails, up to this, until there is something new
SETTLED = 1.0  # seconds after which a lost connection counts as the first failure of its broker again
LEADERLESS_GRACE = 2.0  # seconds for which a starting client waits for a leader before it takes any member
CONNECT_TIMEOUT = 1.0  # seconds; a hung broker's kernel still accepts TCP connections
AFTER_LOSS = 2.0  # times as long may attempts take after a loss: others have lost the same broker
CROWD = 100.0  # connections of a group that are made again in so many seconds, whatever it runs on


class Phase(StrEnum):
    CONNECTING = "connecting"  # never been live
    LIVE = "live"
    SWITCHING = "switching"  # was live, has no working connection
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Open:
    """Open connection ``number`` to ``target``; report ready or failed.

    ``timeout``: seconds for each of the broker's answers until there is a channel in confirm mode.
    """

    number: int
    target: Target
    why: str
    timeout: float = CONNECT_TIMEOUT


@dataclass(frozen=True, slots=True)
class Migrate:
    """Connection ``number`` is ready: prepare to move to it from ``old``, which works; report moved."""

    number: int
    target: Target
    old: int


@dataclass(frozen=True, slots=True)
class Promote:
    """Connection ``number`` is now the current one; ``retire`` (if any) is left in an orderly way.

    ``prepared``: after a :class:`Migrate` that was reported as done.
    """

    number: int
    target: Target
    retire: int | None
    prepared: bool = False


@dataclass(frozen=True, slots=True)
class Abort:
    """Drop connection ``number`` without a closing handshake; it will not be reported on any more.

    ``was_current``: everything went over it, and goes over none now.
    """

    number: int
    why: str
    was_current: bool = False


Order = Open | Migrate | Promote | Abort


class Slot(NamedTuple):
    """A connection and where it goes to."""

    number: int
    target: Target


class Switch:
    """The machine. Every method takes the time (seconds, monotonic) and returns orders, to be done in turn.

    Args:
        now: when the client was started.
        random: for the jitter; seeded in tests.
        placement: chooses among the members.
        connect_timeout: seconds for the first attempt at a member; more where others had no answer.
    """

    def __init__(
        self,
        now: float,
        random: Random,
        placement: Placement | None = None,
        *,
        connect_timeout: float = CONNECT_TIMEOUT,
    ) -> None:
        self.phase = Phase.CONNECTING
        self.targets = Targets()
        self.current: Slot | None = None
        self.next: Slot | None = None
        self.is_moving = False  # the next one is open, and everything is about to go over it
        self.since = now  # of the phase
        self.lost_at: float | None = None  # when the last working connection was lost
        self._random = random
        self._placement = placement or Placement("leader", None, random, now)
        self._connect_timeout = connect_timeout
        self._opened = 0  # connections so far
        self._opened_at, self._opening_timeout = now, connect_timeout  # of the last of them
        self._failures = Failures(random)
        self._ready_at = now  # since when the current connection is that
        self._retry_at = now  # when the next attempt is due, whatever its target
        self._moves_failed = 0  # in a row

    def is_current(self, number: int) -> bool:
        """Whether everything goes over connection ``number``."""
        return self.current is not None and self.current.number == number

    def view(self, targets: Targets, now: float) -> list[Order]:
        """The group has changed."""
        if self.phase is Phase.CLOSED or targets.order < self.targets.order:
            return []
        well = self._freshly_well(targets)
        for address in well:
            self._failures.is_well(address)
        if well:
            self._retry_at, self._moves_failed = min(self._retry_at, now + MOVE_RETRY), 0
        self._placement.view(self.targets, targets, now)
        self.targets = targets
        orders: list[Order] = []
        if self.next is not None and (self._gone(self.next.target) or self._tries_in_vain(well)):
            orders.append(
                Abort(self.next.number, f"{self.next.target.member} is not the best place any more")
            )
            self.next, self.is_moving = None, False
        if self.current is not None and self.targets.declares_dead(self.current.target):
            number, target = self.current
            why = f"its agent says that {target.member} takes nothing"
            orders.append(Abort(number, why, was_current=True))
            self._leave(target.address, now)
        if self.is_moving and (self.current is None or self._gone(self.current.target)):
            orders.append(self._promote(now))
        elif self.is_moving:
            orders += self._think_again(now)
        return orders + self.tick(now)

    def ready(self, number: int, now: float) -> list[Order]:
        """Connection ``number`` is open and takes publishes."""
        if self.next is None or self.next.number != number or self.is_moving:
            return []
        self._failures.opened()
        self._placement.opened(now - self._opened_at, now)
        if self.current is not None and not self._is_bad(self.current.target, now):
            self.is_moving = True
            return [Migrate(number, self.next.target, self.current.number)]
        return [self._promote(now), *self.tick(now)]

    def moved(self, number: int, now: float) -> list[Order]:
        """Everything can go over connection ``number``, as :class:`Migrate` has asked."""
        if not self.is_moving or self.next is None or self.next.number != number:
            return []
        return [self._promote(now, prepared=True), *self.tick(now)]

    def failed(self, number: int, now: float, *, ended: bool = False) -> list[Order]:
        """Connection ``number`` could not be opened, or was lost; ``ended``: by the broker, which is well."""
        if self.next is not None and self.next.number == number:
            address, was_open = self.next.target.address, self.is_moving
            self.next, self.is_moving = None, False
            silent = not was_open and now - self._opened_at >= self._opening_timeout
            self._failures.failed(address, now, silent=silent, ended=ended)
            if self.current is not None:
                self._placement.refused()
                most = doubled(MOVE_RETRY, self._moves_failed, MOST_MOVE_RETRY)
                self._moves_failed += not self._gone(self.current.target)
                self._retry_at = now + self._random.uniform(0, most)
            return self.tick(now)
        if self.current is not None and self.current.number == number:
            self._leave(self.current.target.address, now, ended=ended)
            return [*([self._promote(now)] if self.is_moving else []), *self.tick(now)]
        return []

    def doubt(self, now: float) -> list[Order]:
        """The current connection does not answer, and nobody says that it is not well."""
        if self.current is None or self.next is not None:
            return []
        if not self._failures.doubt(self.current.target.address, now):
            return []
        self._retry_at = min(self._retry_at, now)
        return self._move(now)

    def tick(self, now: float) -> list[Order]:
        """Time has passed; see :meth:`wake_at`."""
        if self.phase is Phase.CLOSED or self.next is not None:
            return []
        if self.current is not None:
            return self._move(now)
        target, why = self._choose(now)
        return [] if target is None else [self._open(target, why, now)]

    def close(self) -> list[Order]:
        """No more connections: both are dropped (or closed, by the one who does the I/O)."""
        orders = [Abort(slot.number, "the client is closed") for slot in (self.current, self.next) if slot]
        self.current, self.next, self.is_moving = None, None, False
        self.phase = Phase.CLOSED
        return list(orders)

    def wake_at(self, now: float) -> float:
        """When :meth:`tick` has something to do at the latest; infinity for never."""
        if self.phase is Phase.CLOSED or self.next is not None:
            return float("inf")
        if self.current is not None:
            if self._is_bad(self.current.target, now):
                other_at = min(map(self._may_open_at, self._elsewhere()), default=float("inf"))
                return max(now, self._retry_at, other_at)
            wish = self._placement.wish(self.targets, self.current.target, now)
            if wish is None:
                return self._placement.compare_at
            return max(self._retry_at, self._may_open_at(wish))
        due = [
            self._failures.retry_at(target.address)
            for target in self._placement.candidates(self.targets)
            if target.address in self._failures
        ]
        if self._waits_for_leader(now) and self.targets.members:
            due = [self.since + LEADERLESS_GRACE]
        return max(now, min(due, default=float("inf")))

    # -- choosing

    def _waits_for_leader(self, now: float) -> bool:
        is_early = self.phase is Phase.CONNECTING and now < self.since + LEADERLESS_GRACE
        return is_early and self.targets.leader is None and self._placement.awaits_leader

    def _choose(self, now: float) -> tuple[Target | None, str]:
        candidates = self._placement.candidates(self.targets)
        if self._waits_for_leader(now):
            return None, "waiting for a leader"
        for target in candidates:
            if target.address not in self._failures:
                leads = self.targets.leader is not None and target.member == self.targets.leader.member
                return target, "it leads" if leads else "it is a live member"
        due = [target for target in candidates if self._retry_at_of(target) <= now]
        if due:
            return min(due, key=self._retry_at_of), "trying again"
        return None, "every broker failed just now"

    def _move(self, now: float) -> list[Order]:
        if self.current is None or now < self._retry_at:
            return []
        if self._is_bad(self.current.target, now):
            other, why = self._other(now), f"{self.current.target.member} is gone, or does not answer"
            return [] if other is None else [self._open(other, why, now)]
        wish = self._placement.wish(self.targets, self.current.target, now)
        if wish is None or now < self._may_open_at(wish):
            return []
        leads = self.targets.leader is not None and wish.member == self.targets.leader.member
        return [self._open(wish, f"{wish.member} {'leads now' if leads else 'is the better place'}", now)]

    def _think_again(self, now: float) -> list[Order]:
        """A move under way gives way to one to a better place: it may be waiting for what never comes."""
        if self.current is None or self.next is None:
            return []
        wish = self._placement.wish(self.targets, self.current.target, now)
        if wish is None or wish.address == self.next.target.address or self._is_doubted(wish.address, now):
            return []
        number = self.next.number
        self.next, self.is_moving = None, False
        return [Abort(number, f"{wish.member} is the better place now")]

    def _other(self, now: float) -> Target | None:
        """The best but the current one, of those that have not failed just now, or better not at all."""
        due = [target for target in self._elsewhere() if self._may_open_at(target) <= now]
        return min(due, key=lambda target: target.address in self._failures, default=None)

    def _elsewhere(self) -> list[Target]:
        """The candidates but the current one, the best first."""
        here = None if self.current is None else self.current.target.address
        return [one for one in self._placement.candidates(self.targets) if one.address != here]

    def _may_open_at(self, target: Target) -> float:
        """When what works may be left for it: its pause is over, and it is not doubted any more."""
        return max(self._retry_at_of(target), self._failures.doubted_until(target.address))

    def _retry_at_of(self, target: Target) -> float:
        return self._failures.retry_at(target.address)

    def _tries_in_vain(self, well: list[str]) -> bool:
        """Whether a member that has not answered before is waited for, and another is well again."""
        if self.current is not None or self.next is None:
            return False
        address = self.next.target.address
        return address in self._failures and any(one != address for one in well)

    def _is_bad(self, current: Target, now: float) -> bool:
        """Whether nothing is waited for before it is left."""
        return self._gone(current) or self._is_doubted(current.address, now)

    def _is_doubted(self, address: str, now: float) -> bool:
        return now < self._failures.doubted_until(address)

    def _open(self, target: Target, why: str, now: float) -> Open:
        self._opened += 1
        self.next = Slot(self._opened, target)
        times = AFTER_LOSS if self.phase is Phase.SWITCHING else 1.0
        patience = max(times * self._failures.patience(target.address), self._placement.size(now) / CROWD)
        timeout = self._connect_timeout * min(MOST_PATIENCE, patience)
        self._opened_at, self._opening_timeout = now, timeout
        return Open(self._opened, target, why, timeout)

    def _promote(self, now: float, *, prepared: bool = False) -> Promote:
        """The next connection becomes the current one."""
        assert self.next is not None  # noqa: S101
        before, self.current, self.next = self.current, self.next, None
        self.is_moving = False
        if before is not None:
            self._failures.worked(before.target.address)
        self._ready_at = now
        self._placement.fulfilled()
        self._moves_failed = 0
        self._enter(Phase.LIVE, now)
        retire = None if before is None else before.number
        return Promote(self.current.number, self.current.target, retire, prepared)

    # -- remembering

    def _freshly_well(self, targets: Targets) -> list[str]:
        """Addresses of members that have changed for the better, or of a newly announced leader."""
        well = [
            target.address
            for name, target in targets.members.items()
            if target.status is MemberStatus.RUNNING and self.targets.members.get(name) != target
        ]
        if targets.leader is not None and targets.order > self.targets.order:
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

    def _leave(self, address: str, now: float, *, ended: bool = False) -> None:
        """The current connection, to ``address``, is none any more."""
        # a broker that ends each connection at once is not tried all the time
        if now - self._ready_at >= SETTLED:
            self._failures.worked(address)
        self._failures.failed(address, now, ended=ended)
        self.current = None
        self.lost_at = now
        self._enter(Phase.SWITCHING, now)

    def _enter(self, phase: Phase, now: float) -> None:
        if phase is not self.phase:
            self.phase, self.since = phase, now

"""Who has a place at the HTTP API, and who loses it to whom. Pure.

Every connection takes one of a bounded number of places, from the moment that it is accepted, before TLS. One
that has not sent the whole head of a request waits, and is the first to go: when all places are taken, or all
of one address, the newcomer gets the place of the connection that has waited longest at the address that
has most. So a flood of silent connections or of half requests pushes out itself, while a health check, which
sends its request at once, is answered whatever else there is, also from the flood's own address: one whose
request is there when it is accepted has no time in which it could be pushed out.

Requests other than health checks have a share of the places only, so that slow ones leave room for checks.
"""

import enum
import ipaddress
from dataclasses import dataclass

HEAD_TIMEOUT = 5.0  # seconds for the head of a request, TLS included
IDLE_TIMEOUT = 30.0  # seconds between requests; load balancers keep their connections between checks
STUCK = 5.0  # seconds after which a check whose answer is not read may lose its place
CONNECTIONS = 512  # places in all
_NETWORK_6 = 64  # bits of an IPv6 address that one customer is given, so that they count as one


class Stage(enum.Enum):
    """What a connection does."""

    WAITING = enum.auto()  # for the rest of a request's head, or for TLS
    IDLE = enum.auto()  # kept between two requests
    CHECK = enum.auto()  # a health check is answered
    OTHER = enum.auto()  # another request is


@dataclass(eq=False, slots=True)
class Place:
    """One connection's place.

    Attributes:
        address: whose it is, as addresses are counted.
        stage: what it does.
        since: when it began to, monotonic seconds.
    """

    address: str
    stage: Stage
    since: float


@dataclass(frozen=True, slots=True)
class Limits:
    """How many there may be.

    Attributes:
        connections: in all.
        per_address: of one address, or of one IPv6 network.
        others: requests at once that are no health checks.
        others_per_address: of those, from one address.
    """

    connections: int
    per_address: int
    others: int
    others_per_address: int


def limits_for(descriptors: int) -> Limits:
    """What an agent can afford.

    Args:
        descriptors: that the process may have; half of them are for everything else that it does.
    """
    most = max(8, min(CONNECTIONS, descriptors // 2))
    # One address may be a proxy in front of as many dashboards as may listen to the events, an eighth of all
    # places. Each has two requests under way at times, that of its events and one more.
    dashboards = most // 8
    others = 2 * dashboards
    return Limits(
        most,
        per_address=others + dashboards,
        others=others + dashboards,
        others_per_address=others,
    )


def counted_as(host: str) -> str:
    """The address that a peer is counted under: its own, or its network with IPv6.

    Args:
        host: as the socket says it.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), _NETWORK_6), strict=False))


class Admission:
    """Keeps the places. Belongs to one thread.

    Args:
        limits: how many there may be.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._places: dict[str, dict[Place, None]] = {}  # by address, in the order of ``since``
        self._count = 0
        self._others = 0

    @property
    def count(self) -> int:
        """Places that are taken."""
        return self._count

    def arrive(
        self, host: str, now: float, stage: Stage = Stage.WAITING
    ) -> tuple[Place | None, Place | None]:
        """A connection has been accepted.

        Args:
            host: the peer's address.
            now: monotonic seconds.
            stage: ``CHECK`` if the whole head of its request is there already.

        Returns:
            Its place, None if there is none; and who must go for it, None if nobody.
        """
        address = counted_as(host)
        victim: Place | None = None
        crowded = len(self._places.get(address, ())) >= self._limits.per_address
        if crowded or self._count >= self._limits.connections:
            victim = self._dispensable(address, now) if crowded else self.yielding(now)
            if victim is None:
                return None, None
            self.leave(victim)
        place = Place(address, stage, now)
        self._places.setdefault(address, {})[place] = None
        self._count += 1
        return place, victim

    def leave(self, place: Place) -> None:
        """The connection has ended. Idempotent."""
        there = self._places.get(place.address)
        if there is None or place not in there:
            return
        del there[place]
        self._count -= 1
        self._others -= place.stage is Stage.OTHER
        if not there:
            del self._places[place.address]

    def move(self, place: Place, stage: Stage, now: float) -> bool:
        """The connection does something else; what it does already begins no second time.

        Returns:
            False if it may not: too many other requests are under way; then it counts as a check, whose
            answer is short.
        """
        there = self._places.get(place.address)
        if there is None or place not in there or place.stage is stage:
            return True
        allowed = True
        if stage is Stage.OTHER:
            mine = sum(one.stage is Stage.OTHER for one in there)
            allowed = self._others < self._limits.others and mine < self._limits.others_per_address
            stage = stage if allowed else Stage.CHECK
        self._others += (stage is Stage.OTHER) - (place.stage is Stage.OTHER)
        place.stage, place.since = stage, now
        del there[place]
        there[place] = None  # at the end: the order is that of time
        return allowed

    def overdue(self, now: float) -> list[Place]:
        """Those who have had their time for the head of a request, or between two."""
        limits = {Stage.WAITING: HEAD_TIMEOUT, Stage.IDLE: IDLE_TIMEOUT}
        return [
            place
            for places in self._places.values()
            for place in places
            if now - place.since >= limits.get(place.stage, float("inf"))
        ]

    def yielding(self, now: float) -> Place | None:
        """Who can best be missed: who has waited longest at the address that has most; None if nobody can."""
        for address in sorted(self._places, key=lambda one: len(self._places[one]), reverse=True):
            found = self._dispensable(address, now)
            if found is not None:
                return found
        return None

    def _dispensable(self, address: str, now: float) -> Place | None:
        idle = stuck = None
        for place in self._places[address]:
            if place.stage is Stage.WAITING:
                return place
            if place.stage is Stage.IDLE:
                idle = idle or place
            elif place.stage is Stage.CHECK and now - place.since >= STUCK:
                stuck = stuck or place
        return idle or stuck

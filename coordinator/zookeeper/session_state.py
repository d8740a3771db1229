"""What is known of a ZooKeeper session at one moment, and how each event changes it. Pure: values, no clock.

``session.py`` keeps the present one and replaces it whole, so that whoever asks from another thread sees
things that belong together.
"""

from dataclasses import dataclass, replace

from rabbitkeeper.coordinator.backend.lease import Lease

NO_LEASE = Lease(timeout=0.0)
HALF_TICK = 1.0  # seconds, of ZooKeeper's usual tickTime of 2 s


def empty_lease(granted: float | None, margin: float | None) -> Lease:
    """Of a session that has just begun.

    Args:
        granted: the negotiated timeout, seconds; without one no moment is certain.
        margin: seconds; None: a sixth of the timeout, and half a usual tick at least (a third of a timeout
            that is shorter than that). It covers the drift of clocks, and that in an ensemble a follower
            tells the leader about its sessions only every half tick.
    """
    timeout = granted or 0.0
    usual = min(max(timeout / 6, HALF_TICK), timeout / 3)
    return Lease(timeout, min(usual if margin is None else margin, timeout))


@dataclass(frozen=True, slots=True)
class Renewal:
    """A request that extends the lease when it is answered."""

    sent: float  # seconds, monotonic
    generation: int
    connection: int


@dataclass(frozen=True, slots=True)
class SessionState:
    """A value. Times are monotonic seconds; the interface ``Session`` says what each field means."""

    session_id: int = 0
    generation: int = 0
    established_at: float | None = None
    connections: int = 0
    connected_since: float | None = None
    disconnected_since: float | None = None
    lease: Lease = NO_LEASE
    renewal: Renewal | None = None  # the one that is under way

    @property
    def connected(self) -> bool:
        return self.connected_since is not None

    def connect(self, session_id: int, lease: Lease, now: float) -> "SessionState":
        """There is a connection, of the same session or a new one.

        Args:
            session_id: the session's.
            lease: an empty one with what was negotiated.
            now: this moment.
        """
        same = session_id == self.session_id
        return replace(
            self,
            session_id=session_id,
            generation=self.generation if same else self.generation + 1,
            established_at=self.established_at if same else now,
            lease=replace(lease, renewed=self.lease.renewed) if same else lease,
            connections=self.connections + 1,
            connected_since=now,
            disconnected_since=None,
            renewal=None,
        )

    def disconnect(self, now: float) -> "SessionState":
        """There is no connection (any more). The session may live, and the lease runs on."""
        since = now if self.disconnected_since is None else self.disconnected_since
        return replace(self, connected_since=None, disconnected_since=since, renewal=None)

    def lose(self, now: float) -> "SessionState":
        """The session is over, and its lease at once."""
        return replace(self.disconnect(now), session_id=0, established_at=None, lease=NO_LEASE)

    def renewal_at(self, now: float) -> Renewal:
        """A renewal that is about to be sent."""
        return Renewal(now, self.generation, self.connections)

    def renewing(self, renewal: Renewal) -> "SessionState":
        """``renewal`` is sent."""
        return replace(self, renewal=renewal)

    def renewed(self, renewal: Renewal, answered: bool) -> "SessionState":
        """A renewal has ended. One of another generation says nothing about this one."""
        pending = None if self.renewal is renewal else self.renewal
        certain = answered and self.session_id != 0 and renewal.generation == self.generation
        return replace(
            self, renewal=pending, lease=self.lease.answered(renewal.sent) if certain else self.lease
        )

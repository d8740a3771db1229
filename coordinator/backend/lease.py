"""The lease: until when a session is certain to be held, by the holder's own clock.

The backend's server starts a session's timeout anew when it *receives* a request, which is after the request
was *sent*. So a session is certain to live until the send time of the last request that was answered plus
the negotiated timeout. A client library cannot be asked: it reports a lost session only once it has
reconnected, so a client that is cut off would believe in its session for ever.

(The argument is that of Gray and Cheriton's leases, SOSP 1989: the holder's term starts no later than the
grantor's. It holds for clocks that run at about the same rate; ``margin`` covers their drift.)
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Lease:
    """A value; every change makes a new one.

    Args:
        timeout: the *negotiated* session timeout, seconds.
        margin: seconds before the end from which on the lease is not trusted any more.
        renewed: send time of the last answered request, seconds monotonic; None before the first.
    """

    timeout: float
    margin: float = 0.0
    renewed: float | None = None

    def answered(self, sent: float) -> "Lease":
        """The lease after a request that was sent at ``sent`` has been answered."""
        if self.renewed is not None and sent <= self.renewed:
            return self
        return replace(self, renewed=sent)

    def remaining(self, now: float) -> float:
        """Seconds for which the session is certain to live, less the margin; 0 when it is not certain."""
        if self.renewed is None:
            return 0.0
        return max(0.0, self.renewed + self.timeout - self.margin - now)

    def valid(self, now: float) -> bool:
        """Whether the session is certain to live at ``now``, with the margin to spare."""
        return self.remaining(now) > 0.0

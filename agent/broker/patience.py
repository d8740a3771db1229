"""What a broker's kill waits for, from turn to turn: since when it hangs, that it boots, earlier kills.

Bookkeeping for ``policy.py``, which decides.
"""

import logging

from rabbitkeeper.agent.broker.policy import BOOT_SILENCE, REJOIN_GRACE, Plan
from rabbitkeeper.agent.model.errors import DisruptionRefused
from rabbitkeeper.agent.model.observation import (
    RESUMES,
    ConnectFailure,
    ConnectionFacts,
    NodeFacts,
    NodeState,
)
from rabbitkeeper.coordinator.model.errors import RabbitKeeperError
from rabbitkeeper.coordinator.model.records import MemberStatus

LOG = logging.getLogger("rabbitkeeper.agent")

POSTPONED = 2.0  # seconds until a kill is tried again that was not to be now
NOTICED = 15.0  # seconds until a node that was cut off knows it: RabbitMQ tries to reach each other for 7 s
KILLS_COUNT = 600.0  # seconds for which a kill counts against the next


class Patience:
    """One broker's. Belongs to the loop's thread.

    Attributes:
        hung_since: since when the verdict says that it hangs, monotonic seconds; None while it does not.
        split_since: the same of a node that is split from the others.
        starves_since: the same of one that feeds nobody.
        resumes_since: the same of one that RabbitMQ starts again after a pause.
        denied_since: the same of one that has let its agent in and refuses it now; begins anew when a kill
            was not to be.
        boots_until: until when a node is believed that has said that it boots, monotonic seconds.
        rejoins_until: until when one that was cut off may hang for that, monotonic seconds.
    """

    def __init__(self) -> None:
        self.hung_since: float | None = None
        self.split_since: float | None = None
        self.starves_since: float | None = None
        self.resumes_since: float | None = None
        self.denied_since: float | None = None
        self.boots_until = 0.0
        self.rejoins_until = 0.0
        self._cut_off_until = 0.0
        self._kills: list[tuple[float, bool]] = []  # when, and whether it was resuming after a pause
        self._resuming = False  # the one that is killed is
        self._postponed: str | None = None  # why the last kill was
        self._slow: float | None = None  # of which boot it has been said that it takes long

    def recent_kills(self, now: float, *, resuming: bool = False) -> int:
        """How often the broker has been killed of late; ``resuming``: while it resumed after a pause."""
        return sum(now < at + KILLS_COUNT for at, resumed in self._kills if resumed or not resuming)

    def seen(
        self,
        now: float,
        status: MemberStatus,
        node: NodeFacts | None,
        connection: ConnectionFacts,
        started: float,
        boot_timeout: float,
    ) -> None:
        """Take note of how the broker is.

        Args:
            now: seconds, monotonic.
            status: the verdict's.
            node: what it says of itself while it refuses connections.
            connection: what the probe says.
            started: when it was started, or found; monotonic seconds.
            boot_timeout: seconds that a boot takes as a rule.
        """
        self.hung_since = _since(self.hung_since, now, so=status is MemberStatus.HUNG)
        self.split_since = _since(self.split_since, now, so=status is MemberStatus.SPLIT)
        self.starves_since = _since(self.starves_since, now, so=status is MemberStatus.STARVING)
        resumes = node is not None and node.state in RESUMES
        self.resumes_since = _since(self.resumes_since, now, so=resumes)
        denied = connection.up_since is None and connection.failure is ConnectFailure.DENIED
        self.denied_since = _since(self.denied_since, now, so=denied and connection.let_in_since(started))
        if node is None or node.state is not NodeState.BOOTING:
            return
        self.boots_until = now + BOOT_SILENCE
        if now >= started + boot_timeout and self._slow != started:
            self._slow = started
            LOG.warning(
                "the broker has been booting for %g s and says that it still does: it is given time",
                boot_timeout,
            )

    def cut_off(self, now: float, status: MemberStatus, *, so: bool) -> None:
        """Take note of whether the broker is cut off from most of the others.

        Args:
            now: seconds, monotonic.
            status: the verdict's. It is still ``running`` for a while after a short cut, until RabbitMQ has
                noticed that the others have dropped it.
            so: whether it is.
        """
        if so:
            self._cut_off_until = now
            self.rejoins_until = now + REJOIN_GRACE
        elif status is MemberStatus.RUNNING and now >= self._cut_off_until + NOTICED:
            # Not merely well: what has no majority, or is blocked, may be about to pause.
            self.rejoins_until = 0.0

    def begins(self, planned: Plan) -> None:
        """It is about to be killed, if it may be."""
        self._resuming = bool(planned.still & RESUMES)

    def killed(self, now: float) -> None:
        """It has been killed."""
        self._kills = [kill for kill in self._kills if now < kill[0] + KILLS_COUNT] + [(now, self._resuming)]
        self._postponed = None

    def postponed(self, failure: RabbitKeeperError | None) -> bool:
        """Whether a kill has ended with leave refused, which is told once for each reason."""
        if not isinstance(failure, DisruptionRefused):
            return False
        if self._postponed != str(failure):
            LOG.warning("the broker is not killed now: %s", failure)
        self._postponed = str(failure)
        self.denied_since = None  # it may be so for good, and is not asked each time that others are
        return True


def _since(before: float | None, now: float, *, so: bool) -> float | None:
    if not so:
        return None
    return now if before is None else before

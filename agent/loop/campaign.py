"""Taking a vacant lead: made sure of by the mode's check first, then written, then told."""

import logging
from collections.abc import Callable

from rabbitkeeper.agent.group.announcement import Announcer
from rabbitkeeper.agent.group.membership import Membership
from rabbitkeeper.agent.health.judge import HealthPolicy
from rabbitkeeper.agent.loop.mode import LeadCheck
from rabbitkeeper.agent.notify.events import EventKind
from rabbitkeeper.coordinator.model.event_ids import lead_taken
from rabbitkeeper.coordinator.model.records import HistoryEntry, MaintenanceRecord, MemberStatus, utcnow
from rabbitkeeper.coordinator.model.view import GroupView
from rabbitkeeper.coordinator.policy.election import Decision

LOG = logging.getLogger("rabbitkeeper.agent")


class Campaign:
    """One campaign at a time. Belongs to the loop's thread.

    Args:
        check: what confirms a lead.
        membership: our part in the group.
        announcer: who we are.
        clock: monotonic seconds.
        lease_valid: whether our session is certain to live at a moment.

    Attributes:
        lead: the lead that was taken last.
    """

    def __init__(
        self,
        check: LeadCheck,
        membership: Membership,
        announcer: Announcer,
        *,
        clock: Callable[[], float],
        lease_valid: Callable[[float], bool],
    ) -> None:
        self._check = check
        self._membership = membership
        self._announcer = announcer
        self._clock = clock
        self._lease_valid = lease_valid
        self._cause: str | None = None  # of the campaign under way
        self.lead: HistoryEntry | None = None

    def rest(self, now: float, status: MemberStatus, policy: HealthPolicy) -> float | None:
        """Not campaigning in this turn.

        Returns:
            When there is something to do by the clock alone, monotonic seconds.
        """
        self._cause = None
        return self._check.idle(now, status, policy)

    def run(self, decision: Decision, policy: HealthPolicy, *, alarmed: bool = False) -> None:
        """Go on campaigning, and take the lead once that is confirmed.

        Args:
            decision: to campaign, of this turn.
            policy: for how long to try.
            alarmed: our broker has an alarm, and so has everybody else.
        """
        # What had happened when the campaign began: until it ends the old leader's state may have moved on.
        cause = self._cause = self._cause or decision.cause or "campaign"
        result = self._check.run(policy, blocked=alarmed)
        if result is None:
            return
        now, membership = self._clock(), self._membership
        if not self._lease_valid(now):
            self._check.ended(now, won=False)
            return
        view = membership.view
        last = view.last_change if view is not None else None
        operation = decision.operation or (None if view is None else _maintained(view, last))
        vacant_since = membership.vacant_since
        epoch = membership.take_lead(cause)
        now = self._clock()
        self._check.ended(now, won=epoch is not None)
        if epoch is None:
            return
        vacant = now - vacant_since if vacant_since is not None else 0.0
        LOG.info(
            "took the lead: epoch %d, %s; vacant for %.3f s, of which %.3f s until a majority confirmed "
            "(attempt %d)",
            epoch,
            cause,
            vacant,
            result.took,
            result.attempts,
            extra={
                "epoch": epoch,
                "event": EventKind.LEADER_ELECTED.value,
                "event_id": lead_taken(epoch, membership.incarnation),
                "operation_id": None if operation is None else operation.id,
                "cause": cause,
            },
        )
        self.lead = self._announcer.change(
            epoch,
            last.to if last is not None else None,
            cause,
            utcnow(),
            {"vacant": vacant, "canary": result.took},
            operation,
            incarnation=membership.incarnation,
        )
        membership.record_change(self.lead)


def _maintained(view: GroupView, last: HistoryEntry | None) -> MaintenanceRecord | None:
    """The maintenance for which the member that led last has given up its lead."""
    pending = None if view.maintenance is None else view.maintenance.record
    if pending is None or last is None or last.to not in pending.members[:1]:
        return None
    return pending

"""A planned move of the lead: what the pending ``switchover`` asks for now. Pure.

The leader gives up a lead that is well only for a candidate that can take it, and the others leave the
vacant lead to that candidate for :data:`PATIENCE` seconds. If it does not take it, they do: an operator's
wish must not leave the group without a leader. Clients stay on the old broker, which goes on working, until
the new leader is announced.

A request is bound to the epoch that its operator saw. When the lead has moved otherwise before it was
carried out, it is void: what was decided about one leader is not applied to another.
"""

from dataclasses import dataclass

from rabbitkeeper.coordinator.model.records import (
    OperationKind,
    OperationState,
    SwitchoverRecord,
)
from rabbitkeeper.coordinator.model.view import GroupView, LeaderView
from rabbitkeeper.coordinator.policy.ranking import rank
from rabbitkeeper.coordinator.policy.schedule import seconds_of

PATIENCE = 3.0  # seconds that a vacant lead is left to the candidate; its canary takes 0.02 to 0.6
EXPIRES = 30.0  # seconds after which a move into a vacant lead is given up, and reported


@dataclass(frozen=True, slots=True)
class SwitchoverPlan:
    """What is to become of the pending request. Of ``candidate`` and ``ended`` one is set when it is due."""

    record: SwitchoverRecord
    candidate: str | None = None  # who is to take the lead now
    ended: tuple[OperationState, str] | None = None  # how it has ended, with a sentence

    @property
    def forced(self) -> bool:
        """Whether pause and ``no_failover`` do not stand in the way."""
        return self.record.kind is OperationKind.FAILOVER

    @property
    def asked_by(self) -> str:
        """Who asked for it and why, as a clause."""
        reason = f": {self.record.reason}" if self.record.reason else ""
        return f"{self.record.kind} {self.record.id} by {self.record.by}{reason}"


def plan_switchover(view: GroupView, wall: float, waited: float = 0.0) -> SwitchoverPlan | None:
    """Say what the pending request asks for.

    Args:
        view: a snapshot.
        wall: seconds since 1970, for a request with an appointed time.
        waited: seconds for which the lead has been vacant with this request there; 0 while there is a leader.

    Returns:
        None if nothing is pending.
    """
    if view.switchover is None:
        return None
    record = view.switchover.record
    # Nobody of ours writes a time that cannot be read: due at once, and then reported like any other.
    due = record.at is None or wall >= (seconds_of(record.at) or 0.0)
    if view.leader is not None and view.leader.epoch != record.epoch:
        return SwitchoverPlan(record, ended=_moved(record, view.leader, due=due))
    if not due:
        return SwitchoverPlan(record)
    if view.pause is not None and record.kind is not OperationKind.FAILOVER:
        return SwitchoverPlan(
            record, ended=(OperationState.FAILED, f"the group is paused by {view.pause.by}")
        )
    if view.leader is None and waited >= EXPIRES:
        who = record.to or "any other member"
        return SwitchoverPlan(
            record,
            ended=(OperationState.FAILED, f"{who} could not take the vacant lead within {EXPIRES:g} s"),
        )
    candidate, why_not = _candidate(view, record)
    if candidate is None:
        return SwitchoverPlan(record, ended=(OperationState.FAILED, why_not))
    return SwitchoverPlan(record, candidate)


def why_unfit(view: GroupView, name: str, *, forced: bool) -> str | None:
    """Why a member cannot take the lead, a sentence that names what would do; None if it can.

    Args:
        forced: whether its tag ``no_failover`` does not matter.
    """
    member = view.members.get(name)
    if member is None:
        there = ", ".join(sorted(view.members)) or "none"
        return f"{name} is not registered; the members there are: {there}"
    record = member.record
    if not record.state.may_lead:
        why = f" ({'; '.join(record.reasons)})" if record.reasons else ""
        return f"{name} is {record.state}{why}; only a running member can take the lead"
    if record.tags.no_failover and not forced:
        return f"{name} is tagged no_failover; failover --to {name} gives it the lead all the same"
    return None


def best_candidate(view: GroupView, besides: str | None) -> str | None:
    """The member that takes the lead if nobody is named; None if there is none.

    Args:
        besides: who leads now.
    """
    return next((name for name in rank(view) if name != besides), None)


def _candidate(view: GroupView, record: SwitchoverRecord) -> tuple[str | None, str]:
    if record.to is None:
        best = best_candidate(view, record.previous)
        return best, "no other member is running and may lead"
    why = why_unfit(view, record.to, forced=record.kind is OperationKind.FAILOVER)
    return (None, why) if why is not None else (record.to, "")


def _moved(record: SwitchoverRecord, leader: LeaderView, *, due: bool) -> tuple[OperationState, str]:
    name, epoch = leader.record.name, leader.epoch
    # By its cause and not by its time alone: the clock of the agent that looks may be behind.
    taken = leader.record.cause == record.kind or (due and record.to is None and name != record.previous)
    if taken or name == record.to:
        return OperationState.DONE, f"{name} leads (epoch {epoch})"
    if due:
        who = record.to or "no other member"
        return OperationState.FAILED, f"{who} did not take the lead; {name} leads (epoch {epoch})"
    was = record.previous or "nobody"
    return (
        OperationState.FAILED,
        f"the lead moved from {was} to {name} (epoch {epoch}) before the appointed time; ask again",
    )

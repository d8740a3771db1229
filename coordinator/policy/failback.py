"""Whether a better member asks for the lead: failback, where the operator has configured it. Pure.

A lead is never taken from a leader that is well. The member that should have it asks for a switchover, as an
operator would, and only when

- it has been running without a break for the configured time, so that a broker that comes and goes does not
  take the lead along;
- it is better by what an operator has said (preferred site, then priority) and the best of those;
- nothing else is going on: no pause, no request, no maintenance; and
- no operator has put the lead where it is: what he has asked for stays until the lead moves otherwise.
"""

from rabbitkeeper.coordinator.model.records import OperationKind
from rabbitkeeper.coordinator.model.view import GroupView
from rabbitkeeper.coordinator.policy.ranking import OwnState, merit, preferred_site, rank

AN_OPERATORS = frozenset({str(OperationKind.SWITCHOVER), str(OperationKind.FAILOVER)})  # causes of a lead


def reason_to_ask(view: GroupView, me: OwnState, running_for: float, after: float) -> str | None:
    """Why the member ``me`` asks for the lead now, a clause; None if it does not.

    Args:
        view: a snapshot.
        me: the agent that asks.
        running_for: seconds for which its broker has been running without a break.
        after: seconds that it must have been.
    """
    if not me.status.may_lead or me.tags.no_failover or running_for < after:
        return None
    if view.pause is not None or view.switchover is not None or view.maintenance is not None:
        return None
    leader = None if view.leader is None else view.members.get(view.leader.record.name)
    if leader is None or view.leader is None or not view.leads(leader.owner):
        return None
    name = leader.record.name
    if name == me.name or view.leader.record.cause in AN_OPERATORS:
        return None
    site = preferred_site(view)
    mine, theirs = merit(me.tags, site), merit(leader.record.tags, site)
    if mine >= theirs:
        return None
    if min(rank(view, me), key=lambda other: _merit(view, me, other)) != me.name:
        return None
    if mine[0] < theirs[0]:
        return f"site {site} is preferred, and {name} is not of it"
    return f"priority {me.tags.priority}, {name} has {leader.record.tags.priority}"


def _merit(view: GroupView, me: OwnState, name: str) -> tuple[bool, int, str]:
    tags = me.tags if name == me.name else view.members[name].record.tags
    return (*merit(tags, preferred_site(view)), name)

"""Whether a member's broker may be taken down now: killed, restarted or drained. Pure.

Brokers that stall together, on a host that is overloaded or over a store that hangs, all look hung to their
agents. Each is well again a moment later, unless it is killed: three that had stalled for 3.5 s were all
killed. So a broker is taken down only while a majority of the *others* is well, by their own agents' word;
that it is one at a time is the lock's part (``store/disruption_lock.py``).
"""

from rabbitkeeper.coordinator.model.view import GroupView


def why_not(view: GroupView, name: str) -> str | None:
    """Why the member's broker must not be taken down now, a sentence; None if it may.

    Args:
        view: a fresh snapshot.
        name: the member's.
    """
    pending = None if view.maintenance is None else view.maintenance.record
    if pending is not None and pending.step is not None and pending.members[:1] not in ((), (name,)):
        return f"{pending.members[0]} is being restarted ({pending.kind} {pending.id})"
    return no_majority(view, name)


def no_majority(view: GroupView, name: str) -> str | None:
    """Say of which other brokers too few are well for a majority of them; None if enough are.

    Args:
        view: a snapshot.
        name: the member's, which is not counted.
    """
    others = members(view) - {name}
    well = {other for other in others if other in view.members and view.members[other].record.state.serves}
    if not others or 2 * len(well) > len(others):
        return None
    ill = sorted(
        f"{other} is {view.members[other].record.state}"
        if other in view.members
        else f"{other} is not registered"
        for other in others - well
    )
    return f"no majority of the other brokers is well: {', '.join(ill)}"


def members(view: GroupView) -> set[str]:
    """Say whose brokers are the cluster; while its record is lost or spoilt, those that are registered."""
    if view.cluster is None:
        return set(view.members)
    return {node.member for node in view.cluster.record.nodes.values()}

"""A group's members as a table, and what does not fit into one: for ``list`` and ``watch``."""

from rich.text import Text

from rabbitkeeper.coordinator.cli.output import PlainTable, age, clock, table
from rabbitkeeper.coordinator.model.records import MemberStatus
from rabbitkeeper.coordinator.model.view import GroupView

STYLES = {
    MemberStatus.RUNNING: "green",
    MemberStatus.STARTING: "yellow",
    MemberStatus.ALARMED: "yellow",
    MemberStatus.MINORITY: "yellow",
    MemberStatus.DRAINING: "yellow",
}


def members_table(group: str, view: GroupView) -> PlainTable:
    leader = view.leader
    epoch = "no leader" if leader is None else f"epoch {leader.epoch}"
    made = table(
        f"group {group}, {epoch}", "member", "role", "state", "for", "clients connect to", "node", "priority"
    )
    for name in sorted(view.members):
        member = view.members[name]
        record = member.record
        leads = view.leads(member.owner)
        role = Text("leader", style="bold") if leads else "no failover" if record.tags.no_failover else ""
        made.add_texts(
            name,
            role,
            Text(record.state.value, style=STYLES.get(record.state, "bold red")),
            age(record.since),
            record.amqp or record.amqps or "",
            record.node,
            str(record.tags.priority),
        )
    return made


def notes(view: GroupView) -> list[str]:
    """What does not fit into a row."""
    found = [
        f"{name} is {view.members[name].record.state}: {'; '.join(view.members[name].record.reasons)}"
        for name in sorted(view.members)
        if view.members[name].record.reasons
    ]
    warned: dict[str, list[str]] = {}
    for name in sorted(view.members):
        for warning in view.members[name].record.warnings:
            warned.setdefault(warning, []).append(name)
    found += [f"Warning of {', '.join(names)}: {warning}" for warning, names in warned.items()]
    if not view.members:
        found.append("No agent is registered.")
    if view.pause is not None:
        why = f": {view.pause.reason}" if view.pause.reason else ""
        found.append(f"Paused by {view.pause.by}, nobody takes the lead by himself{why}")
    if view.switchover is not None:
        move = view.switchover.record
        at = f", for {clock(move.at)}" if move.at is not None else ""
        found.append(f"Pending: {move.kind} {move.id} to {move.to or 'the best'} by {move.by}{at}")
    if view.maintenance is not None:
        under_way = view.maintenance.record
        first = f" ({under_way.step})" if under_way.step is not None else ""
        to_come = ", ".join(under_way.members)
        found.append(
            f"Under way: {under_way.kind} {under_way.id} by {under_way.by}{first}: {to_come} to come"
        )
    for name in sorted(view.members):
        taken = view.members[name].record.config
        if taken is not None and taken.problem is not None:
            found.append(f"{name}, group configuration: {taken.problem}")
        if taken is not None and taken.restart_pending:
            found.append(f"{name}: restart pending for {', '.join(taken.restart_pending)}")
    return found

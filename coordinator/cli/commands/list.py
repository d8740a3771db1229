"""``rabbitkeeper list``: the members of a group, how they are and who leads."""

import click
from rich.text import Text

from rabbitkeeper.coordinator.cli.output import PlainTable, age, clock, say, show, table
from rabbitkeeper.coordinator.cli.root import ChosenGroup, exposures
from rabbitkeeper.coordinator.model.records import MemberStatus
from rabbitkeeper.coordinator.model.render import render_members, render_record
from rabbitkeeper.coordinator.model.view import GroupView
from rabbitkeeper.coordinator.store.reader import GroupReader

STYLES = {
    MemberStatus.RUNNING: "green",
    MemberStatus.STARTING: "yellow",
    MemberStatus.ALARMED: "yellow",
    MemberStatus.MINORITY: "yellow",
    MemberStatus.DRAINING: "yellow",
}


@click.command("list")
@click.pass_obj
def command(chosen: ChosenGroup) -> None:
    """Show the members, their states and who leads."""
    with chosen.backend() as (backend, group):
        view = GroupReader(backend, group, with_history=False).read(watch=False)
        exposed = exposures(backend, group, chosen.access.identity)
    below = [*notes(view), *(f"Warning: {sentence}." for sentence in exposed)]
    show(chosen.output, {**content(group, view), "exposed": exposed}, members_table(group, view), below)
    for problem in view.problems:
        say(f"rabbitkeeper: {problem}", err=True)


def content(group: str, view: GroupView) -> dict[str, object]:
    leader = view.leader
    return {
        "group": group,
        "leader": None if leader is None else leader.record.name,
        "epoch": None if leader is None else leader.epoch,
        "paused": view.pause is not None,
        "switchover": None if view.switchover is None else render_record(view.switchover.record),
        "maintenance": None if view.maintenance is None else render_record(view.maintenance.record),
        "members": render_members(view),
        "problems": [*view.problems],
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

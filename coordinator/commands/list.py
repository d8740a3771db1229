"""``rabbitkeeper list``: the members of a group, how they are and who leads."""

import click
from rich.table import Table
from rich.text import Text

from rabbitkeeper.coordinator.cli import Target
from rabbitkeeper.coordinator.output import age, show, table
from rabbitkeeper.coordinator.records import MemberStatus
from rabbitkeeper.coordinator.snapshot import GroupReader
from rabbitkeeper.coordinator.view import GroupView

STYLES = {
    MemberStatus.RUNNING: "green",
    MemberStatus.STARTING: "yellow",
    MemberStatus.ALARMED: "yellow",
    MemberStatus.MINORITY: "yellow",
    MemberStatus.DRAINING: "yellow",
}


@click.command("list")
@click.pass_obj
def command(target: Target) -> None:
    """Show the members, their states and who leads."""
    with target.session() as (session, group):
        view = GroupReader(session, group, with_history=False).read(watch=False)
    show(target.output, _content(group, view), _table(group, view), _notes(view))
    for problem in view.problems:
        click.echo(f"rabbitkeeper: {problem}", err=True)


def _content(group: str, view: GroupView) -> dict[str, object]:
    leader = view.leader
    return {
        "group": group,
        "leader": None if leader is None else leader.record.name,
        "epoch": None if leader is None else leader.epoch,
        "paused": view.pause is not None,
        "members": [
            {
                **view.members[name].record.model_dump(mode="json", exclude={"v"}),
                "leader": leader is not None and leader.owner == view.members[name].owner,
            }
            for name in sorted(view.members)
        ],
        "problems": [*view.problems],
    }


def _table(group: str, view: GroupView) -> Table:
    leader = view.leader
    epoch = "no leader" if leader is None else f"epoch {leader.epoch}"
    made = table(
        f"group {group}, {epoch}", "member", "role", "state", "for", "clients connect to", "node", "priority"
    )
    for name in sorted(view.members):
        member = view.members[name]
        record = member.record
        leads = leader is not None and leader.owner == member.owner
        role = Text("leader", style="bold") if leads else "no failover" if record.tags.no_failover else ""
        made.add_row(
            name,
            role,
            Text(record.state.value, style=STYLES.get(record.state, "bold red")),
            age(record.since),
            record.amqp or record.amqps or "",
            record.node,
            str(record.tags.priority),
        )
    return made


def _notes(view: GroupView) -> list[str]:
    """What does not fit into a row."""
    notes = [
        f"{name} is {view.members[name].record.state}: {'; '.join(view.members[name].record.reasons)}"
        for name in sorted(view.members)
        if view.members[name].record.reasons
    ]
    if not view.members:
        notes.append("No agent is registered.")
    if view.pause is not None:
        why = f": {view.pause.reason}" if view.pause.reason else ""
        notes.append(f"Paused by {view.pause.by}, nobody takes the lead by himself{why}")
    return notes

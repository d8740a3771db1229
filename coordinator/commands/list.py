"""``rabbitkeeper list``: the members of a group, how they are and who leads."""

import click
from rich.table import Table
from rich.text import Text

from rabbitkeeper.coordinator.cli import Target
from rabbitkeeper.coordinator.output import age, show
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
    show(target.output, _content(group, view), _table(group, view))
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
                "leader": leader is not None and leader.record.name == name,
            }
            for name in sorted(view.members)
        ],
        "problems": [*view.problems],
    }


def _table(group: str, view: GroupView) -> Table:
    leader = view.leader
    epoch = "no leader" if leader is None else f"epoch {leader.epoch}"
    paused = ", paused: nobody takes the lead by himself" if view.pause is not None else ""
    table = Table(title=f"group {group}, {epoch}{paused}", title_justify="left", pad_edge=False)
    for heading in ("member", "role", "state", "for", "clients connect to", "node", "why"):
        table.add_column(heading)
    for name in sorted(view.members):
        record = view.members[name].record
        leads = leader is not None and leader.record.name == name
        table.add_row(
            name,
            Text("leader", style="bold") if leads else "",
            Text(record.state.value, style=STYLES.get(record.state, "bold red")),
            age(record.since),
            record.amqp or "",
            record.node,
            "; ".join(record.reasons),
        )
    return table

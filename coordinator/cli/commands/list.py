"""``rabbitkeeper list``: the members of a group, how they are and who leads."""

import click

from rabbitkeeper.coordinator.cli.members import members_table, notes
from rabbitkeeper.coordinator.cli.output import say, show
from rabbitkeeper.coordinator.cli.root import ChosenGroup, exposures
from rabbitkeeper.coordinator.model.render import render_members, render_record
from rabbitkeeper.coordinator.model.view import GroupView
from rabbitkeeper.coordinator.store.reader import GroupReader


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
        "incarnation": view.incarnation,
        "paused": view.pause is not None,
        "switchover": None if view.switchover is None else render_record(view.switchover.record),
        "maintenance": None if view.maintenance is None else render_record(view.maintenance.record),
        "members": render_members(view),
        "problems": [*view.problems],
    }

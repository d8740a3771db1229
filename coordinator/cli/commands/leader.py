"""``rabbitkeeper leader``: who leads; exit status 1 when nobody does."""

import sys

import click

from rabbitkeeper.coordinator.cli.output import PlainTable, age, clock, say, show
from rabbitkeeper.coordinator.cli.root import ChosenGroup
from rabbitkeeper.coordinator.model.render import render_record
from rabbitkeeper.coordinator.store.reader import GroupReader


@click.command("leader")
@click.pass_obj
def command(chosen: ChosenGroup) -> None:
    """Show who leads, since when and why."""
    with chosen.backend() as (backend, group):
        view = GroupReader(backend, group, with_history=False).read(watch=False)
    if view.leader is None:
        why = view.leader_unreadable or "it may be electing; rabbitkeeper list shows its members"
        say(f"rabbitkeeper: group {group!r} has no leader: {why}", err=True)
        sys.exit(1)
    record, epoch = view.leader.record, view.leader.epoch
    table = PlainTable(show_header=False, box=None, pad_edge=False)
    for key, value in (
        ("leader", record.name),
        ("clients connect to", record.amqp or record.amqps or ""),
        ("node", record.node),
        ("epoch", str(epoch)),
        ("since", f"{clock(record.since)} ({age(record.since)})"),
        ("cause", record.cause),
    ):
        table.add_texts(key, value)
    show(chosen.output, {**render_record(record), "epoch": epoch, "incarnation": view.incarnation}, table)

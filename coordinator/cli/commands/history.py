"""``rabbitkeeper history``: how the lead has changed."""

import click

from rabbitkeeper.coordinator.cli.output import clock, show, table
from rabbitkeeper.coordinator.cli.root import ChosenGroup
from rabbitkeeper.coordinator.store.reader import unknown_group
from rabbitkeeper.coordinator.store.store import Store


@click.command("history")
@click.option(
    "-n", "--last", type=click.IntRange(min=1), default=20, show_default=True, help="How many changes."
)
@click.pass_obj
def command(chosen: ChosenGroup, last: int) -> None:
    """Show the last changes of the lead, oldest first."""
    with chosen.backend() as (backend, group):
        store = Store(backend, group)
        if backend.stat(store.paths.root) is None:
            raise unknown_group(backend, group)
        entries = store.history()[-last:]
    made = table(f"group {group}", "epoch", "at", "from", "to", "cause", "by", "timings", "operation")
    for entry in entries:
        timings = ", ".join(f"{phase} {seconds:.2f} s" for phase, seconds in entry.timings.items())
        reason = f": {entry.reason}" if entry.reason else ""
        made.add_texts(
            str(entry.epoch),
            clock(entry.at),
            entry.previous or "",
            entry.to,
            entry.cause,
            entry.by,
            timings,
            f"{entry.operation or ''}{reason}",
        )
    notes = [] if entries else ["The group has had no leader yet."]
    show(chosen.output, [entry.model_dump(mode="json", by_alias=True) for entry in entries], made, notes)

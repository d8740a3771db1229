"""``rabbitkeeper history``: how the lead has changed."""

import click
from rich.table import Table

from rabbitkeeper.coordinator.cli import Target
from rabbitkeeper.coordinator.output import show
from rabbitkeeper.coordinator.snapshot import GroupReader
from rabbitkeeper.coordinator.store import Store


@click.command("history")
@click.option(
    "-n", "--last", type=click.IntRange(min=1), default=20, show_default=True, help="How many changes."
)
@click.pass_obj
def command(target: Target, last: int) -> None:
    """Show the last changes of the lead, oldest first."""
    with target.session() as (session, group):
        GroupReader(session, group, with_history=False).read(watch=False)  # names the groups if it is unknown
        entries = Store(session, group).history()[-last:]
    table = Table(title=f"group {group}", title_justify="left", pad_edge=False)
    for heading in ("epoch", "at", "from", "to", "cause", "by", "timings"):
        table.add_column(heading)
    for entry in entries:
        timings = ", ".join(f"{phase} {seconds:.2f} s" for phase, seconds in entry.timings.items())
        table.add_row(
            str(entry.epoch), entry.at, entry.previous or "", entry.to, entry.cause, entry.by, timings
        )
    show(target.output, [entry.model_dump(mode="json", by_alias=True) for entry in entries], table)

"""``rabbitkeeper operations``: what was asked for, by whom, and what has become of it."""

import sys

import click

from rabbitkeeper.coordinator.cli.options import Asking, asks, operations_table, show_outcome
from rabbitkeeper.coordinator.cli.output import say, show
from rabbitkeeper.coordinator.cli.root import ChosenGroup
from rabbitkeeper.coordinator.operations.service import OperationService
from rabbitkeeper.coordinator.store.reader import unknown_group
from rabbitkeeper.coordinator.store.store import Store


@click.group("operations", invoke_without_command=True)
@click.option(
    "-n", "--last", type=click.IntRange(min=1), default=20, show_default=True, help="How many operations."
)
@click.pass_context
def command(context: click.Context, last: int) -> None:
    """Show the last operations, oldest first; or one, or cancel it."""
    if context.invoked_subcommand is not None:
        return
    chosen: ChosenGroup = context.obj
    with chosen.backend() as (backend, group):
        store = Store(backend, group)
        if backend.stat(store.paths.root) is None:
            raise unknown_group(backend, group)
        entries = list(OperationService(store).operations()[-last:])
    notes = [] if entries else ["Nothing has been asked for yet."]
    content = [entry.model_dump(mode="json") for entry in entries]
    show(chosen.output, content, operations_table(group, entries), notes)


@command.command("show")
@click.argument("operation")
@click.pass_obj
def show_one(chosen: ChosenGroup, operation: str) -> None:
    """Show what has become of OPERATION; exit status 1 if it failed or is not known."""
    with chosen.backend() as (backend, group):
        entry = OperationService(Store(backend, group)).outcome(operation)
    if entry is None:
        say(f"rabbitkeeper: no operation {operation!r} is in the log of group {group!r}", err=True)
        sys.exit(1)
    show_outcome(chosen.output, entry, entry.outcome or "")
    if entry.state == "failed":
        sys.exit(1)


@command.command("cancel")
@click.argument("operation")
@asks(0)
@click.pass_obj
def cancel(chosen: ChosenGroup, operation: str, asking: Asking) -> None:
    """End OPERATION, which is pending or under way; what it has done already stays."""
    with chosen.backend() as (backend, group):
        operator = OperationService(Store(backend, group))
        if asking.dry_run:
            entry = operator.outcome(operation)
        else:
            entry = operator.cancel(operation, by=asking.by, reason=asking.reason)
    if entry is None:
        say(f"rabbitkeeper: no operation {operation!r} is in the log of group {group!r}", err=True)
        sys.exit(1)
    show_outcome(chosen.output, entry, "it would be cancelled", dry_run=asking.dry_run)

"""``rabbitkeeper pause`` and ``resume``: maintenance without automatic failover."""

import click

from rabbitkeeper.coordinator.cli.options import Asking, ask, asks
from rabbitkeeper.coordinator.cli.root import ChosenGroup


@click.command("pause")
@asks(0)
@click.pass_obj
def pause(chosen: ChosenGroup, asking: Asking) -> None:
    """Have agents take no lead and start or end no broker until resume."""
    ask(
        chosen,
        asking,
        lambda operator: operator.pause(by=asking.by, reason=asking.reason, dry_run=asking.dry_run),
    )


@click.command("resume")
@asks(0)
@click.pass_obj
def resume(chosen: ChosenGroup, asking: Asking) -> None:
    """End the pause."""
    ask(
        chosen,
        asking,
        lambda operator: operator.resume(by=asking.by, reason=asking.reason, dry_run=asking.dry_run),
    )

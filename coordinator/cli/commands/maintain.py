"""``rabbitkeeper restart``, ``rolling-restart`` and ``member remove``: carried out by the agents."""

import click

from rabbitkeeper.coordinator.cli.options import Asking, ask, asks
from rabbitkeeper.coordinator.cli.root import ChosenGroup

_RESTART = 300.0  # seconds
_ROLLING = 1800.0
_REMOVE = 120.0
_FORCE = "Also if the majority is lost meanwhile."


@click.command("restart")
@click.argument("name")
@click.option("--force", is_flag=True, help=_FORCE)
@asks(_RESTART)
@click.pass_obj
def restart(chosen: ChosenGroup, name: str, force: bool, asking: Asking) -> None:
    """Restart the broker of member NAME: lead handed over, drained, restarted."""
    ask(
        chosen,
        asking,
        lambda operator: operator.restart(
            name, by=asking.by, reason=asking.reason, force=force, dry_run=asking.dry_run
        ),
    )


@click.command("rolling-restart")
@click.option("--force", is_flag=True, help=_FORCE)
@asks(_ROLLING)
@click.pass_obj
def rolling_restart(chosen: ChosenGroup, force: bool, asking: Asking) -> None:
    """Restart all brokers one after the other, never below a majority, the leader's last."""
    ask(
        chosen,
        asking,
        lambda operator: operator.rolling_restart(
            by=asking.by, reason=asking.reason, force=force, dry_run=asking.dry_run
        ),
    )


@click.group("member")
def member() -> None:
    """Members of the cluster."""


@member.command("remove")
@click.argument("name")
@asks(_REMOVE)
@click.pass_obj
def remove(chosen: ChosenGroup, name: str, asking: Asking) -> None:
    """Have the cluster forget member NAME, which is gone, and the replicas on it."""
    ask(
        chosen,
        asking,
        lambda operator: operator.remove(name, by=asking.by, reason=asking.reason, dry_run=asking.dry_run),
    )

"""``rabbitkeeper switchover`` and ``failover``: have the lead moved."""

import click

from rabbitkeeper.coordinator.cli.options import Asking, ask, asks
from rabbitkeeper.coordinator.cli.root import ChosenGroup

_WAIT = 30.0  # seconds; a switchover takes a fraction of one


@click.command("switchover")
@click.option("--to", metavar="NAME", help="The member to lead.  [default: the best]")
@click.option("--at", metavar="TIME", help="Not before: 2026-01-31T22:00Z, or +10m.  [default: now]")
@asks(_WAIT)
@click.pass_obj
def switchover(chosen: ChosenGroup, to: str | None, at: str | None, asking: Asking) -> None:
    """Move the lead from a leader that is well; both brokers stay usable, so that clients move unhurt."""
    ask(
        chosen,
        asking,
        lambda operator: operator.switchover(
            by=asking.by, to=to, at=at, reason=asking.reason, dry_run=asking.dry_run
        ),
    )


@click.command("failover")
@click.option("--to", metavar="NAME", required=True, help="The member to lead.")
@asks(_WAIT)
@click.pass_obj
def failover(chosen: ChosenGroup, to: str, asking: Asking) -> None:
    """Give the lead to a member: without a leader, during a pause, against its tag no_failover."""
    ask(
        chosen,
        asking,
        lambda operator: operator.failover(by=asking.by, to=to, reason=asking.reason, dry_run=asking.dry_run),
    )

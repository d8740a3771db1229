"""``rabbitkeeper restart``, ``rolling-restart`` and ``member remove``: carried out by the agents."""

from collections.abc import Callable

import click

from rabbitkeeper.coordinator.cli.options import Asking, ask, asks
from rabbitkeeper.coordinator.cli.root import ChosenGroup
from rabbitkeeper.coordinator.operations.service import OperationService, Submitted

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
@click.argument("name", required=False)
@click.option("--node", metavar="NODE", help="A node that belongs to no member any more, as in rabbit@host1.")
@asks(_REMOVE)
@click.pass_obj
def remove(chosen: ChosenGroup, name: str | None, node: str | None, asking: Asking) -> None:
    """Have the cluster forget member NAME, which is gone, or a node, and the replicas on it."""
    if (name is None) == (node is None) or (node is not None and "@" not in node):
        raise click.UsageError("Whom? Give the member's NAME, or --node NODE as in rabbit@host1.")
    target = name or node or ""
    _ask_to_forget(chosen, asking, OperationService.remove, target)


@member.command("replace")
@click.argument("name")
@asks(_REMOVE)
@click.pass_obj
def replace(chosen: ChosenGroup, name: str, asking: Asking) -> None:
    """Have the cluster forget the node that member NAME had on a machine that is gone.

    The agent of the new machine does so by itself when it joins, if the old node is gone by then.
    """
    _ask_to_forget(chosen, asking, OperationService.replace, name)


@member.command("reinit")
@click.argument("name")
@asks(_REMOVE)
@click.pass_obj
def reinit(chosen: ChosenGroup, name: str, asking: Asking) -> None:
    """Have the cluster forget the node of member NAME, which has lost its disk; then it joins again."""
    _ask_to_forget(chosen, asking, OperationService.reinit, name)


def _ask_to_forget(
    chosen: ChosenGroup, asking: Asking, request: Callable[..., Submitted], target: str
) -> None:
    ask(
        chosen,
        asking,
        lambda operator: request(
            operator, target, by=asking.by, reason=asking.reason, dry_run=asking.dry_run
        ),
    )

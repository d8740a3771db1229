"""``rabbitkeeper secure``: gives a group's znodes to the identity of its agents."""

import time
from pathlib import Path

import click

from rabbitkeeper.coordinator.cli.output import PlainTable, say, show
from rabbitkeeper.coordinator.cli.root import ChosenGroup, read_identity
from rabbitkeeper.coordinator.connect import check_reader, writer_name
from rabbitkeeper.coordinator.model.errors import ConfigurationError
from rabbitkeeper.coordinator.model.paths import GroupPaths
from rabbitkeeper.coordinator.model.permissions import EVERYBODY
from rabbitkeeper.coordinator.operations.securing import secure

_TAKEN_OVER = 15.0  # seconds in which agents that run take over the new permissions for what they create


@click.command("secure")
@click.option(
    "--reader",
    "readers",
    multiple=True,
    metavar="WHO",
    help="Who may read, as in zookeeper.readers; can be repeated.  [default: as now]",
)
@click.option(
    "--also",
    "also",
    multiple=True,
    metavar="FILE",
    help="Another identity that may write meanwhile: a file whose first line is USER:PASSWORD.",
)
@click.option(
    "--keep-open", is_flag=True, help="Everybody may still write: until all agents have the identity."
)
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=_TAKEN_OVER,
    show_default=True,
    metavar="SECONDS",
    help="After so long look again at what agents have created meanwhile.",
)
@click.option("--dry-run", is_flag=True, help="Say which znodes would be changed, change nothing.")
@click.pass_obj
def command(
    chosen: ChosenGroup,
    readers: tuple[str, ...],
    also: tuple[str, ...],
    keep_open: bool,
    wait: float,
    dry_run: bool,
) -> None:
    """Give the group's znodes to the identity in --zookeeper-auth, and to nobody else.

    An open group: secure --keep-open, then start each agent again with zookeeper.auth, then secure. Another
    identity: secure --also NEW with the old one, then each agent, then secure with the new one.
    """
    if chosen.access.identity is None:
        raise ConfigurationError("to whom? give --zookeeper-auth FILE, the identity of the group's agents")
    writers = [writer_name(read_identity(Path(file), "--also")) for file in also]
    writers += [EVERYBODY] if keep_open else []
    wanted = tuple(check_reader(reader) for reader in readers) or None
    with chosen.backend() as (backend, group):
        paths = GroupPaths(group)
        changed = secure(backend, paths, writers, wanted, dry_run=dry_run)
        if changed and not dry_run and wait:
            say(
                f"{len(changed)} znodes changed; in {wait:g} s again, for what has been created meanwhile",
                err=True,
            )
            deadline = time.monotonic() + wait
            while (left := deadline - time.monotonic()) > 0:
                backend.renew()
                backend.await_event(backend.events, min(1.0, left))
            changed = list(dict.fromkeys([*changed, *secure(backend, paths, writers, wanted)]))
    if chosen.output != "table":
        show(chosen.output, {"group": group, "changed": changed, "dry_run": dry_run}, PlainTable())
        return
    for path in changed:
        say(f"{'would be changed' if dry_run else 'changed'}: {path}")
    if not changed:
        say("nothing is to be changed")

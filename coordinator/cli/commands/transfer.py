"""``rabbitkeeper export`` and ``import``: a group's lasting records, to keep or to bring elsewhere."""

from pathlib import Path

import click

from rabbitkeeper.coordinator.cli.options import who_asks
from rabbitkeeper.coordinator.cli.output import PlainTable, as_json, say, show
from rabbitkeeper.coordinator.cli.root import ChosenGroup
from rabbitkeeper.coordinator.model.errors import ConfigurationError
from rabbitkeeper.coordinator.operations.transfer import export_group, import_group, parse_document
from rabbitkeeper.coordinator.store.store import Store


@click.command("export")
@click.pass_obj
def export(chosen: ChosenGroup) -> None:
    """Print the group's configuration, cluster and history as one JSON document."""
    with chosen.backend() as (backend, group):
        document = export_group(Store(backend, group))
    click.echo(as_json(document.fields_to_store(), indent=2))


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--into-existing",
    is_flag=True,
    help="The group is there: give it the configuration and the history; its cluster stays.",
)
@click.option("--dry-run", is_flag=True, help="Say which znodes would be written, write nothing.")
@click.pass_obj
def import_(chosen: ChosenGroup, file: Path, into_existing: bool, dry_run: bool) -> None:
    """Make the group in this ZooKeeper from what export has printed into FILE. It is paused at first."""
    try:
        document = parse_document(file.read_bytes(), str(file))
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror or error}") from None
    with chosen.backend() as (backend, group):
        written = import_group(
            Store(backend, group), document, by=who_asks(), into_existing=into_existing, dry_run=dry_run
        )
    if chosen.output != "table":
        show(chosen.output, {"group": group, "written": written, "dry_run": dry_run}, PlainTable())
        return
    for path in written:
        say(f"{'would be written' if dry_run else 'written'}: {path}")
    if not dry_run and not into_existing:
        say("the group is paused: rabbitkeeper resume, once its agents have come here")

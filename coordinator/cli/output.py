"""How the operator's commands show things: the same content as a table, as JSON or as YAML."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import click
import yaml
from rich.console import Console
from rich.table import Table

WIDE = 250  # columns where nobody looks: in a file or a pipe a row stays one line


def show(output: str, content: object, table: Table, notes: Sequence[str] = ()) -> None:
    """Print ``content`` as JSON or YAML, or ``table`` with ``notes`` below it."""
    match output:
        case "json":
            click.echo(json.dumps(content, indent=2, ensure_ascii=False))
        case "yaml":
            click.echo(yaml.safe_dump(content, sort_keys=False, allow_unicode=True).rstrip())
        case _:
            console = Console(highlight=False)
            if not console.is_terminal:
                console = Console(width=WIDE, highlight=False)
            console.print(table)
            for note in notes:
                console.print(note, markup=False)


def table(title: str, *headings: str) -> Table:
    """A table whose cells are never cut: addresses are there to be copied."""
    made = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="underline",
        box=None,
        padding=(0, 2, 0, 0),
    )
    for heading in headings:
        made.add_column(heading, no_wrap=True, overflow="fold")
    return made


def age(moment: str) -> str:
    """How long ago a record's time is, for people: ``"3 min"``; empty when it cannot be read."""
    try:
        seconds = (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
    except (ValueError, TypeError):
        return ""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def clock(moment: str) -> str:
    """A record's time to the second, as ``2026-01-31 12:00:00Z``; as it is when it cannot be read."""
    try:
        return datetime.fromisoformat(moment).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, TypeError):
        return str(moment)

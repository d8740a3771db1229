"""How the operator's commands show things: the same content as a table, as JSON or as YAML.

Everything that is shown may come from others: nothing of it is markup, and nothing reaches the terminal that
it would obey.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import click
import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rabbitkeeper.coordinator.model.text import is_plain, printable, printable_json

WIDE = 250  # columns where nobody looks: in a file or a pipe a row stays one line


class PlainTable(Table):
    """A table whose title and cells are plain text."""

    def add_texts(self, *cells: str | Text) -> None:
        """A row: a ``str`` is from outside, a ``Text`` has a style that we gave it."""
        self.add_row(*(plain(cell) if isinstance(cell, str) else cell for cell in cells))


def plain(text: str, style: str = "") -> Text:
    """What others have written, as nothing but that."""
    return Text(printable(text), style=style)


def say(text: str, *, err: bool = False) -> None:
    """A line, or lines of our own making, for people."""
    click.echo(printable(text, keep="\n"), err=err)


def as_json(content: object, *, indent: int | None = None) -> str:
    return printable_json(json.dumps(content, indent=indent, ensure_ascii=False))


def as_yaml(content: object) -> str:
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True).rstrip()
    if is_plain(text.replace("\n", "")):
        return text
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=False).rstrip()  # everything is escaped


def show(output: str, content: object, table: Table, notes: Sequence[str] = ()) -> None:
    """Print ``content`` as JSON or YAML, or ``table`` with ``notes`` below it."""
    match output:
        case "json":
            click.echo(as_json(content, indent=2))
        case "yaml":
            click.echo(as_yaml(content))
        case _:
            made = console()
            made.print(table)
            for note in notes:
                made.print(plain(note))


def console() -> Console:
    """Where tables go; nothing in a text is markup."""
    made = Console(highlight=False, markup=False, emoji=False)
    if made.is_terminal:
        return made
    return Console(width=WIDE, highlight=False, markup=False, emoji=False)


def table(title: str, *headings: str) -> PlainTable:
    """A table whose cells are never cut: addresses are there to be copied."""
    made = PlainTable(
        title=plain(title),
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
    except (ValueError, TypeError, OverflowError):
        return ""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def clock(moment: str) -> str:
    """A record's time to the second, as ``2026-01-31 12:00:00Z``; as it is when it cannot be read."""
    try:
        return datetime.fromisoformat(moment).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, TypeError, OverflowError):  # the last: before year 1 in UTC, or after 9999
        return str(moment)

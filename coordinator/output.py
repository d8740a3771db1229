"""How the operator's commands show things: the same content as a table, as JSON or as YAML."""

import json
from datetime import UTC, datetime
from typing import Any

import click
import yaml
from rich.console import Console
from rich.table import Table


def show(output: str, content: Any, table: Table) -> None:
    """Print ``content`` as JSON or YAML, or ``table``."""
    match output:
        case "json":
            click.echo(json.dumps(content, indent=2, ensure_ascii=False))
        case "yaml":
            click.echo(yaml.safe_dump(content, sort_keys=False, allow_unicode=True).rstrip())
        case _:
            Console().print(table)


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

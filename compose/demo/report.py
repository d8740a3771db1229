"""What the demo found: a line per fault and what became of all messages, for people and for machines."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from rabbitkeeper.compose.demo.message_log import Totals


@dataclass(frozen=True, slots=True)
class FaultResult:
    """One fault and what came of it. Times in seconds."""

    fault: str
    target: str  # what was broken
    role: str  # "leader" or "replica" if that is a member, else ""
    gap: float  # the longest time without a confirm, from the last one before the fault on
    new_leader: str | None  # None: the lead did not move
    elected: float | None  # from the fault to the new leader's znode
    absent: float  # from the fault until it was repaired, if it had to be; else 0
    whole: float | None  # from the fault until everything ran again; None: not in time


@dataclass(frozen=True, slots=True)
class Report:
    """The whole demo."""

    faults: tuple[FaultResult, ...]
    totals: Totals
    lost: tuple[int, ...]  # numbers of messages that were confirmed and never delivered
    failures: tuple[str, ...]
    seconds: float
    seed: int | None

    @property
    def passed(self) -> bool:
        """Nothing that was confirmed is lost, and every broken part came back."""
        return not self.lost and all(fault.whole is not None for fault in self.faults)

    def write_json(self, path: Path) -> None:
        """Everything, as JSON."""
        content = {"v": 1, "passed": self.passed, **asdict(self)}
        path.write_text(json.dumps(content, indent=2) + "\n")

    def show(self, console: Console) -> None:
        """Two tables and a verdict."""
        faults = Table(
            title="What was broken", title_justify="left", box=SIMPLE_HEAD, padding=0, show_edge=False
        )
        for heading in ("fault", "of", "was"):
            faults.add_column(heading, no_wrap=True)
        for heading in ("gap", "new leader", "elected", "whole"):
            faults.add_column(heading, justify="right", no_wrap=True)
        for one in self.faults:
            faults.add_row(
                one.fault,
                one.target,
                one.role,
                f"{one.gap:.2f} s",
                one.new_leader or "none",
                _seconds(one.elected) if one.elected is not None else "",
                _seconds(one.whole) if one.whole is not None else "[red]not in time[/]",
            )
        console.print(faults)
        console.print(
            "[dim]gap: the longest time without a confirm; elected, whole: from the fault until a new leader "
            "was announced, and until everything ran again[/]\n"
        )
        table = Table(title="What became of the messages", title_justify="left", pad_edge=False)
        totals = self.totals
        for heading in ("published", "confirmed", "delivered", "duplicated", "not confirmed", "lost"):
            table.add_column(heading, justify="right")
        lost = f"[bold red]{len(self.lost)}[/]" if self.lost else "[bold green]0[/]"
        numbers = (totals.published, totals.confirmed, totals.delivered, totals.duplicated, totals.failed)
        table.add_row(*(f"{number:,}" for number in numbers), lost)
        console.print(table)
        for failure in self.failures[:10]:
            console.print(f"not confirmed: {failure}", highlight=False, markup=False)
        if self.lost:
            console.print(f"[bold red]{len(self.lost)} confirmed messages are lost:[/] {self.lost[:20]}")
        elif not self.passed:
            console.print("[bold red]Nothing confirmed is lost, but not every member came back in time.[/]")
        else:
            console.print(f"[bold green]No confirmed message is lost.[/] {self.seconds:.0f} s in all.")


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value < 10 else f"{value:.0f} s"

"""How far a command is: a bar on a terminal, and nothing where nobody looks."""

from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from rabbitkeeper.coordinator.cli.output import plain, say


class Progress(Protocol):
    def show(self, done: int) -> None:
        """So many are done."""
        ...

    def say(self, text: str) -> None:
        """A line for people."""
        ...


class NoProgress:
    """Lines alone, on standard error."""

    def show(self, done: int) -> None:
        pass

    def say(self, text: str) -> None:
        say(text, err=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class BarOfProgress:
    """A bar that goes when the command ends.

    Args:
        what: is counted, as ``confirmed``.
        total: of them; None when that is not known.
    """

    def __init__(self, console: Console, what: str, total: int | None) -> None:
        self._bar = Bar(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(what),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task(what, total=total)

    def show(self, done: int) -> None:
        self._bar.update(self._task, completed=done)

    def say(self, text: str) -> None:
        self._bar.console.print(plain(text))

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()


def progress_on(console: Console, what: str, total: int | None) -> NoProgress | BarOfProgress:
    """The bar if ``console`` is a terminal."""
    return BarOfProgress(console, what, total) if console.is_terminal else NoProgress()

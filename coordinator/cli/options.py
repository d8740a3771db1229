"""What the commands that ask for something share: options, waiting for the outcome, and telling it."""

import functools
import getpass
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import click

from rabbitkeeper.coordinator.backend.interface import Backend
from rabbitkeeper.coordinator.cli.output import PlainTable, clock, say, show, table
from rabbitkeeper.coordinator.cli.root import ChosenGroup
from rabbitkeeper.coordinator.model.records import OperationEntry, OperationState
from rabbitkeeper.coordinator.model.text import has_lone_surrogate
from rabbitkeeper.coordinator.operations.service import OperationService, Submitted
from rabbitkeeper.coordinator.operations.submission import LONGEST_BY, LONGEST_REASON
from rabbitkeeper.coordinator.store.store import Store

Command = Callable[..., None]

_LOOK_AGAIN = 1.0  # seconds, should a watch be missed


@dataclass(frozen=True, slots=True)
class Asking:
    """How something is asked for."""

    by: str
    reason: str | None
    dry_run: bool
    wait: float  # seconds to wait for the outcome; 0: not at all


def asks(wait: float) -> Callable[[Command], Command]:
    """The options that all these commands have; they arrive as one :class:`Asking` named ``asking``.

    Args:
        wait: seconds that the command waits for the outcome by default; 0 for one that is done at once.
    """

    def decorate(function: Command) -> Command:
        @functools.wraps(function)  # with the options that it has already
        def called(
            *args: object,
            by: str | None,
            reason: str | None,
            dry_run: bool,
            wait: float = 0.0,
            **options: object,
        ) -> None:
            function(*args, asking=Asking(who_asks(by), reason, dry_run, wait), **options)

        decorated: Command = called
        if wait:
            decorated = click.option(
                "--wait",
                type=click.FloatRange(min=0),
                default=wait,
                show_default=True,
                metavar="SECONDS",
                help="How long to wait for the outcome; 0: only ask.",
            )(decorated)
        decorated = click.option(
            "--dry-run", is_flag=True, help="Check it, say what would be done, do nothing."
        )(decorated)
        decorated = click.option(
            "--by", type=_RecordText(LONGEST_BY), help="Who asks, for the record, beside USER@HOST."
        )(decorated)
        return click.option("--reason", type=_RecordText(LONGEST_REASON), help="Why, for the record.")(
            decorated
        )

    return decorate


def ask(chosen: ChosenGroup, asking: Asking, request: Callable[[OperationService], Submitted]) -> None:
    """Ask, show what was accepted, wait, show the outcome.

    Exits with 1 if it failed, or has not ended when the time to wait is over.

    Args:
        request: asks the operator for it.
    """
    with chosen.backend() as (backend, group):
        operator = OperationService(Store(backend, group))
        submitted = request(operator)
        entry = submitted.entry
        for warning in submitted.warnings:
            say(f"rabbitkeeper: note: {warning}", err=True)
        if asking.dry_run:
            show_outcome(chosen.output, entry, f"would be done: {submitted.sentence}", dry_run=True)
            return
        appointed = entry.at is not None
        if asking.wait and not entry.state.final and not appointed:
            if chosen.output == "table":
                say(f"{entry.kind} {entry.id}: {submitted.sentence}")
            entry = _await_outcome(backend, operator, entry, asking.wait)
        show_outcome(chosen.output, entry, submitted.sentence)
    waited_in_vain = bool(asking.wait) and not appointed and not entry.state.final
    if waited_in_vain:
        say(f"rabbitkeeper: {entry.id} has not ended within {asking.wait:g} s; it goes on", err=True)
    if waited_in_vain or entry.state is OperationState.FAILED:
        sys.exit(1)


def show_outcome(output: str, entry: OperationEntry, sentence: str, *, dry_run: bool = False) -> None:
    """One operation as it stands."""
    content = {**entry.model_dump(mode="json"), "sentence": sentence, "dry_run": dry_run}
    if dry_run:
        content["id"] = content["state"] = None
    if output != "table":
        show(output, content, PlainTable())
        return
    if dry_run:
        say(f"{entry.kind}, {sentence}")
    elif entry.state.final:
        say(f"{entry.kind} {entry.id} {entry.state}: {entry.outcome or sentence}")
    else:
        say(
            f"{entry.kind} {entry.id} is {entry.state}: {entry.outcome or sentence} "
            f"(rabbitkeeper operations show {entry.id} tells how it ends)"
        )


def operations_table(group: str, entries: list[OperationEntry]) -> PlainTable:
    """Operations as a table, oldest first."""
    made = table(f"group {group}", "id", "kind", "target", "state", "by", "requested", "outcome")
    for entry in entries:
        at = f" at {clock(entry.at)}" if entry.at is not None else ""
        made.add_texts(
            entry.id,
            entry.kind + at,
            entry.target or "",
            entry.state,
            entry.by,
            clock(entry.requested),
            entry.outcome or "",
        )
    return made


def _await_outcome(
    backend: Backend, operator: OperationService, entry: OperationEntry, timeout: float
) -> OperationEntry:
    deadline = time.monotonic() + timeout
    while not entry.state.final and time.monotonic() < deadline:
        backend.renew()
        seen = backend.events
        backend.stat(operator.log_path, watch=True)
        entry = operator.outcome(entry.id) or entry
        if not entry.state.final:
            backend.await_event(seen, min(_LOOK_AGAIN, max(0.0, deadline - time.monotonic())))
    return entry


class _RecordText(click.ParamType[str]):
    """A text that can be written into a record.

    Args:
        longest: characters.
    """

    name = "text"

    def __init__(self, longest: int) -> None:
        self._longest = longest

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if has_lone_surrogate(value):
            self.fail("it is not UTF-8; give it as UTF-8, or set the locale to what it is", param, ctx)
        if not 1 <= len(value) <= self._longest:
            self.fail(f"it has {len(value)} characters; give it 1 to {self._longest}", param, ctx)
        return value


def who_asks(said: str | None = None) -> str:
    """Who asks: as they say, and always as which user of which host."""
    return whoami() if said is None else f"{said}, {whoami()}"


def whoami() -> str:
    """Which user of which host runs the command."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"

"""``rabbitkeeper watch``: the group on a whole terminal, with keys; in a pipe, a line for each change."""

import contextlib
import math
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import click
from rich.console import Console, RenderableType
from rich.live import Live

from rabbitkeeper.coordinator.backend.interface import Backend
from rabbitkeeper.coordinator.cli.commands.list import content
from rabbitkeeper.coordinator.cli.dialog import Dialog, Quit, Wish, answered, press
from rabbitkeeper.coordinator.cli.keyboard import Bell, unbuffered
from rabbitkeeper.coordinator.cli.options import whoami
from rabbitkeeper.coordinator.cli.output import as_json, as_yaml, console, say
from rabbitkeeper.coordinator.cli.root import ChosenGroup
from rabbitkeeper.coordinator.cli.screen import Picture, screen
from rabbitkeeper.coordinator.model.errors import (
    CoordinationError,
    RabbitKeeperError,
    RecordError,
    UnknownGroup,
)
from rabbitkeeper.coordinator.model.records import OperationKind, utcnow
from rabbitkeeper.coordinator.model.view import GroupView
from rabbitkeeper.coordinator.operations.log import read_operations
from rabbitkeeper.coordinator.operations.service import OperationService, Submitted
from rabbitkeeper.coordinator.store.reader import GroupReader
from rabbitkeeper.coordinator.store.store import Store

_LOOK_AGAIN = 1.0  # seconds: ages grow, and a watch may be missed
_AWAY_PAUSE = 0.5  # seconds between attempts while ZooKeeper is away
_READ_TIMEOUT = 2.0  # seconds that a reading of the group may take

# Shows the group as it is now (None: it cannot be read), and why it cannot be read.
Show = Callable[[GroupView | None, str | None], None]


@click.command("watch")
@click.option("--for", "seconds", type=click.FloatRange(min=0), metavar="SECONDS", help="End after so long.")
@click.pass_obj
def command(chosen: ChosenGroup, seconds: float | None) -> None:
    """Follow the group until Ctrl-C: on a terminal a full screen with keys, in a pipe a line for each change.

    With -o json: one JSON object a line.
    """
    with chosen.backend() as (backend, group):
        on_screen = chosen.output == "table" and console().is_terminal
        reader = GroupReader(backend, group, with_history=on_screen)
        try:
            if on_screen:
                terminal = sys.stdin.fileno() if sys.stdin.isatty() else None
                Screen(backend, reader, group, terminal=terminal, out=console()).run(seconds)
                return
            deadline = math.inf if seconds is None else time.monotonic() + seconds
            show = _printer(chosen.output, group)
            _follow(backend, reader, reader.read(), lambda: time.monotonic() >= deadline, show)
        except KeyboardInterrupt:
            return


def changes(before: GroupView | None, after: GroupView) -> list[str]:
    """What is different, a sentence each; all there is if there was nothing before."""
    said = []
    was = None if before is None else before.leader
    now = after.leader
    eras = None if before is None else before.era, after.era
    if now is not None and (was is None or (eras[0], was.epoch) != (eras[1], now.epoch)):
        said.append(f"{now.record.name} leads (epoch {now.epoch}): {now.record.cause}")
    elif now is None and (before is None or was is not None):
        why = after.leader_unreadable or "the lead is vacant"
        said.append(f"no leader: {why}")
    there = {} if before is None else before.members
    for name in sorted({*there, *after.members}):
        old, new = there.get(name), after.members.get(name)
        if new is None:
            said.append(f"{name} is gone")
        elif old is None or (old.record.state, old.record.reasons) != (new.record.state, new.record.reasons):
            why = f": {'; '.join(new.record.reasons)}" if new.record.reasons else ""
            said.append(f"{name} is {new.record.state}{why}")
    paused = before is not None and before.pause is not None
    if after.pause is not None and not paused:
        why = f": {after.pause.reason}" if after.pause.reason else ""
        said.append(f"paused by {after.pause.by}{why}")
    elif after.pause is None and paused:
        said.append("not paused any more")
    known = () if before is None else before.problems
    return [*said, *(problem for problem in after.problems if problem not in known)]


def _follow(
    backend: Backend, reader: GroupReader, first: GroupView, ended: Callable[[], bool], show: Show
) -> None:
    known: GroupView | None = first
    while known is not None or not ended():  # the first look is shown, also to who waits for nothing
        seen = backend.events
        backend.renew()
        try:
            show(known or reader.read(), None)  # which may read more
            pause = _LOOK_AGAIN if known is None else 0.0
        except UnknownGroup:
            raise
        except CoordinationError as error:
            show(None, str(error))
            pause = _AWAY_PAUSE
        known = None
        backend.await_event(seen, pause)


class Screen:
    """The whole terminal: kept up to date by a thread of its own, while this one waits for keys.

    Args:
        backend: started.
        reader: of the group, with its history.
        terminal: where keys come from; None: from nowhere.
        out: where it is shown.
    """

    def __init__(
        self, backend: Backend, reader: GroupReader, group: str, *, terminal: int | None, out: Console
    ) -> None:
        self._backend = backend
        self._reader = reader
        self._group = group
        self._terminal = terminal
        self._out = out
        self._store = Store(backend, group)  # of the thread's
        self._service = OperationService(Store(backend, group))  # of the keys'
        self._bell = Bell()
        self._picture = Picture(reader.read())
        self._dialog = Dialog()
        self._ended = False
        self._failure: RabbitKeeperError | None = None

    def run(self, seconds: float | None) -> None:
        """Show it until ``q``, Ctrl-C, or for so many seconds.

        Raises:
            UnknownGroup: somebody has deleted it.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        thread = threading.Thread(target=self._keep_up, name="rabbitkeeper-watch", daemon=True)
        with contextlib.ExitStack() as stack:
            if self._terminal is not None:
                stack.enter_context(unbuffered(self._terminal))
            live = Live(self._shown(), console=self._out, auto_refresh=False, screen=True)
            stack.enter_context(live)
            thread.start()
            try:
                self._take_keys(live, deadline)
            finally:
                self._ended = True
        thread.join(_LOOK_AGAIN + _READ_TIMEOUT)
        if not thread.is_alive():
            self._bell.close()
        if self._failure is not None:
            raise self._failure

    def _take_keys(self, live: Live, deadline: float | None) -> None:
        while self._failure is None:
            live.update(self._shown(), refresh=True)
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return
            for key in self._bell.wait(self._terminal, left):
                self._dialog, todo = press(self._dialog, key, self._picture.view)
                if isinstance(todo, Quit):
                    return
                if todo is not None:
                    live.update(self._shown(), refresh=True)
                    self._dialog = self._fulfil(todo)

    def _fulfil(self, wish: Wish) -> Dialog:
        try:
            submitted = request(self._service, wish)
        except RabbitKeeperError as error:
            return answered(self._dialog, wish, str(error), refused=True)
        said = "; ".join((submitted.sentence, *submitted.warnings))
        return answered(self._dialog, wish, said if wish.dry_run else f"{submitted.id}: {said}")

    def _shown(self) -> RenderableType:
        return screen(self._group, self._picture, self._dialog, keys=self._terminal is not None)

    def _keep_up(self) -> None:
        try:
            _follow(self._backend, self._reader, self._picture.view, lambda: self._ended, self._see)
        except RabbitKeeperError as error:
            self._failure = error
            self._bell.ring()

    def _see(self, view: GroupView | None, problem: str | None) -> None:
        known = self._picture
        if view is None:
            self._picture = replace(known, problem=problem)
        else:
            self._picture = self._read_logs(replace(known, view=view, problem=None), known.view)
        self._bell.ring()

    def _read_logs(self, picture: Picture, before: GroupView) -> Picture:
        changed = picture.view.last_change != before.last_change
        try:
            history = self._store.history() if changed or not picture.history else picture.history
            return replace(picture, history=history, operations=read_operations(self._store), unread=None)
        except RecordError as error:
            return replace(picture, unread=str(error))


def request(service: OperationService, wish: Wish) -> Submitted:
    """Ask for what was wished, or try it.

    Raises:
        OperationRefused: the group is not as it needs it.
        CoordinationError: ZooKeeper does not answer.
    """
    by, dry_run = whoami(), wish.dry_run
    match wish.kind:
        case OperationKind.SWITCHOVER:
            return service.switchover(by=by, to=wish.member, dry_run=dry_run)
        case OperationKind.PAUSE:
            return service.pause(by=by, dry_run=dry_run)
        case OperationKind.RESUME:
            return service.resume(by=by, dry_run=dry_run)
        case OperationKind.RESTART if wish.member is not None:
            return service.restart(wish.member, by=by, dry_run=dry_run)
        case _:
            return service.rolling_restart(by=by, dry_run=dry_run)


def _printer(output: str, group: str) -> Show:
    """Prints what is new: lines, or whole pictures as JSON or YAML."""
    last: GroupView | None = None
    away = False

    def show(view: GroupView | None, problem: str | None) -> None:
        nonlocal last, away
        if view is None:
            if not away:
                say(f"rabbitkeeper: ZooKeeper does not answer: {problem}", err=True)
            away = True
            return
        away = False
        said = changes(last, view)
        if said or last is None:
            _print(output, said, {"at": utcnow(), **content(group, view), "changes": said})
        last = view

    return show


def _print(output: str, said: list[str], picture: dict[str, object]) -> None:
    match output:
        case "json":
            click.echo(as_json(picture))
        case "yaml":
            click.echo("---\n" + as_yaml(picture))
        case _:
            for line in said:
                say(f"{picture['at']} {line}")

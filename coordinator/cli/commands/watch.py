"""``rabbitkeeper watch``: the list, kept up to date; where nobody looks, a line for each change."""

import time
from collections.abc import Callable

import click
from rich.console import Group
from rich.live import Live

from rabbitkeeper.coordinator.backend.interface import Backend
from rabbitkeeper.coordinator.cli.commands.list import content, members_table, notes
from rabbitkeeper.coordinator.cli.output import as_json, as_yaml, console, plain, say
from rabbitkeeper.coordinator.cli.root import ChosenGroup
from rabbitkeeper.coordinator.model.errors import CoordinationError, UnknownGroup
from rabbitkeeper.coordinator.model.records import utcnow
from rabbitkeeper.coordinator.model.view import GroupView
from rabbitkeeper.coordinator.store.reader import GroupReader

_LOOK_AGAIN = 1.0  # seconds: ages grow, and a watch may be missed
_AWAY_PAUSE = 0.5  # seconds between attempts while ZooKeeper is away

# Shows the group as it is now (None: it cannot be read), and why it cannot be read.
Show = Callable[[GroupView | None, str | None], None]


@click.command("watch")
@click.option("--for", "seconds", type=click.FloatRange(min=0), metavar="SECONDS", help="End after so long.")
@click.pass_obj
def command(chosen: ChosenGroup, seconds: float | None) -> None:
    """Follow the members and the leader until Ctrl-C. With -o json: one JSON object a line."""
    with chosen.backend() as (backend, group):
        reader = GroupReader(backend, group, with_history=False)
        first = reader.read()
        deadline = None if seconds is None else time.monotonic() + seconds
        try:
            if chosen.output == "table" and console().is_terminal:
                _live(backend, reader, group, first, deadline)
            else:
                _follow(backend, reader, first, deadline, _printer(chosen.output, group))
        except KeyboardInterrupt:
            return


def changes(before: GroupView | None, after: GroupView) -> list[str]:
    """What is different, a sentence each; all there is if there was nothing before."""
    said = []
    was = None if before is None else before.leader
    now = after.leader
    if now is not None and (was is None or was.epoch != now.epoch):
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
    backend: Backend, reader: GroupReader, first: GroupView, deadline: float | None, show: Show
) -> None:
    show(first, None)
    while deadline is None or time.monotonic() < deadline:
        seen = backend.events
        backend.renew()
        try:
            view = reader.read()
        except UnknownGroup:
            raise
        except CoordinationError as error:
            show(None, str(error))
            backend.await_event(seen, _AWAY_PAUSE)
            continue
        show(view, None)
        backend.await_event(seen, _LOOK_AGAIN)


def _live(
    backend: Backend, reader: GroupReader, group: str, first: GroupView, deadline: float | None
) -> None:
    last = first

    def picture(problem: str | None) -> Group:
        below = [plain(note) for note in notes(last)]
        if problem is not None:
            below.append(plain(f"As it was last: {problem}", "bold red"))
        return Group(members_table(group, last), *below, *(plain(said, "red") for said in last.problems))

    with Live(picture(None), console=console(), auto_refresh=False) as live:

        def show(view: GroupView | None, problem: str | None) -> None:
            nonlocal last
            last = view or last
            live.update(picture(problem), refresh=True)

        _follow(backend, reader, first, deadline, show)


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

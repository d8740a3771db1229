"""``rabbitkeeper config``: the group's configuration, shown, set and edited."""

import sys
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import click

from rabbitkeeper.agent.config.change import (
    Change,
    changes_between,
    check,
    edited,
    parsed,
    shown,
    taken_by,
    template,
    with_values,
)
from rabbitkeeper.agent.config.group import (
    GROUP_WIDE,
    Applies,
    effective_values,
    overlay,
    source_of,
    split,
    stand_in,
)
from rabbitkeeper.coordinator.backend.interface import Backend
from rabbitkeeper.coordinator.cli.options import Asking, asks
from rabbitkeeper.coordinator.cli.output import PlainTable, say, show, table
from rabbitkeeper.coordinator.cli.root import ChosenGroup
from rabbitkeeper.coordinator.model.errors import ConfigurationError
from rabbitkeeper.coordinator.model.records import GroupConfig, TakenConfig
from rabbitkeeper.coordinator.model.view import GroupView
from rabbitkeeper.coordinator.operations.config import write_config
from rabbitkeeper.coordinator.operations.service import OperationRefused
from rabbitkeeper.coordinator.store.reader import GroupReader
from rabbitkeeper.coordinator.store.store import Store

_WAIT = 10.0  # seconds for the agents to take a new configuration; they do in a fraction of one


@click.group("config")
def command() -> None:
    """The group's configuration: settings of all agents, over their files."""


@command.command("show")
@click.pass_obj
def show_config(chosen: ChosenGroup) -> None:
    """Show each setting of the group: its value, where it comes from, when a new one holds."""
    with chosen.backend() as (backend, group):
        view = GroupReader(backend, group, with_history=False).read(watch=False)
    values, passed_over = ({}, ()) if view.config is None else split(view.config.record)
    members = taken_by(view)
    content = {
        "group": group,
        "version": None if view.config is None else view.config.version,
        "config": None if view.config is None else view.config.record.settings,
        "passed_over": [*passed_over],
        "problem": view.config_unreadable,
        "members": {name: _member_content(name, taken, values) for name, taken in members.items()},
    }
    version = "none" if view.config is None else str(view.config.version)
    made = table(f"group {group}, configuration version {version}", "key", "value", "from", "a new one holds")
    for key, when in GROUP_WIDE.items():
        for value, source in _rows(key, members, values):
            made.add_texts(key, shown(value), source, when)
    show(chosen.output, content, made, _notes(view, passed_over))


@command.command("set")
@click.argument("settings", metavar="KEY=VALUE...", nargs=-1)
@click.option("--version", type=click.IntRange(min=0), help="Only if the configuration has this version.")
@click.option("--replace", is_flag=True, help="Start from an empty configuration, whatever is there.")
@asks(_WAIT)
@click.pass_obj
def set_config(
    chosen: ChosenGroup, settings: tuple[str, ...], version: int | None, replace: bool, asking: Asking
) -> None:
    """Set keys, as in health.hung_after=3 failback.after=60; KEY=null removes one."""
    if not settings and not replace:
        raise click.UsageError("Give KEY=VALUE; rabbitkeeper config show lists the keys.")
    wanted = dict(parsed(setting) for setting in settings)
    with chosen.backend() as (backend, group):
        store = Store(backend, group)
        view = store.snapshot(watch=False)
        if view.config_unreadable is not None and not replace:
            raise OperationRefused(
                f"{view.config_unreadable}; to start from an empty one: rabbitkeeper config set --replace"
            )
        before = None if view.config is None else view.config.record
        record = with_values(None if replace else before, wanted)
        _write(chosen, backend, store, view, record, version, asking)


@command.command("edit")
@asks(_WAIT)
@click.pass_obj
def edit_config(chosen: ChosenGroup, asking: Asking) -> None:
    """Edit the whole as YAML in $EDITOR."""
    with chosen.backend() as (backend, group):
        store = Store(backend, group)
        view = store.snapshot(watch=False)
    before = None if view.config is None else view.config.record
    text = template(view)
    while True:
        written = click.edit(text, extension=".yml", require_save=True)
        if written is None:
            say("nothing has been changed")
            return
        try:
            record = edited(before, written)
            # The editor may have been open for longer than a session lasts.
            with chosen.backend() as (backend, group):
                _write(chosen, backend, Store(backend, group), view, record, None, asking)
        except ConfigurationError as error:
            say(f"rabbitkeeper: {error}", err=True)
            if not sys.stdin.isatty() or not click.confirm("Edit it again?"):
                raise
            text = written
        else:
            return


# -- check and write


def _write(
    chosen: ChosenGroup,
    backend: Backend,
    store: Store,
    view: GroupView,
    record: GroupConfig,
    expected: int | None,
    asking: Asking,
) -> None:
    version = view.config.version if view.config is not None else None
    if version is None and view.config_unreadable is not None:
        znode = backend.read([store.paths.config])[store.paths.config]
        version = None if znode is None else znode.version
    if expected is not None and expected != version:
        raise OperationRefused(f"the group's configuration has version {version}, not {expected}")
    before = None if view.config is None else view.config.record
    changes = changes_between(before, record)
    check(view, record)
    if not changes and view.config is not None:
        _tell(chosen, {"version": version, "diff": [], "id": None, "dry_run": asking.dry_run}, ())
        return
    pending = [change.key for change in changes if GROUP_WIDE.get(change.key) is Applies.RESTARTED]
    members: Mapping[str, str] = {}
    content: dict[str, object] = {
        "id": None,
        "version": version,
        "diff": [{"key": each.key, "from": each.before, "to": each.after} for each in changes],
        "restart_needed": pending,
        "dry_run": asking.dry_run,
    }
    if not asking.dry_run:
        entry = write_config(
            store,
            record,
            version,
            changes="; ".join(map(str, changes)) or "written anew",
            keys=tuple(change.key for change in changes),
            by=asking.by,
            reason=asking.reason,
        )
        written = 0 if version is None else version + 1
        members = _await_taken(backend, store, written, taken_by(view), asking.wait)
        content |= {"id": entry.id, "version": written, "members": members}
    _tell(chosen, content, changes, pending, members)


def _await_taken(
    backend: Backend, store: Store, version: int, before: Mapping[str, TakenConfig], wait: float
) -> dict[str, str]:
    """What each member says of the new version, a word or a sentence each.

    One that still says what it said before has not seen it yet: what it says names the version.
    """
    deadline = time.monotonic() + wait
    while True:
        backend.renew()
        seen = backend.events
        taken = taken_by(store.snapshot(watch=True))
        waiting = [name for name, its in taken.items() if its.version != version and its == before.get(name)]
        left = deadline - time.monotonic()
        if not waiting or left <= 0:
            return {name: _standing(its, version) for name, its in taken.items()}
        backend.await_event(seen, min(1.0, left))


def _standing(taken: TakenConfig, version: int) -> str:
    if taken.problem is not None:
        return taken.problem
    if taken.version != version:
        return "has not taken it yet"
    if taken.restart_pending:
        return f"taken; restart pending for {', '.join(taken.restart_pending)}"
    return "taken"


# -- tell


def _tell(
    chosen: ChosenGroup,
    content: Mapping[str, object],
    changes: tuple[Change, ...],
    restart_needed: Sequence[str] = (),
    members: Mapping[str, str] = MappingProxyType({}),
) -> None:
    if chosen.output != "table":
        show(chosen.output, dict(content), PlainTable())
        return
    if not changes and not content.get("id"):
        say("nothing would be changed" if content["dry_run"] else "nothing has been changed")
        return
    for change in changes:
        say(f"  {change}")
    if content["dry_run"]:
        say(f"would be written over version {content['version']}")
    else:
        say(f"config {content['id']}: version {content['version']} is written")
    for key in restart_needed:
        say(f"{key} holds when an agent is started again; until then: restart pending")
    for name, standing in members.items():
        say(f"{name}: {standing}")


def _member_content(name: str, taken: TakenConfig, values: Mapping[str, object]) -> dict[str, object]:
    effective = _effective(name, taken, values)
    return {
        "version": taken.version,
        "problem": taken.problem,
        "restart_pending": [*taken.restart_pending],
        "effective": {
            key: {"value": value, "from": source_of(key, values, taken.own)}
            for key, value in effective.items()
        },
    }


def _effective(name: str, taken: TakenConfig, values: Mapping[str, object]) -> dict[str, object]:
    try:
        return effective_values(overlay(stand_in(name, taken.own), values, ""))
    except ConfigurationError:
        return {**taken.own, **values}  # it contradicts itself; the member's problem says how


def _rows(
    key: str, members: Mapping[str, TakenConfig], values: Mapping[str, object]
) -> list[tuple[object, str]]:
    """A key's value and where it comes from: one row, or one for each value that members differ in."""
    if not members:
        return [(_effective("any", TakenConfig(version=None), values).get(key), _from(key, values, {}))]
    rows: dict[tuple[str, str], tuple[object, list[str]]] = {}
    for name, taken in members.items():
        value = _effective(name, taken, values).get(key)
        source = _from(key, values, taken.own)
        rows.setdefault((repr(value), source), (value, []))[1].append(name)
    return [
        (value, source if len(rows) == 1 else f"{source} ({', '.join(names)})")
        for (_, source), (value, names) in rows.items()
    ]


def _from(key: str, values: Mapping[str, object], own: Mapping[str, object]) -> str:
    return str(source_of(key, values, own))


def _notes(view: GroupView, passed_over: tuple[str, ...]) -> list[str]:
    notes = [] if view.config_unreadable is None else [view.config_unreadable]
    if passed_over:
        notes.append(f"Passed over by this version: {', '.join(passed_over)}")
    version = None if view.config is None else view.config.version
    for name, taken in taken_by(view).items():
        if taken.problem is not None or taken.restart_pending or taken.version != version:
            notes.append(f"{name}: {_standing(taken, version if version is not None else -1)}")
    return notes

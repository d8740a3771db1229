"""The whole screen of ``rabbitkeeper watch``: members, time line, operations, keys. Asks nobody."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.text import Text

from rabbitkeeper.coordinator.cli.dialog import HELP, Dialog, chosen_of
from rabbitkeeper.coordinator.cli.members import members_table, notes
from rabbitkeeper.coordinator.cli.output import age, clock, plain, table
from rabbitkeeper.coordinator.model.records import HistoryEntry, OperationEntry, OperationState
from rabbitkeeper.coordinator.model.view import GroupView

_CHANGES, _OPERATIONS = 8, 6  # of each the last that are shown
_STATES = {OperationState.DONE: "green", OperationState.FAILED: "bold red"}


@dataclass(frozen=True, slots=True)
class Picture:
    """What is known of a group.

    Attributes:
        problem: why it cannot be read now; what is shown is how it was last.
        unread: why history or operations cannot be understood.
    """

    view: GroupView
    history: Sequence[HistoryEntry] = ()
    operations: Sequence[OperationEntry] = ()
    problem: str | None = None
    unread: str | None = None


def screen(group: str, picture: Picture, dialog: Dialog, *, keys: bool = True) -> RenderableType:
    """All of it.

    Args:
        keys: there is somebody to press them.
    """
    view = picture.view
    layout = Layout()
    layout.split_column(
        Layout(_head(picture), size=2),
        Layout(_members(group, view, dialog, keys=keys), size=len(view.members) + 3),
        Layout(_below(picture), name="notes", ratio=1, minimum_size=2),
        Layout(_time_line(picture.history), size=min(_CHANGES, len(picture.history)) + 3),
        Layout(_operations(picture.operations), size=min(_OPERATIONS, len(picture.operations)) + 3),
        Layout(_foot(dialog, keys=keys), size=2),
    )
    return layout


def _head(picture: Picture) -> Text:
    if picture.problem is not None:
        return plain(f"ZooKeeper does not answer, this is how it was last: {picture.problem}", "bold red")
    lead = picture.view.leader
    if lead is None:
        why = picture.view.leader_unreadable or "the lead is vacant"
        return plain(f"no leader: {why}", "bold red")
    record = lead.record
    since = f" for {age(record.since)}" if age(record.since) else ""
    return plain(f"{record.name} leads{since} (epoch {lead.epoch}): {record.cause}", "bold green")


def _members(group: str, view: GroupView, dialog: Dialog, *, keys: bool) -> RenderableType:
    made = members_table(group, view)
    names = sorted(view.members)
    chosen = chosen_of(dialog, view)
    if keys and chosen is not None:
        made.rows[names.index(chosen)].style = "reverse"
    return made


def _below(picture: Picture) -> RenderableType:
    problems = [*picture.view.problems, *([picture.unread] if picture.unread else [])]
    return Group(*(plain(note) for note in notes(picture.view)), *(plain(said, "red") for said in problems))


def _time_line(history: Sequence[HistoryEntry]) -> RenderableType:
    made = table("time line", "at", "lead", "cause", "gap", "by")
    for entry in reversed(history[-_CHANGES:]):
        gap = entry.timings.get("vacant")
        made.add_texts(
            clock(entry.at),
            f"{entry.previous or '—'} → {entry.to}",
            entry.cause,
            "" if gap is None else f"{gap:.2f} s",
            entry.by,
        )
    return made


def _operations(operations: Sequence[OperationEntry]) -> RenderableType:
    made = table("operations", "at", "what", "target", "state", "by", "outcome")
    for entry in reversed(operations[-_OPERATIONS:]):
        made.add_texts(
            clock(entry.requested),
            entry.kind,
            entry.target or "",
            Text(entry.state.value, style=_STATES.get(entry.state, "yellow")),
            entry.by,
            entry.outcome or "",
        )
    return made


def _foot(dialog: Dialog, *, keys: bool) -> RenderableType:
    style = "bold red" if dialog.bad else "bold yellow" if dialog.wish is not None else ""
    return Group(plain(dialog.said, style), plain(HELP if keys else "Ctrl-C ends it", "dim"))

"""What a key does in ``rabbitkeeper watch`` on a terminal. Pure.

Nothing is done at the first key: what is asked for is tried as a dry run, what that says is shown, and ``y``
does it.
"""

from dataclasses import dataclass, replace

from rabbitkeeper.coordinator.model.records import OperationKind
from rabbitkeeper.coordinator.model.view import GroupView

HELP = "↑ ↓ choose · s switchover · p pause/resume · r restart · R rolling restart · q quit"


@dataclass(frozen=True, slots=True)
class Wish:
    """An operation that is asked for.

    Attributes:
        member: whom it is about; None for the group, or for the best candidate.
        dry_run: it is only to be tried.
    """

    kind: OperationKind
    member: str | None = None
    dry_run: bool = True


@dataclass(frozen=True, slots=True)
class Quit:
    """Nothing more is to be shown."""


@dataclass(frozen=True, slots=True)
class Dialog:
    """What the user has chosen and asked for so far.

    Attributes:
        chosen: the member whose row is marked.
        wish: what ``y`` would do; None: nothing waits for it.
        said: what is to be told, the last thing.
        bad: it is a refusal.
    """

    chosen: str | None = None
    wish: Wish | None = None
    said: str = ""
    bad: bool = False


def press(dialog: Dialog, key: str, view: GroupView) -> tuple[Dialog, Wish | Quit | None]:
    """A key is pressed.

    Args:
        key: a character, or ``up`` or ``down``.
        view: the group as it is shown.

    Returns:
        The dialog to go on with, and what is to be done: a wish, of which the outcome is told to
        :func:`answered`; or an end.
    """
    if dialog.wish is not None:
        wish, dialog = dialog.wish, replace(dialog, wish=None, said="nothing was done", bad=False)
        return (replace(dialog, said="…"), replace(wish, dry_run=False)) if key == "y" else (dialog, None)
    chosen = chosen_of(dialog, view)
    match key:
        case "q":
            return dialog, Quit()
        case "up" | "k" | "down" | "j":
            return replace(dialog, chosen=_moved(chosen, view, -1 if key in ("up", "k") else 1)), None
        case "s":
            leads = None if view.leader is None else view.leader.record.name
            return dialog, Wish(OperationKind.SWITCHOVER, None if chosen == leads else chosen)
        case "p":
            return dialog, Wish(OperationKind.PAUSE if view.pause is None else OperationKind.RESUME)
        case "r" if chosen is not None:
            return dialog, Wish(OperationKind.RESTART, chosen)
        case "R":
            return dialog, Wish(OperationKind.ROLLING_RESTART)
    return dialog, None


def answered(dialog: Dialog, wish: Wish, sentence: str, *, refused: bool = False) -> Dialog:
    """What has come of a wish.

    Args:
        sentence: what would be done, what was accepted, or why it is refused.
        refused: it is.
    """
    if refused:
        return replace(dialog, wish=None, said=f"{wish.kind} refused: {sentence}", bad=True)
    if wish.dry_run:
        return replace(dialog, wish=wish, said=f"{wish.kind}: {sentence}. Do it? y / n", bad=False)
    return replace(dialog, wish=None, said=sentence, bad=False)


def chosen_of(dialog: Dialog, view: GroupView) -> str | None:
    """The member that was chosen, as long as it is there; else the first."""
    return dialog.chosen if dialog.chosen in view.members else min(view.members, default=None)


def _moved(chosen: str | None, view: GroupView, by: int) -> str | None:
    names = sorted(view.members)
    if chosen is None:
        return None
    return names[max(0, min(len(names) - 1, names.index(chosen) + by))]

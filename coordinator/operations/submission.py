"""How a request that makes sense is accepted: its entry, what it waits behind, and the one transaction.

Whether it makes sense is ``service.py``'s to say. Nothing here asks an agent.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rabbitkeeper.coordinator.backend.node import TransactionStep
from rabbitkeeper.coordinator.model.errors import Conflict, NodeExists, NoNode, RabbitKeeperError
from rabbitkeeper.coordinator.model.records import OperationEntry, OperationKind, OperationState, utcnow
from rabbitkeeper.coordinator.model.view import GroupView
from rabbitkeeper.coordinator.operations.log import commit
from rabbitkeeper.coordinator.store.store import Store

LONGEST_BY, LONGEST_REASON = 200, 1000  # characters, whichever way a request comes


class OperationRefused(RabbitKeeperError):
    """The group is not as the request needs it. Says what is in the way and what would do."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """A request that was accepted; with ``dry_run`` one that would be.

    Attributes:
        entry: as it is in the log of operations.
        sentence: what will be done, or was.
        warnings: what the operator should know besides.
    """

    entry: OperationEntry
    sentence: str
    warnings: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return self.entry.id

    @property
    def kind(self) -> OperationKind:
        return self.entry.kind


def new_entry(
    kind: OperationKind,
    wall: float,
    *,
    by: str,
    reason: str | None,
    target: str | None = None,
    at: str | None = None,
    done: str | None = None,
) -> OperationEntry:
    """The log's entry for a request.

    Args:
        wall: now, seconds since 1970.
        by: who asks.
        reason: why.
        target: the member or members that it is about.
        at: the time that it is asked for.
        done: the outcome, a sentence, of a request that is done with its transaction; None: agents carry it
            out.
    """
    now = utcnow()
    return OperationEntry(
        id=_new_id(wall),
        kind=kind,
        state=OperationState.PENDING if done is None else OperationState.DONE,
        target=target,
        at=at,
        by=by,
        reason=reason,
        requested=now,
        ended=None if done is None else now,
        outcome=done,
    )


def submit(
    store: Store,
    view: GroupView,
    entry: OperationEntry,
    changes: Sequence[TransactionStep],
    *,
    dry_run: bool,
    in_the_way: str | None = None,
) -> None:
    """Write a request and its entry, unless the group has changed under it.

    Args:
        view: what was decided on.
        dry_run: write nothing.
        in_the_way: what a condition of ``changes`` that is not met means, a sentence; None: that another came
            first.

    Raises:
        OperationRefused: it has.
        CoordinationError, RecordError: as :func:`commit`.
    """
    if dry_run:
        return
    try:
        commit(store, entry, changes)
    except (NodeExists, NoNode, Conflict) as error:
        unreadable = next((problem for problem in view.problems if problem.startswith(error.path)), None)
        if unreadable is not None:
            in_the_way = f"{unreadable}; delete that znode if nobody else needs it, then ask again"
        raise OperationRefused(
            in_the_way or f"another request came first: {error}; look and ask again"
        ) from None


def pending_move(view: GroupView) -> str | None:
    """Which move of the lead is pending, and what to do about it; None if none is."""
    if view.switchover is None:
        return None
    pending = view.switchover.record
    at = f", for {pending.at}" if pending.at is not None else ""
    return (
        f"the {pending.kind} {pending.id} asked for by {pending.by} is pending{at}: wait for it, "
        f"or cancel it (rabbitkeeper operations cancel {pending.id})"
    )


def pending_maintenance(view: GroupView) -> str | None:
    """Which maintenance is under way, and what to do about it; None if none is."""
    if view.maintenance is None:
        return None
    pending = view.maintenance.record
    return (
        f"the {pending.kind} {pending.id} asked for by {pending.by} is under way "
        f"({', '.join(pending.members)} to come): wait for it, "
        f"or cancel it (rabbitkeeper operations cancel {pending.id})"
    )


def _new_id(wall: float) -> str:
    """Sorts by time, can be typed: ``1126-153002-x7c``."""
    return f"{datetime.fromtimestamp(wall, UTC):%m%d-%H%M%S}-{secrets.token_hex(2)}"

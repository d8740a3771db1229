"""The log of operations, and the one transaction in which a request begins, goes on or ends.

A request and its entry in ``operations`` change together or not at all, so that what was asked for can be
found again by its id whatever dies in between. Nothing is decided here.
"""

import logging
from collections.abc import Sequence

from rabbitkeeper.coordinator.backend.node import Create, Delete, Set, TransactionStep
from rabbitkeeper.coordinator.model.errors import Conflict, NodeExists, NoNode, RecordError
from rabbitkeeper.coordinator.model.records import (
    MaintenanceRecord,
    OperationEntry,
    OperationLog,
    OperationState,
    SwitchoverRecord,
    utcnow,
)
from rabbitkeeper.coordinator.model.view import MaintenanceView, SwitchoverView
from rabbitkeeper.coordinator.store.reader import read_node
from rabbitkeeper.coordinator.store.store import Store

LOG = logging.getLogger("rabbitkeeper.operations")


def read_operations(store: Store) -> tuple[OperationEntry, ...]:
    """The operations kept, oldest first.

    Raises:
        RecordError: the node cannot be read.
    """
    path = store.paths.operations
    node = read_node(store.backend, path)
    return () if node is None else OperationLog.from_bytes(path, node.data).entries


def commit(
    store: Store, entry: OperationEntry, changes: Sequence[TransactionStep], timeout: float = 2.0
) -> None:
    """Write ``entry`` to the log and do ``changes`` in one transaction.

    Atomic. Repeated while only the log has changed under it; a condition of ``changes`` that is not met is
    the caller's to understand.

    Args:
        timeout: seconds for all.

    Raises:
        RecordError: the log cannot be read; it is left as it is.
        NodeExists, NoNode, Conflict: a condition of ``changes`` is not met; the error names its path.
        ZooKeeperUnreachable: unknown; look for the entry's id.
    """
    path, deadline = store.paths.operations, store.clock() + timeout
    while True:
        node = read_node(store.backend, path)
        log = OperationLog() if node is None else OperationLog.from_bytes(path, node.data)
        data = log.with_entry(entry).to_bytes()
        write: TransactionStep = Create(path, data) if node is None else Set(path, data, node.version)
        try:
            store.backend.transaction((write, *changes))
        except (NodeExists, NoNode, Conflict) as error:
            if error.path != path or store.clock() > deadline:
                raise
        else:
            return


def end_switchover(
    store: Store, pending: SwitchoverView, state: OperationState, outcome: str, timeout: float = 2.0
) -> None:
    """The move of the lead has ended: its node goes, and the log says how.

    Raises:
        NoNode, Conflict: it has been ended or changed already.
        CoordinationError: as :func:`commit`. A log that cannot be read is left as it is, and told.
    """
    gone = Delete(store.paths.switchover, pending.version)
    _commit_anyway(store, entry_of(pending.record, state, outcome), gone, timeout)


def end_maintenance(
    store: Store, pending: MaintenanceView, state: OperationState, outcome: str, timeout: float = 2.0
) -> None:
    """The maintenance has ended. Raises as :func:`end_switchover`."""
    gone = Delete(store.paths.maintenance, pending.version)
    _commit_anyway(store, entry_of(pending.record, state, outcome), gone, timeout)


def advance_maintenance(
    store: Store, pending: MaintenanceView, record: MaintenanceRecord, outcome: str, timeout: float = 2.0
) -> None:
    """The maintenance has come a step further. Raises as :func:`end_switchover`.

    Args:
        record: what takes the place of ``pending``.
        outcome: how far it is, a sentence.
    """
    changed = Set(store.paths.maintenance, record.to_bytes(), pending.version)
    _commit_anyway(store, entry_of(pending.record, OperationState.RUNNING, outcome), changed, timeout)


def _commit_anyway(store: Store, entry: OperationEntry, change: TransactionStep, timeout: float) -> None:
    """A log that cannot be read must not keep a request under way for ever."""
    try:
        commit(store, entry, [change], timeout)
    except RecordError as error:
        store.backend.transaction([change])
        LOG.warning(
            "not in the log: %s %s is %s: %s (%s)", entry.kind, entry.id, entry.state, entry.outcome, error
        )


def entry_of(
    record: SwitchoverRecord | MaintenanceRecord, state: OperationState, outcome: str
) -> OperationEntry:
    """The log's entry for a request as it stands."""
    if isinstance(record, SwitchoverRecord):
        target, at = record.to, record.at
    else:
        target, at = ", ".join((*record.done, *record.members)), None
    return OperationEntry(
        id=record.id,
        kind=record.kind,
        state=state,
        target=target,
        at=at,
        by=record.by,
        reason=record.reason,
        requested=record.requested,
        ended=utcnow() if state.final else None,
        outcome=outcome,
    )

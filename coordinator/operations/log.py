"""The log of operations, and the one transaction in which a request begins, goes on or ends.

A request and its entry in ``operations`` change together or not at all, so that what was asked for can be
found again by its id whatever dies in between. Nothing is decided here.
"""

import logging
import time
from collections.abc import Sequence

from rabbitkeeper.coordinator.model.errors import Conflict, NoZnode, RecordError, ZnodeExists
from rabbitkeeper.coordinator.model.records import (
    MaintenanceRecord,
    OperationEntry,
    OperationLog,
    OperationState,
    SwitchoverRecord,
    utcnow,
)
from rabbitkeeper.coordinator.model.view import MaintenanceView, SwitchoverView
from rabbitkeeper.coordinator.store.store import Store
from rabbitkeeper.coordinator.zookeeper.znode import Create, Delete, Operation, Set

LOG = logging.getLogger("rabbitkeeper.operations")


def read_operations(store: Store) -> tuple[OperationEntry, ...]:
    """The operations kept, oldest first.

    Raises:
        RecordError: the znode cannot be read.
    """
    path = store.paths.operations
    znode = store.session.read([path])[path]
    return () if znode is None else OperationLog.from_bytes(path, znode.data).entries


def commit(store: Store, entry: OperationEntry, changes: Sequence[Operation], timeout: float = 2.0) -> None:
    """Write ``entry`` to the log and do ``changes`` in one transaction.

    Atomic. Repeated while only the log has changed under it; a condition of ``changes`` that is not met is
    the caller's to understand.

    Args:
        timeout: seconds for all.

    Raises:
        RecordError: the log cannot be read; it is left as it is.
        ZnodeExists, NoZnode, Conflict: a condition of ``changes`` is not met; the error names its path.
        ZooKeeperUnreachable: unknown; look for the entry's id.
    """
    path, deadline = store.paths.operations, time.monotonic() + timeout
    while True:
        znode = store.session.read([path])[path]
        log = OperationLog() if znode is None else OperationLog.from_bytes(path, znode.data)
        data = log.with_entry(entry).to_bytes()
        write: Operation = Create(path, data) if znode is None else Set(path, data, znode.version)
        try:
            store.session.transaction((write, *changes))
        except (ZnodeExists, NoZnode, Conflict) as error:
            if error.path != path or time.monotonic() > deadline:
                raise
        else:
            return


def end_switchover(
    store: Store, pending: SwitchoverView, state: OperationState, outcome: str, timeout: float = 2.0
) -> None:
    """The move of the lead has ended: its znode goes, and the log says how.

    Raises:
        NoZnode, Conflict: it has been ended or changed already.
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


def _commit_anyway(store: Store, entry: OperationEntry, change: Operation, timeout: float) -> None:
    """A log that cannot be read must not keep a request under way for ever."""
    try:
        commit(store, entry, [change], timeout)
    except RecordError as error:
        store.session.transaction([change])
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

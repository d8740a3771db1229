"""Changing the group's configuration: read, and written only over what was read, with an entry in the log.

What may be set and what agrees with what is the agents' to know (``agent/config/group.py``); here a record is
kept as it is found, with keys that nobody here understands.
"""

import time
from collections.abc import Callable

from rabbitkeeper.coordinator.backend.node import Create, Set, TransactionStep
from rabbitkeeper.coordinator.model.errors import Conflict, NodeExists, NoNode
from rabbitkeeper.coordinator.model.records import (
    GroupConfig,
    OperationEntry,
    OperationKind,
)
from rabbitkeeper.coordinator.operations.log import commit
from rabbitkeeper.coordinator.operations.submission import OperationRefused, new_entry
from rabbitkeeper.coordinator.store.store import Store


def write_config(
    store: Store,
    record: GroupConfig,
    version: int | None,
    *,
    changes: str,
    keys: tuple[str, ...],
    by: str,
    reason: str | None = None,
    wall: Callable[[], float] = time.time,
) -> OperationEntry:
    """Write the group's configuration if it is still what the caller has seen.

    Atomic: the ``config`` node and the entry in the log of operations change together or not at all.

    Args:
        record: the new one, validated.
        version: of the node that it replaces; None if there was none.
        changes: what is different, a sentence for the log.
        keys: that are different.
        by: who asks, for the record.
        reason: why, for the record.

    Raises:
        OperationRefused: it has been changed in the meantime.
        CoordinationError, RecordError: as :func:`commit`.
    """
    entry = new_entry(
        OperationKind.CONFIG, wall(), by=by, reason=reason, target=", ".join(keys), done=changes
    )
    path, data = store.paths.config, record.to_bytes()
    change: TransactionStep = Create(path, data) if version is None else Set(path, data, version)
    try:
        commit(store, entry, [change])
    except (NodeExists, NoNode, Conflict):
        raise OperationRefused(
            f"the group's configuration is not version {version} any more: look at it and ask again"
        ) from None
    return entry

"""A group's lasting records as one document: to be kept, and to be brought to another ZooKeeper.

Its configuration, its RabbitMQ cluster and its history, nothing of who is there now: that the agents write. A
group that is made from a document is paused, so that nobody leads in the new ZooKeeper while others still do
in the old one; and it is a later incarnation, so that its epochs are newer than all before.
"""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import Field

from rabbitkeeper.coordinator.backend.node import Create, Set
from rabbitkeeper.coordinator.model.errors import Conflict, NodeExists, NoNode, RecordError
from rabbitkeeper.coordinator.model.paths import ROOT
from rabbitkeeper.coordinator.model.record import StoredRecord
from rabbitkeeper.coordinator.model.records import (
    ClusterRecord,
    GroupConfig,
    History,
    IncarnationRecord,
    PauseRecord,
    utcnow,
)
from rabbitkeeper.coordinator.operations.submission import OperationRefused
from rabbitkeeper.coordinator.store.reader import read_node, unknown_group
from rabbitkeeper.coordinator.store.store import Store

RecordT = TypeVar("RecordT", bound=StoredRecord)


class GroupDocument(StoredRecord):
    """What is exported: each part as its node holds it."""

    group: str
    exported: str
    incarnation: int = Field(ge=0)
    config: dict[str, Any]
    cluster: dict[str, Any] | None
    history: dict[str, Any]


def export_group(store: Store) -> GroupDocument:
    """The group's lasting records, as they are now.

    Raises:
        UnknownGroup: there is no such group.
        RecordError: one of them cannot be read; nothing would be worse than a backup without it.
    """
    backend, paths = store.backend, store.paths
    if backend.stat(paths.root) is None:
        raise unknown_group(backend, paths.group)
    config = _read(store, GroupConfig, paths.config) or GroupConfig()
    cluster = _read(store, ClusterRecord, paths.cluster)
    incarnation = _read(store, IncarnationRecord, paths.incarnation)
    return GroupDocument(
        group=paths.group,
        exported=utcnow(),
        incarnation=0 if incarnation is None else incarnation.number,
        config=config.fields_to_store(),
        cluster=None if cluster is None else cluster.fields_to_store(),
        history=(_read(store, History, paths.history) or History()).fields_to_store(),
    )


def import_group(
    store: Store,
    document: GroupDocument,
    *,
    by: str,
    into_existing: bool = False,
    dry_run: bool = False,
    wall: Callable[[], float] = time.time,
) -> list[str]:
    """Make the group from a document; or give a group that is there its configuration and its past back.

    Atomic: one transaction.

    Args:
        by: who asks.
        into_existing: the group is there (agents have made it again); its cluster, which its agents know
            better, stays if it has one, it is not paused, and its history goes on from the document's.
        dry_run: write nothing.
        wall: seconds since 1970.

    Returns:
        What is written, a path each.

    Raises:
        OperationRefused: the group is there, or is not, or changes under it.
        RecordError: the document holds something that is no such record, or of another group.
    """
    backend, paths = store.backend, store.paths
    if document.group != paths.group:
        raise OperationRefused(
            f"the document is of group {document.group!r}, not {paths.group!r}: give -g {document.group}"
        )
    config = _part(GroupConfig, "config", document.config)
    history = _part(History, "history", document.history)
    cluster = None if document.cluster is None else _part(ClusterRecord, "cluster", document.cluster)
    there = backend.stat(paths.root) is not None
    if there and not into_existing:
        raise OperationRefused(
            f"group {paths.group!r} is in ZooKeeper at {backend.hosts} already: if it shall get its "
            "configuration and history from the document, give --into-existing"
        )
    if not there and into_existing:
        raise unknown_group(backend, paths.group)
    incarnation = IncarnationRecord(
        number=max(document.incarnation + 1, int(wall())),
        since=utcnow(),
        by=by,
        reason="the group was imported",
    )
    wanted: dict[str, StoredRecord] = {paths.config: config, paths.history: history}
    if cluster is not None:
        wanted[paths.cluster] = cluster
    if there:
        steps = _over(store, wanted)
    else:
        wanted[paths.incarnation] = incarnation
        reason = f"the group was imported: resume when its agents have come to {backend.hosts}"
        wanted[paths.pause] = PauseRecord(by=by, since=utcnow(), reason=reason)
        empty = [Create(paths.root, b""), Create(paths.members, b"")]
        steps = [*empty, *(Create(path, record.to_bytes()) for path, record in wanted.items())]
    if not dry_run:
        if not there:
            backend.ensure_path(ROOT)
        try:
            backend.transaction(steps)
        except (NodeExists, NoNode, Conflict) as error:
            raise OperationRefused(f"the group has changed meanwhile: {error}; ask again") from None
    return [step.path for step in steps]


def parse_document(text: bytes, source: str) -> GroupDocument:
    """A document that was exported.

    Args:
        source: where it comes from, for the error.

    Raises:
        RecordError: it is none.
    """
    return GroupDocument.from_bytes(source, text)


def _over(store: Store, wanted: Mapping[str, StoredRecord]) -> list[Create | Set]:
    steps: list[Create | Set] = []
    for path, record in wanted.items():
        node, written = read_node(store.backend, path), record
        if node is None:
            steps.append(Create(path, record.to_bytes()))
        elif path != store.paths.cluster:
            if isinstance(record, History):
                for entry in History.from_bytes(path, node.data).entries:
                    written = record = record.with_entry(entry)
            steps.append(Set(path, written.to_bytes(), node.version))
    return steps


def _read(store: Store, kind: type[RecordT], path: str) -> RecordT | None:
    node = read_node(store.backend, path)
    return None if node is None else kind.from_bytes(path, node.data)


def _part(kind: type[RecordT], name: str, content: Mapping[str, Any]) -> RecordT:
    try:
        return kind.from_bytes(f"the document's {name}", json.dumps(content).encode())
    except ValueError as error:
        raise RecordError(f"the document's {name} cannot be written as JSON: {error}") from None

"""A group's lasting records, brought from one simulated ZooKeeper to another."""

import pytest
from simulation.backend import SimulatedBackend
from simulation.world import World
from simulation.zookeeper import SimulatedZooKeeper

from rabbitkeeper.coordinator.model.errors import RecordError, UnknownGroup
from rabbitkeeper.coordinator.model.records import ClusterRecord, GroupConfig, HistoryEntry
from rabbitkeeper.coordinator.operations.submission import OperationRefused
from rabbitkeeper.coordinator.operations.transfer import (
    GroupDocument,
    export_group,
    import_group,
    parse_document,
)
from rabbitkeeper.coordinator.store.reader import read_group
from rabbitkeeper.coordinator.store.store import Store

CONFIG = GroupConfig.model_validate({"mode": "cluster", "health": {"hung_after": 3.0}})
CLUSTER = ClusterRecord.model_validate(
    {"founder": "rabbit@a", "formed": "", "nodes": {"rabbit@a": {"member": "a", "joined": ""}}}
)


def new_store(group: str = "orders") -> Store:
    world = World(1)
    zookeeper = SimulatedZooKeeper(world)
    zookeeper.lags = (0.0,)
    backend = SimulatedBackend(zookeeper, 6.0, lambda: None)
    backend.start()
    return Store(backend, group, clock=lambda: world.now)


def change(epoch: int, to: str) -> HistoryEntry:
    content = {
        "epoch": epoch,
        "from": None,
        "to": to,
        "node": f"rabbit@{to}",
        "cause": "c",
        "by": to,
        "at": "",
    }
    return HistoryEntry.model_validate(content)


@pytest.fixture
def old() -> Store:
    store = new_store()
    store.create_group(CONFIG)
    store.write_cluster(CLUSTER, None)
    for epoch in (50, 60):
        store.append_history(change(epoch, "a"))
    return store


def document_of(store: Store) -> GroupDocument:
    """As it is after it has been in a file."""
    return parse_document(export_group(store).to_bytes(), "group.json")


def test_a_group_is_made_in_another_zookeeper_paused_and_in_a_later_incarnation(old: Store) -> None:
    new = new_store()
    import_group(new, document_of(old), by="ann", wall=lambda: 1000.5)
    view = read_group(new.backend, new.paths)
    assert view.config is not None
    assert view.config.record == CONFIG
    assert view.cluster is not None
    assert view.cluster.record == CLUSTER
    assert view.pause is not None
    assert view.pause.by == "ann"
    assert (view.incarnation, view.problems) == (1000, ())
    assert [entry.epoch for entry in new.history()] == [50, 60]
    new.append_history(change(3, "b").model_copy(update={"incarnation": 1000}))
    assert [entry.epoch for entry in new.history()] == [50, 60, 3]


def test_an_incarnation_grows_though_the_clock_does_not(old: Store) -> None:
    document = document_of(old).model_copy(update={"incarnation": 5000})
    new = new_store()
    import_group(new, document, by="ann", wall=lambda: 1000.0)
    assert read_group(new.backend, new.paths).incarnation == 5001


def test_a_group_that_is_there_is_not_touched_unless_that_is_asked_for(old: Store) -> None:
    new = new_store()
    new.create_group(GroupConfig())
    new.append_history(change(3, "b"))
    with pytest.raises(OperationRefused, match="--into-existing"):
        import_group(new, document_of(old), by="ann")
    assert read_group(new.backend, new.paths).pause is None
    written = import_group(new, document_of(old), by="ann", into_existing=True)
    view = read_group(new.backend, new.paths)
    assert view.config is not None
    assert (view.config.record, view.pause) == (CONFIG, None)
    assert written == [new.paths.config, new.paths.history, new.paths.cluster]
    assert [entry.to for entry in new.history()] == ["b", "a", "a"]


def test_a_cluster_that_is_there_stays(old: Store) -> None:
    new = new_store()
    new.create_group(GroupConfig())
    other = CLUSTER.model_copy(update={"founder": "rabbit@b"})
    new.write_cluster(other, None)
    import_group(new, document_of(old), by="ann", into_existing=True)
    there = new.cluster()
    assert there is not None
    assert there.record.founder == "rabbit@b"


@pytest.mark.parametrize("into_existing", [False, True])
def test_a_dry_run_says_the_same_and_writes_nothing(old: Store, into_existing: bool) -> None:
    new = new_store()
    if into_existing:
        new.create_group(GroupConfig())
    zookeeper = new.backend.zookeeper  # type: ignore[attr-defined]
    before = zookeeper.tree
    said = import_group(new, document_of(old), by="ann", into_existing=into_existing, dry_run=True)
    assert zookeeper.tree == before
    assert import_group(new, document_of(old), by="ann", into_existing=into_existing) == said


def test_what_is_not_there_is_neither_exported_nor_imported_into(old: Store) -> None:
    nothing = new_store()
    with pytest.raises(UnknownGroup):
        export_group(nothing)
    with pytest.raises(UnknownGroup):
        import_group(nothing, document_of(old), by="ann", into_existing=True)
    with pytest.raises(OperationRefused, match="give -g orders"):
        import_group(new_store("others"), document_of(old), by="ann")


@pytest.mark.parametrize("part", ["config", "cluster", "history"])
def test_a_document_that_holds_no_such_record_is_refused_by_name(old: Store, part: str) -> None:
    document = document_of(old).model_copy(update={part: {"v": 7}})
    new = new_store()
    with pytest.raises(RecordError, match=f"the document's {part} does not hold"):
        import_group(new, document, by="ann")
    assert new.backend.stat(new.paths.root) is None


@pytest.mark.parametrize("text", [b"", b"[]", b'{"v":1}', b'{"v":2,"group":"orders"}'])
def test_what_is_no_document_says_so(text: bytes) -> None:
    with pytest.raises(RecordError, match=r"^group\.json does not hold a GroupDocument"):
        parse_document(text, "group.json")


def test_a_record_that_is_spoilt_is_not_exported_as_none(old: Store) -> None:
    old.backend.zookeeper.by_hand(old.paths.history, b"{]")  # type: ignore[attr-defined]
    with pytest.raises(RecordError, match="history"):
        export_group(old)

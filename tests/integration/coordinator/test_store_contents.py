"""The store with a real ZooKeeper: the history, what others have written, and the cluster with its lock."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.store_records import change, leader, member, there

from rabbitkeeper.coordinator.backend.interface import Backend
from rabbitkeeper.coordinator.backend.node import Node
from rabbitkeeper.coordinator.model.errors import (
    Conflict,
    FormationBusy,
    LeaderExists,
    RecordError,
)
from rabbitkeeper.coordinator.model.records import (
    ClusterNode,
    ClusterRecord,
    PauseRecord,
    utcnow,
)
from rabbitkeeper.coordinator.store.reader import GroupReader, read_group
from rabbitkeeper.coordinator.store.store import Store
from rabbitkeeper.coordinator.zookeeper.backend import ZooKeeperBackend

pytestmark = pytest.mark.zookeeper

Connect = Callable[..., Backend]
Stores = Callable[..., Store]


# -- the history


def test_entries_of_many_writers_are_all_kept_and_none_twice(stores: Stores) -> None:
    writers = [stores() for _ in range(4)]

    def write(number: int) -> None:
        for epoch in range(1, 16):
            writers[number].append_history(change(epoch), timeout=20.0)  # everybody's
            writers[number].append_history(change(100 * (number + 1) + epoch), timeout=20.0)  # its own

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    epochs = [entry.epoch for entry in writers[0].history()]
    assert epochs == sorted([*range(1, 16), *(100 * n + e for n in range(1, 5) for e in range(1, 16))])


def test_a_history_that_cannot_be_read_is_left_alone(stores: Stores) -> None:
    store = stores()
    store.backend.set(store.paths.history, b"{}[]", 0)
    for act in (store.history, lambda: store.append_history(change(1))):
        with pytest.raises(RecordError, match=store.paths.history):
            act()
    assert there(store, store.paths.history).data == b"{}[]"
    store.register(member("a"))
    store.take_lead(leader("a"))  # leading does not depend on it


def test_a_history_that_is_gone_begins_again(stores: Stores) -> None:
    store = stores()
    store.backend.delete(store.paths.history, 0)
    store.append_history(change(1))
    assert [entry.epoch for entry in store.history()] == [1]


def test_the_history_is_read_only_when_it_has_changed(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = stores()
    store.append_history(change(1))
    read: list[str] = []
    original = ZooKeeperBackend.read

    def counting(
        self: ZooKeeperBackend, paths: Sequence[str], *, watch: bool = False, timeout: float = 2.0
    ) -> dict[str, Node | None]:
        read.extend(paths)
        return original(self, paths, watch=watch, timeout=timeout)

    monkeypatch.setattr(ZooKeeperBackend, "read", counting)
    for _ in range(3):
        view = store.snapshot()
        assert view.last_change is not None
        assert view.last_change.epoch == 1
    assert read.count(store.paths.history) == 1
    store.append_history(change(2))
    view = store.snapshot()
    assert view.last_change is not None
    assert view.last_change.epoch == 2


# -- what others have written


RUBBISH = [b"", b"\xff\xfe\x00", b"[]", b'{"v":2}', b'{"v":1}', b'"text"', b"{" * 100_000]


@pytest.mark.parametrize("data", RUBBISH, ids=["empty", "binary", "list", "v2", "v1", "string", "deep"])
def test_rubbish_in_any_znode_is_named_and_stops_nothing(stores: Stores, data: bytes) -> None:
    store = stores()
    paths, session = store.paths, store.backend
    store.register(member("a"))
    session.set(paths.config, data, 0)
    session.set(paths.history, data, 0)
    for path in (paths.member("b"), paths.cluster, paths.pause, paths.leader):
        session.create(path, data)
    session.create(f"{paths.members}/ünwanted name", data)
    view = store.snapshot()
    assert list(view.members) == ["a"]
    assert view.leader is None
    assert view.leader_unreadable is not None
    assert view.cluster is None
    assert view.last_change is None
    assert view.pause is not None, "a pause that cannot be read still pauses"
    named = [paths.member("b"), paths.cluster, paths.pause, paths.leader, paths.members]
    if data != b'{"v":1}':  # which is a configuration of defaults, and an empty history
        named += [paths.config, paths.history]
        assert view.config is None
    for path in named:
        assert [problem for problem in view.problems if path in problem], path
    assert not any("\n" in problem for problem in view.problems)
    with pytest.raises(LeaderExists, match="cannot be read"):
        store.take_lead(leader("a"))


def test_a_member_under_another_name_is_left_out(stores: Stores) -> None:
    store = stores()
    store.backend.create(store.paths.member("b"), member("a").to_bytes())
    view = store.snapshot()
    assert view.members == {}
    assert "says it is member 'a'" in view.problems[0]


def test_the_pause_is_seen(stores: Stores) -> None:
    store, other = stores(), stores()
    assert other.snapshot(watch=True).pause is None
    seen = other.backend.events
    pause = PauseRecord(by="ann", since=utcnow(), reason="new disks")
    store.backend.create(store.paths.pause, pause.to_bytes())
    assert other.backend.await_event(seen, 5.0)
    assert other.snapshot().pause == pause


def test_a_reader_without_history_and_a_single_read(stores: Stores) -> None:
    store = stores()
    store.append_history(change(1))
    assert GroupReader(store.backend, store.paths.group, with_history=False).read().last_change is None
    view = read_group(store.backend, store.paths, now=7.0)
    assert view.read_at == 7.0
    assert view.last_change is not None


# -- the formation of the cluster


def cluster(*nodes: str) -> ClusterRecord:
    return ClusterRecord(
        founder=nodes[0],
        formed=utcnow(),
        nodes={node: ClusterNode(member=node.partition("@")[2], joined=utcnow()) for node in nodes},
    )


def test_the_cluster_is_written_by_compare_and_set(stores: Stores) -> None:
    store, other = stores(), stores()
    assert store.cluster() is None
    first = store.write_cluster(cluster("rabbit@a"), None)
    with pytest.raises(Conflict):
        other.write_cluster(cluster("rabbit@b"), None)
    second = other.write_cluster(cluster("rabbit@a", "rabbit@b"), first.version)
    with pytest.raises(Conflict):
        store.write_cluster(cluster("rabbit@a", "rabbit@c"), first.version)
    assert store.cluster() == second
    assert store.snapshot().cluster == second


def test_one_holds_the_formation_lock_and_the_next_gets_it_at_once(stores: Stores) -> None:
    one, other = stores(), stores()
    holding, released = threading.Event(), threading.Event()

    def wait() -> float:
        with other.formation_lock("b", 60.0) as lock:
            assert lock.held()
            assert released.is_set()
            return time.monotonic()

    with ThreadPoolExecutor(1) as pool:
        with one.formation_lock("a", 1.0) as lock:
            assert lock.held()
            holding.set()
            waiting = pool.submit(wait)
            with pytest.raises(FormationBusy, match='"holder":"a"'), other.formation_lock("c", 0.3):
                pytest.fail("two hold it")
            released.set()
        ended = time.monotonic()
        assert waiting.result(60.0) - ended < 5.0
    assert not lock.held()


def test_the_formation_lock_goes_with_its_session_and_spares_the_next(stores: Stores) -> None:
    one, other = stores(), stores()
    with one.formation_lock("a", 1.0) as lock:
        one.backend.close()
        one.backend.start()
        assert not lock.held()
        with other.formation_lock("b", 5.0) as next_lock:
            lock.release()
            assert next_lock.held()
            assert not lock.held()

"""The store with a real ZooKeeper: each operation is atomic, safe to repeat, and safe when it comes late."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.waiting import wait_for

from rabbitkeeper.coordinator.backend.interface import Backend
from rabbitkeeper.coordinator.backend.node import Node, TransactionStep
from rabbitkeeper.coordinator.model.errors import (
    Conflict,
    CoordinationError,
    DuplicateMember,
    FormationBusy,
    LeaderExists,
    NotRegistered,
    RecordError,
    UnknownGroup,
    ZooKeeperUnreachable,
)
from rabbitkeeper.coordinator.model.records import (
    ClusterNode,
    ClusterRecord,
    GroupConfig,
    HistoryEntry,
    LeaderRecord,
    MemberRecord,
    MemberStatus,
    PauseRecord,
    Versions,
    utcnow,
)
from rabbitkeeper.coordinator.model.view import ConfigView, LeaderView
from rabbitkeeper.coordinator.store.reader import GroupReader, groups, read_group
from rabbitkeeper.coordinator.store.store import Store
from rabbitkeeper.coordinator.zookeeper.backend import ZooKeeperBackend

pytestmark = pytest.mark.zookeeper

Connect = Callable[..., Backend]
Stores = Callable[..., Store]


def member(name: str, instance: str = "1", state: MemberStatus = MemberStatus.RUNNING) -> MemberRecord:
    return MemberRecord(
        name=name,
        instance=instance,
        node=f"rabbit@{name}",
        versions=Versions(agent="0.1.0"),
        amqp=f"{name}:5672",
        state=state,
        since=utcnow(),
    )


def leader(name: str, cause: str = "first leader") -> LeaderRecord:
    return LeaderRecord(
        name=name, instance="1", node=f"rabbit@{name}", amqp=f"{name}:5672", since=utcnow(), cause=cause
    )


def change(epoch: int, to: str = "a") -> HistoryEntry:
    return HistoryEntry(
        epoch=epoch, previous=None, to=to, node=f"rabbit@{to}", cause="test", by=to, at=utcnow()
    )


def there(store: Store, path: str) -> Node:
    znode = store.backend.read([path])[path]
    assert znode is not None
    return znode


def led(store: Store) -> LeaderView:
    view = store.snapshot(watch=False)
    assert view.leader is not None
    return view.leader


# -- the group


def test_a_group_begins_once_however_many_begin_it(connect: Connect, group: str) -> None:
    made = [Store(connect(), group) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda store: store.create_group(GroupConfig()), made))
    view = made[0].snapshot()
    assert view.config == ConfigView(GroupConfig(), 0)
    assert (view.leader, dict(view.members), view.problems) == (None, {}, ())


def test_the_configuration_that_is_there_stays(stores: Stores) -> None:
    store = stores()
    path = store.paths.config
    for version, kept in enumerate((b'{"v":1,"mode":"cluster","later":true}', b"<not ours/>")):
        store.backend.set(path, kept, version)
        store.create_group(GroupConfig())
        assert there(store, path).data == kept


def test_what_was_deleted_of_a_group_comes_back(stores: Stores) -> None:
    store = stores()
    store.backend.delete(store.paths.history, 0)
    store.backend.delete(store.paths.members, 0)
    assert store.snapshot().members == {}
    assert store.history() == ()
    store.create_group(GroupConfig())
    store.register(member("a"))


def test_an_unknown_group_names_those_there_are(stores: Stores) -> None:
    known = stores()
    unknown = Store(known.backend, "no-such-group")
    for act in (unknown.snapshot, lambda: unknown.register(member("a"))):
        with pytest.raises(UnknownGroup, match=f"'no-such-group' does not exist .*{known.paths.group}"):
            act()
    assert known.paths.group in groups(known.backend)
    assert "no-such-group" not in groups(known.backend)


# -- the member


def test_a_member_is_there_as_long_as_its_session(stores: Stores) -> None:
    one, other = stores(), stores()
    assert not one.registered
    one.register(member("a"))
    assert one.registered
    assert other.snapshot().members["a"].owner == one.backend.session_id
    one.backend.close()
    assert not one.registered
    assert other.snapshot().members == {}


def test_a_name_belongs_to_one_live_instance(stores: Stores) -> None:
    one, other = stores(), stores()
    one.register(member("a", "first"))
    with pytest.raises(DuplicateMember, match=r"'a' is taken .* a \(instance first, node rabbit@a\)"):
        other.register(member("a", "second"))
    assert not other.registered
    assert there(one, one.paths.member("a")).owner == one.backend.session_id
    one.unregister()
    other.register(member("a", "second"))


def test_registering_again_is_no_duplicate_and_says_what_is_new(stores: Stores) -> None:
    """As after a create whose answer was lost."""
    store = stores()
    store.register(member("a"))
    forgetful = Store(store.backend, store.paths.group)
    forgetful.register(member("a", state=MemberStatus.DRAINING))
    assert forgetful.registered
    assert store.snapshot().members["a"].record.state is MemberStatus.DRAINING


def test_an_update_writes_only_what_is_new(stores: Stores) -> None:
    store = stores()
    path, record = store.paths.member("a"), member("a")
    store.register(record)
    store.update(record)
    assert there(store, path).version == 0
    store.update(member("a", state=MemberStatus.HUNG))
    assert there(store, path).version == 1


def test_what_somebody_else_wrote_over_a_member_does_not_last(stores: Stores) -> None:
    store, other = stores(), stores()
    path = store.paths.member("a")
    store.register(member("a"))
    other.backend.set(path, b"scribble", 0)
    store.update(member("a", state=MemberStatus.HUNG))
    assert store.snapshot().members["a"].record.state is MemberStatus.HUNG


def test_a_write_whose_answer_was_lost_is_made_good(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record goes back to what was acknowledged last; what is there says the opposite."""
    store = stores()
    well, sick = member("a"), member("a", state=MemberStatus.HUNG)
    store.register(well)
    done = ZooKeeperBackend.set

    def lost(self: ZooKeeperBackend, path: str, data: bytes, version: int, *, in_session: int) -> Node:
        done(self, path, data, version, in_session=in_session)
        raise ZooKeeperUnreachable("the answer was lost")

    with monkeypatch.context() as patch:
        patch.setattr(ZooKeeperBackend, "set", lost)
        with pytest.raises(ZooKeeperUnreachable):
            store.update(sick)
    assert store.snapshot().members["a"].record.state is MemberStatus.HUNG
    store.update(well)
    assert store.snapshot().members["a"].record.state is MemberStatus.RUNNING


def test_a_member_that_was_removed_is_not_registered(stores: Stores) -> None:
    store, other = stores(), stores()
    store.register(member("a"))
    other.backend.delete(store.paths.member("a"), 0)
    with pytest.raises(NotRegistered):
        store.update(member("a", state=MemberStatus.HUNG))
    assert not store.registered
    store.register(member("a"))
    assert store.registered


# -- the lead


def test_the_epoch_is_the_leaders_czxid_and_grows(stores: Stores) -> None:
    store = stores()
    store.register(member("a"))
    epochs = []
    for _ in range(3):
        epochs.append(store.take_lead(leader("a")))
        assert led(store).epoch == epochs[-1] == there(store, store.paths.leader).created
        assert store.resign(led(store))
    assert epochs == sorted(set(epochs))


def test_the_lead_is_taken_by_one_of_all_who_try(stores: Stores) -> None:
    rivals = [stores() for _ in range(3)]
    for number, store in enumerate(rivals):
        store.register(member(f"m{number}"))

    def campaign(number: int) -> int | None:
        try:
            return rivals[number].take_lead(leader(f"m{number}"))
        except LeaderExists:
            return None

    with ThreadPoolExecutor(3) as pool:
        for _ in range(30):
            epochs = list(pool.map(campaign, range(3)))
            assert len([epoch for epoch in epochs if epoch is not None]) == 1
            view = led(rivals[0])
            winner = next(number for number, epoch in enumerate(epochs) if epoch is not None)
            assert (view.epoch, view.record.name) == (epochs[winner], f"m{winner}")
            assert [store.resign(view) for store in rivals].count(True) == 1


def test_taking_the_lead_again_is_the_same_epoch(stores: Stores) -> None:
    """As after a create whose answer was lost."""
    store = stores()
    store.register(member("a"))
    assert store.take_lead(leader("a")) == store.take_lead(leader("a"))
    other = stores()
    other.register(member("b"))
    with pytest.raises(LeaderExists, match=r"was taken by a \(instance 1, node rabbit@a\)"):
        other.take_lead(leader("b"))


def test_nobody_leads_who_is_not_a_member(stores: Stores) -> None:
    store, other = stores(), stores()
    with pytest.raises(NotRegistered):
        store.take_lead(leader("a"))
    store.register(member("a"))
    other.backend.delete(store.paths.member("a"), 0)
    with pytest.raises(NotRegistered):
        store.take_lead(leader("a"))
    assert store.snapshot().leader is None


def test_resigning_says_why_in_the_same_step(stores: Stores) -> None:
    store, other = stores(), stores()
    store.register(member("a"))
    store.take_lead(leader("a"))
    seen: list[tuple[bool, MemberStatus]] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            view = other.snapshot(watch=False)
            seen.append((view.leader is not None, view.members["a"].record.state))

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look)
        wait_for(lambda: len(seen) > 3)
        assert store.resign(led(store), member("a", state=MemberStatus.HUNG))
        wait_for(lambda: seen[-1] == (False, MemberStatus.HUNG))
        stop.set()
        looking.result()
    # The leader is read last: a vacant lead is never seen beside a member that still looks well for it...
    assert set(seen) <= {
        (True, MemberStatus.RUNNING),
        (True, MemberStatus.HUNG),
        (False, MemberStatus.HUNG),
        (False, MemberStatus.RUNNING),  # ... save when the members were read just before
    }
    assert (False, MemberStatus.RUNNING) not in seen[-1:]
    store.update(member("a"))
    assert store.snapshot().members["a"].record.state is MemberStatus.RUNNING


def test_only_the_owner_resigns(stores: Stores) -> None:
    store, other = stores(), stores()
    store.register(member("a"))
    other.register(member("b"))
    store.take_lead(leader("a"))
    assert not other.resign(led(other))
    assert led(other).record.name == "a"
    old = led(store)
    assert store.resign(old)
    assert not store.resign(old)
    other.take_lead(leader("b"))
    assert not store.resign(old)
    assert led(store).record.name == "b"


def test_a_resignation_that_comes_late_does_not_hit_the_next_leader(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is held back until the session is lost and another leads, then sent in the next session."""
    store, other = stores(timeout=6.0), stores()
    store.register(member("a"))
    other.register(member("b"))
    store.take_lead(leader("a"))
    late: list[Sequence[TransactionStep]] = []

    def hold(self: ZooKeeperBackend, operations: Sequence[TransactionStep], **_: object) -> None:
        late.append(operations)
        raise ZooKeeperUnreachable("not answered")

    with monkeypatch.context() as patch:
        patch.setattr(ZooKeeperBackend, "transaction", hold)
        with pytest.raises(ZooKeeperUnreachable):
            store.resign(led(store))
    store.backend.close()
    store.backend.start()
    other.take_lead(leader("b"))
    with pytest.raises(CoordinationError):
        store.backend.transaction(late[0])
    assert led(other).record.name == "b"
    # And what is bound to the old session is not even sent.
    with pytest.raises(CoordinationError, match="is no more"):
        store.backend.delete(store.paths.leader, 0, in_session=1)


def test_the_lead_goes_with_the_session(stores: Stores) -> None:
    store, other = stores(), stores()
    store.register(member("a"))
    store.take_lead(leader("a"))
    assert other.snapshot(watch=True).leader is not None
    seen = other.backend.events
    store.backend.close()
    assert other.backend.await_event(seen, 5.0)
    view = other.snapshot()
    assert view.leader is None
    assert view.members == {}


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
        with other.formation_lock("b", 10.0) as lock:
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
        assert waiting.result(10.0) - ended < 0.5
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

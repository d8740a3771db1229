"""The store with a real ZooKeeper: each operation is atomic, safe to repeat, and safe when it comes late."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.store_records import leader, led, member, there
from support.waiting import wait_for

from rabbitkeeper.coordinator.backend.interface import Backend
from rabbitkeeper.coordinator.backend.node import Node, TransactionStep
from rabbitkeeper.coordinator.model.errors import (
    CoordinationError,
    DuplicateMember,
    LeaderExists,
    NotRegistered,
    UnknownGroup,
    ZooKeeperUnreachable,
)
from rabbitkeeper.coordinator.model.records import (
    GroupConfig,
    MemberStatus,
)
from rabbitkeeper.coordinator.model.view import ConfigView
from rabbitkeeper.coordinator.store.reader import groups
from rabbitkeeper.coordinator.store.store import Store
from rabbitkeeper.coordinator.zookeeper.backend import ZooKeeperBackend

pytestmark = pytest.mark.zookeeper

Connect = Callable[..., Backend]
Stores = Callable[..., Store]


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

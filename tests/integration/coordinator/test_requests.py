"""What is asked of a real ZooKeeper through one session: reads, writes, transactions, watches."""

import threading
from collections.abc import Callable

import pytest
from support.waiting import wait_for
from support.zookeeper.proxy import Proxy

from rabbitkeeper.coordinator.backend.interface import Backend
from rabbitkeeper.coordinator.backend.node import Check, Create, Delete, Set, TransactionStep
from rabbitkeeper.coordinator.connect import backend_at
from rabbitkeeper.coordinator.model.errors import (
    Conflict,
    NodeError,
    NodeExists,
    NoNode,
)

pytestmark = pytest.mark.zookeeper

Connect = Callable[..., Backend]


def gone(session: Backend, path: str) -> bool:
    return session.stat(path) is None


def test_read_finds_what_is_there_in_any_number(connect: Connect, root: str) -> None:
    session = connect()
    paths = [f"{root}/{number:03}" for number in range(150)]
    for path in paths[::2]:
        session.create(path, path.encode())
    found = session.read([*paths, f"{root}/nowhere/at/all"], watch=True)
    assert [path for path, znode in found.items() if znode is not None] == paths[::2]
    znode = found[paths[0]]
    assert znode is not None
    assert (znode.data, znode.version, znode.owner) == (paths[0].encode(), 0, 0)
    assert znode.created == znode.modified > 0
    assert session.children(root) == tuple(path.rpartition("/")[2] for path in paths[::2])
    assert session.children(f"{root}/nowhere") is None


def test_set_and_delete_take_version_0_for_a_version(connect: Connect, root: str) -> None:
    session, path = connect(), f"{root}/x"
    session.create(path, b"0")
    assert session.set(path, b"1", 0).version == 1
    with pytest.raises(Conflict) as conflict:
        session.set(path, b"2", 0)
    assert conflict.value.path == path
    with pytest.raises(Conflict):
        session.delete(path, 0)
    with pytest.raises(ValueError, match="any version"):
        session.delete(path, -1)
    session.delete(path, 1)
    with pytest.raises(NoNode):
        session.set(path, b"2", 1)


def test_a_transaction_does_all_or_nothing_and_tells_what_failed(connect: Connect, root: str) -> None:
    session = connect()
    a, b, c = f"{root}/a", f"{root}/b", f"{root}/c"
    session.transaction([Create(a, b""), Create(b, b"", ephemeral=True), Set(a, b"1", 0)])
    cases: list[tuple[list[TransactionStep], type[NodeError], str]] = [
        ([Check(a, 1), Create(c, b""), Create(b, b"")], NodeExists, b),
        ([Create(c, b""), Check(a, 0)], Conflict, a),
        ([Create(c, b""), Delete(f"{root}/d", 0)], NoNode, f"{root}/d"),
        ([Create(c, b""), Set(b, b"", 7)], Conflict, b),
        ([Create(f"{root}/d/e", b""), Create(c, b"")], NoNode, f"{root}/d/e"),
    ]
    for operations, error, path in cases:
        with pytest.raises(error) as failed:
            session.transaction(operations)
        assert failed.value.path == path
        assert gone(session, c)
    session.transaction([Check(a, 1), Delete(b, 0), Delete(a, 1)])
    assert session.children(root) == ()


def test_a_watch_wakes_once_however_often_it_was_read(connect: Connect, root: str) -> None:
    wakes: list[None] = []
    session, other = connect(wake=lambda: wakes.append(None)), connect()
    path = f"{root}/x"
    for _ in range(50):
        session.read([path], watch=True)
    wakes.clear()
    other.create(path, b"")
    wait_for(lambda: wakes)
    session.sync()
    assert len(wakes) == 1


def test_every_kind_of_change_wakes(connect: Connect, root: str) -> None:
    woken = threading.Event()
    session, other = connect(wake=woken.set), connect()
    path = f"{root}/x"

    def wakes(change: Callable[[], object]) -> None:
        session.read([path], watch=True)
        session.children(root, watch=True)
        woken.clear()
        seen = session.events
        change()
        assert woken.wait(5.0)
        assert session.await_event(seen, 5.0)

    wakes(lambda: other.create(path, b""))
    wakes(lambda: other.set(path, b"1", 0))
    wakes(lambda: other.create(f"{root}/y", b""))
    wakes(lambda: other.delete(path, 1))


def test_a_lost_connection_wakes_those_who_watch(connect: Connect, proxy: Proxy, root: str) -> None:
    session = backend_at(proxy.address, timeout=10.0)
    session.start()
    session.read([root], watch=True)
    seen = session.events
    proxy.cut()
    assert session.await_event(seen, 5.0)
    assert not session.connected
    session.close()

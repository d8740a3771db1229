"""What every backend must keep, as scenarios: run against the simulated one and against a real ZooKeeper.

A subclass in a test module gives the fixture ``lab``. What belongs to one backend alone (outages, hung
servers, kazoo) is tested with it.
"""

from collections.abc import Callable
from typing import Protocol

import pytest

from rabbitkeeper.coordinator.backend.interface import Backend
from rabbitkeeper.coordinator.backend.node import Check, Create, Delete, Node, Set, TransactionStep
from rabbitkeeper.coordinator.model.errors import (
    Conflict,
    NodeError,
    NodeExists,
    NoNode,
    SessionLost,
    ZooKeeperUnreachable,
)


def _nobody() -> None:
    """Nobody is to be woken."""


class Lab(Protocol):
    """One service with any number of sessions, and its time."""

    @property
    def root(self) -> str:
        """A path of this test's own; it exists."""

    def connect(self, wake: Callable[[], None] = _nobody) -> Backend:
        """A started backend, closed after the test."""

    def now(self) -> float:
        """Seconds, monotonic: the backends' clock."""

    def until(
        self, condition: Callable[[], object], tick: Callable[[], object] = _nobody, timeout: float = 20.0
    ) -> None:
        """Let time pass until ``condition`` holds; ``tick`` is called again and again meanwhile."""


class BackendContract:
    # -- nodes

    def test_a_node_that_was_created_is_read_as_it_was_written(self, lab: Lab) -> None:
        backend, path = lab.connect(), f"{lab.root}/x"
        made = backend.create(path, b"one")
        assert (made.data, made.version, made.owner) == (b"one", 0, 0)
        assert made.created == made.modified > 0
        assert backend.read([path, f"{lab.root}/nowhere"]) == {path: made, f"{lab.root}/nowhere": None}
        stat = backend.stat(path)
        assert stat is not None
        assert (stat.data, stat.version, stat.created, stat.modified) == (b"", 0, made.created, made.modified)
        assert backend.stat(f"{lab.root}/nowhere") is None

    def test_a_write_moves_the_version_and_not_what_it_was_created_with(self, lab: Lab) -> None:
        backend, path = lab.connect(), f"{lab.root}/x"
        made = backend.create(path, b"one")
        written = backend.set(path, b"two", 0)
        assert (written.data, written.version, written.created) == (b"two", 1, made.created)
        assert written.modified > made.modified
        assert backend.read([path])[path] == written

    def test_who_is_created_later_has_the_larger_number_also_under_the_same_path(self, lab: Lab) -> None:
        one, other, path = lab.connect(), lab.connect(), f"{lab.root}/leader"
        numbers = []
        for backend in (one, other, one):
            numbers.append(backend.create(path, b"").created)
            backend.create(f"{lab.root}/{len(numbers)}", b"")
            backend.delete(path, 0)
        assert numbers == sorted(set(numbers))

    def test_a_write_over_another_version_is_refused_and_changes_nothing(self, lab: Lab) -> None:
        backend, path = lab.connect(), f"{lab.root}/x"
        backend.create(path, b"one")
        there = backend.set(path, b"two", 0)
        for write in (lambda: backend.set(path, b"three", 0), lambda: backend.delete(path, 0)):
            with pytest.raises(Conflict) as refused:
                write()
            assert refused.value.path == path
        assert backend.read([path])[path] == there

    def test_no_write_takes_any_version(self, lab: Lab) -> None:
        backend, path = lab.connect(), f"{lab.root}/x"
        there = backend.create(path, b"one")
        for write in (
            lambda: backend.set(path, b"two", -1),
            lambda: backend.delete(path, -1),
            lambda: backend.transaction([Create(f"{lab.root}/y", b""), Check(path, -1)]),
        ):
            with pytest.raises(ValueError, match="any version"):
                write()
        assert backend.read([path, f"{lab.root}/y"]) == {path: there, f"{lab.root}/y": None}

    def test_what_is_there_is_not_created_and_what_is_not_there_is_not_written(self, lab: Lab) -> None:
        backend, path, nowhere = lab.connect(), f"{lab.root}/x", f"{lab.root}/nowhere"
        backend.create(path, b"one")
        with pytest.raises(NodeExists) as exists:
            backend.create(path, b"two")
        assert exists.value.path == path
        for write in (
            lambda: backend.set(nowhere, b"", 0),
            lambda: backend.delete(nowhere, 0),
            lambda: backend.create(f"{nowhere}/below", b""),
        ):
            with pytest.raises(NoNode):
                write()

    def test_children_are_sorted_and_told_from_no_node(self, lab: Lab) -> None:
        backend = lab.connect()
        assert backend.children(lab.root) == ()
        for name in ("b", "a", "c"):
            backend.create(f"{lab.root}/{name}", b"")
        backend.create(f"{lab.root}/a/below", b"")
        assert backend.children(lab.root) == ("a", "b", "c")
        assert backend.children(f"{lab.root}/nowhere") is None

    def test_a_path_is_made_whole_and_again(self, lab: Lab) -> None:
        backend = lab.connect()
        for _ in range(2):
            backend.ensure_path(f"{lab.root}/a/b/c")
        assert backend.children(f"{lab.root}/a/b") == ("c",)

    def test_what_one_has_written_another_reads_after_it_has_synced(self, lab: Lab) -> None:
        one, other, path = lab.connect(), lab.connect(), f"{lab.root}/x"
        other.read([path], watch=True)
        made = one.create(path, b"")
        other.sync()
        assert other.read([path])[path] == made

    # -- transactions

    def test_a_transaction_does_all_in_order(self, lab: Lab) -> None:
        backend, a, b = lab.connect(), f"{lab.root}/a", f"{lab.root}/b"
        backend.transaction([Create(a, b""), Create(b, b"", ephemeral=True), Set(a, b"1", 0)])
        found = backend.read([a, b])
        assert [_owner(found[path]) for path in (a, b)] == [0, backend.session_id]
        backend.transaction([Check(a, 1), Delete(b, 0), Delete(a, 1)])
        assert backend.children(lab.root) == ()

    def test_a_transaction_that_is_refused_does_nothing_and_tells_where(self, lab: Lab) -> None:
        backend = lab.connect()
        a, b, c = f"{lab.root}/a", f"{lab.root}/b", f"{lab.root}/c"
        backend.create(a, b"")
        backend.create(b, b"")
        cases: list[tuple[list[TransactionStep], type[NodeError], str]] = [
            ([Check(a, 0), Create(c, b""), Create(b, b"")], NodeExists, b),
            ([Create(c, b""), Check(a, 1)], Conflict, a),
            ([Create(c, b""), Set(b, b"", 7)], Conflict, b),
            ([Create(c, b""), Delete(f"{lab.root}/d", 0)], NoNode, f"{lab.root}/d"),
            ([Set(a, b"", 0), Create(f"{lab.root}/d/e", b"")], NoNode, f"{lab.root}/d/e"),
        ]
        before = backend.read([a, b, c])
        for steps, error, path in cases:
            with pytest.raises(error) as refused:
                backend.transaction(steps)
            assert refused.value.path == path
            assert backend.read([a, b, c]) == before

    # -- the session

    def test_ephemerals_go_with_their_session_and_in_one_step(self, lab: Lab) -> None:
        one, other = lab.connect(), lab.connect()
        kept = one.create(f"{lab.root}/kept", b"")
        mine = [one.create(f"{lab.root}/{name}", b"", ephemeral=True) for name in ("a", "b")]
        assert {node.owner for node in mine} == {one.session_id}
        assert one.session_id != other.session_id
        one.close()
        lab.until(lambda: other.stat(mine[0].path) is None)
        assert other.read([node.path for node in [kept, *mine]]) == {
            kept.path: kept,
            mine[0].path: None,
            mine[1].path: None,
        }

    def test_what_is_meant_for_another_session_is_not_done(self, lab: Lab) -> None:
        backend, path = lab.connect(), f"{lab.root}/x"
        there = backend.create(path, b"")
        another = backend.session_id + 1
        for write in (
            lambda: backend.create(f"{lab.root}/y", b"", ephemeral=True, in_session=another),
            lambda: backend.set(path, b"1", 0, in_session=another),
            lambda: backend.delete(path, 0, in_session=another),
            lambda: backend.transaction([Delete(path, 0)], in_session=another),
        ):
            with pytest.raises(SessionLost):
                write()
        assert backend.read([path, f"{lab.root}/y"]) == {path: there, f"{lab.root}/y": None}
        backend.delete(path, 0, in_session=backend.session_id)

    def test_a_started_session_holds_a_lease_of_what_was_granted(self, lab: Lab) -> None:
        backend = lab.connect()
        assert backend.connected
        assert (backend.generation, backend.connections > 0) == (1, True)
        assert backend.lease.timeout == backend.timeout
        assert 0 < backend.lease.remaining(lab.now()) < backend.timeout
        assert backend.established_at is not None
        assert backend.connected_since is not None
        assert backend.disconnected_since is None

    def test_the_lease_ends_unless_it_is_renewed(self, lab: Lab) -> None:
        backend = lab.connect()
        number = backend.session_id
        lab.until(lambda: not backend.lease.valid(lab.now()))
        assert (backend.connected, backend.session_id) == (True, number), "the session itself lives"
        lab.until(lambda: backend.lease.valid(lab.now()), tick=backend.renew)

    def test_a_closed_session_says_so_and_does_nothing(self, lab: Lab) -> None:
        backend = lab.connect()
        backend.close()
        backend.close()
        assert (backend.connected, backend.session_id) == (False, 0)
        assert not backend.lease.valid(lab.now())
        with pytest.raises(ZooKeeperUnreachable):
            backend.read([lab.root])
        with pytest.raises(ZooKeeperUnreachable):
            backend.create(f"{lab.root}/x", b"")

    # -- watches

    @pytest.mark.parametrize("what", ["it is created", "it is written", "it is deleted", "a child comes"])
    def test_what_is_watched_wakes(self, lab: Lab, what: str) -> None:
        woken: list[None] = []
        watcher, other, path = lab.connect(lambda: woken.append(None)), lab.connect(), f"{lab.root}/x"
        if what != "it is created":
            other.create(path, b"")
            watcher.sync()
        if what == "a child comes":
            watcher.children(path, watch=True)
        else:
            watcher.read([path], watch=True)
        seen, before = watcher.events, len(woken)
        match what:
            case "it is created":
                other.create(path, b"")
            case "it is written":
                other.set(path, b"1", 0)
            case "it is deleted":
                other.delete(path, 0)
            case _:
                other.create(f"{path}/child", b"")
        assert watcher.await_event(seen, 10.0)
        lab.until(lambda: len(woken) > before)

    def test_a_watch_is_good_for_one_change_and_reading_again_does_not_pile_it_up(self, lab: Lab) -> None:
        watcher, other, path = lab.connect(), lab.connect(), f"{lab.root}/x"
        for _ in range(20):
            watcher.read([path], watch=True)
        seen = watcher.events
        other.create(path, b"")
        assert watcher.await_event(seen, 10.0)
        assert watcher.events == seen + 1
        other.set(path, b"1", 0)
        watcher.sync()
        assert watcher.events == seen + 1

    def test_what_was_touched_is_told_once(self, lab: Lab) -> None:
        watcher, other = lab.connect(), lab.connect()
        other.create(f"{lab.root}/x", b"")
        watcher.sync()
        watched = [f"{lab.root}/x", f"{lab.root}/y"]
        watcher.read([*watched, f"{lab.root}/z"], watch=True)
        watcher.children(f"{lab.root}/x", watch=True)
        assert watcher.touched() == frozenset()
        other.create(watched[1], b"")
        other.set(watched[0], b"two", 0)
        touched: set[str] = set()

        def all_told() -> bool:
            touched.update(watcher.touched())
            return touched == set(watched)

        lab.until(all_told)
        assert watcher.touched() == frozenset()
        watcher.children(f"{lab.root}/x", watch=True)
        other.create(f"{lab.root}/x/below", b"")
        lab.until(lambda: watcher.touched() == {f"{lab.root}/x"})

    def test_nothing_wakes_who_watches_nothing_that_changes(self, lab: Lab) -> None:
        watcher, other = lab.connect(), lab.connect()
        watcher.read([f"{lab.root}/x"], watch=True)
        watcher.read([f"{lab.root}/y"])
        seen = watcher.events
        other.create(f"{lab.root}/y", b"")
        assert not watcher.await_event(seen, 0.2)


def _owner(node: Node | None) -> int | None:
    return None if node is None else node.owner

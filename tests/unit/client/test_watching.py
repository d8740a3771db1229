"""Clients of one process share the watch of a group: it begins with the first and ends with the last."""

import ssl
from random import Random

import pytest
from simulation.backend import SimulatedBackend
from simulation.world import World
from simulation.zookeeper import SimulatedZooKeeper
from support.group_views import member

from rabbitkeeper.client.discovery.group_watch import GroupWatch
from rabbitkeeper.client.routing.placement import Targets
from rabbitkeeper.client.watching import WatchedGroup, Watches, Watching, group_of_agents
from rabbitkeeper.coordinator.backend.node import Create
from rabbitkeeper.coordinator.model.errors import UnknownGroup
from rabbitkeeper.coordinator.model.paths import GroupPaths

PATHS = GroupPaths("orders")
GROUP = WatchedGroup("zk:2181", "orders", None, None, 6.0)


class Process:
    """A process with clients, and a simulated ZooKeeper."""

    def __init__(self, *, is_there: bool = True) -> None:
        self.world = World(seed=1)
        self.zookeeper = SimulatedZooKeeper(self.world)
        if is_there:
            self.create_group()
        self.watches = Watches()
        self.backends: list[SimulatedBackend] = []

    def create_group(self) -> None:
        for path in ("/rabbitkeeper", PATHS.root, PATHS.members):
            self.zookeeper.apply([Create(path, b"")], 0)
        self.zookeeper.apply([Create(PATHS.config, b'{"v": 1}')], 0)

    def make(self) -> GroupWatch:
        def backend(wake: object) -> SimulatedBackend:
            self.backends.append(SimulatedBackend(self.zookeeper, 6.0, lambda: None))
            return self.backends[-1]

        return GroupWatch(backend, "orders", random=Random(1), name="test", now=lambda: self.world.now)

    def client(self, group: WatchedGroup = GROUP) -> tuple[Watching, list[Targets]]:
        seen: list[Targets] = []
        watching = Watching(
            group,
            publish=seen.append,
            emit=lambda _: None,
            secure=False,
            name="test",
            make=self.make,
            watches=self.watches,
        )
        return watching, seen


def test_a_group_that_is_asked_for_at_agents_shows_no_token() -> None:
    one, same = (group_of_agents(["http://a"], "orders", "geheim", None, zookeeper=None) for _ in range(2))
    assert "geheim" not in f"{one!r} {one.unreachable()}"
    assert (one, hash(one)) == (same, hash(same))
    assert one != group_of_agents(["http://a"], "orders", "another", None, zookeeper=None)


def test_the_first_client_begins_the_watch_and_the_last_one_ends_it() -> None:
    process = Process()
    first, _ = process.client()
    second, _ = process.client()
    first.start(5.0)
    second.start(5.0)
    assert len(process.backends) == 1
    first.stop()
    first.stop()
    assert not process.backends[0].closed
    assert second.connected
    second.stop()
    assert process.backends[0].closed
    third, _ = process.client()
    third.start(5.0)
    assert len(process.backends) == 2
    third.stop()


def test_clients_that_ask_otherwise_have_another_watch() -> None:
    process = Process()
    first, _ = process.client()
    second, _ = process.client(WatchedGroup("zk:2181", "orders", ("app", "secret"), None, 6.0))
    first.start(5.0)
    second.start(5.0)
    assert len(process.backends) == 2
    first.stop()
    second.stop()


def test_a_start_that_fails_leaves_the_next_to_begin() -> None:
    process = Process(is_there=False)
    first, _ = process.client()
    with pytest.raises(UnknownGroup):
        first.start(5.0)
    first.stop()
    process.create_group()
    second, _ = process.client()
    second.start(5.0)
    assert second.connected
    second.stop()


def test_one_can_be_closed_while_another_of_the_same_thread_begins() -> None:
    process = Process()
    first, _ = process.client()
    first.start(5.0)
    seen: list[Targets] = []

    def close_the_first(targets: Targets) -> None:
        """As a signal handler does that comes just then."""
        seen.append(targets)
        first.stop()

    process.zookeeper.apply([Create(PATHS.member("a"), member("a", 0).record.to_bytes())], 0)
    process.world.advance(process.world.now + 5.0)  # and the change is told
    process.watches.shared[GROUP].watch.turn(woken=True)  # type: ignore[union-attr]
    second = Watching(
        GROUP,
        publish=close_the_first,
        emit=lambda _: None,
        secure=False,
        name="test",
        make=process.make,
        watches=process.watches,
    )
    second.start(5.0)
    assert len(seen) == 1
    assert second.connected
    assert not process.backends[0].closed
    second.stop()
    assert process.backends[0].closed


def test_what_nobody_listens_to_is_kept_nowhere() -> None:
    """A program may make a context for each client, and many clients one after the other."""
    process = Process()
    for _ in range(5):
        group = WatchedGroup("zk:2181", "orders", None, ssl.create_default_context(), 6.0)
        never_started, _ = process.client(group)
        one, _ = process.client(group)
        one.start(5.0)
        one.stop()
        never_started.stop()
    assert process.watches.shared == {}
    assert [backend.closed for backend in process.backends] == [True] * 5


def test_what_could_not_be_begun_is_kept_nowhere() -> None:
    process = Process(is_there=False)
    client, _ = process.client()
    with pytest.raises(UnknownGroup):
        client.start(5.0)
    assert process.watches.shared == {}

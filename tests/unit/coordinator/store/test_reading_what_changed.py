"""A reader that reads only what has changed sees what one sees that reads everything."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
from simulation.backend import SimulatedBackend
from simulation.world import World
from simulation.zookeeper import SimulatedZooKeeper
from support.group_views import leader, member

from rabbitkeeper.coordinator.backend.node import Create, Delete, Node, Set
from rabbitkeeper.coordinator.model.errors import CoordinationError, UnknownGroup, ZooKeeperUnreachable
from rabbitkeeper.coordinator.model.paths import GroupPaths
from rabbitkeeper.coordinator.model.view import GroupView
from rabbitkeeper.coordinator.store.reader import GroupReader

PATHS = GroupPaths("orders")
NAMES = ("a", "b", "c")


class CountingBackend(SimulatedBackend):
    """Says what was read."""

    def __init__(self, zookeeper: SimulatedZooKeeper) -> None:
        super().__init__(zookeeper, 6.0, lambda: None)
        self.asked: list[str] = []

    def read(
        self, paths: Sequence[str], *, watch: bool = False, timeout: float = 2.0
    ) -> dict[str, Node | None]:
        self.asked += paths
        return super().read(paths, watch=watch, timeout=timeout)

    def children(self, path: str, *, watch: bool = False, timeout: float = 2.0) -> tuple[str, ...] | None:
        self.asked.append(path)
        return super().children(path, watch=watch, timeout=timeout)


class Scene:
    """A group in a simulated ZooKeeper, and who reads it."""

    def __init__(self, seed: int = 1) -> None:
        self.world = World(seed=seed)
        self.zookeeper = SimulatedZooKeeper(self.world)
        for path in ("/rabbitkeeper", PATHS.root, PATHS.members):
            self.create(path)
        self.create(PATHS.config, b'{"v": 1}')
        for name in NAMES:
            self.join(name)
        self.backend = CountingBackend(self.zookeeper)
        self.backend.start()
        self.reader = GroupReader(self.backend, PATHS, with_history=False, clock=lambda: self.world.now)

    def create(self, path: str, data: bytes = b"") -> None:
        self.zookeeper.apply([Create(path, data)], 0)

    def delete(self, path: str) -> None:
        self.zookeeper.apply([Delete(path, self.zookeeper.tree[path].version)], 0)

    def write(self, path: str, data: bytes) -> None:
        self.zookeeper.apply([Set(path, data, self.zookeeper.tree[path].version)], 0)

    def join(self, name: str) -> None:
        self.create(PATHS.member(name), member(name, 0).record.to_bytes())

    def lead(self, name: str) -> None:
        self.create(PATHS.leader, leader(name, 0).record.to_bytes())

    def read(self, *, whole: bool = False) -> GroupView:
        self.backend.asked.clear()
        return self.reader.read(whole=whole)

    def fresh(self) -> GroupView:
        """What somebody sees who reads everything."""
        other = SimulatedBackend(self.zookeeper, 6.0, lambda: None)
        other.start()
        try:
            return GroupReader(other, PATHS, with_history=False, clock=lambda: self.world.now).read()
        finally:
            other.close()


def test_after_a_change_of_leaders_the_leader_alone_is_read() -> None:
    scene = Scene()
    scene.lead("a")
    assert scene.read().leader is not None
    scene.delete(PATHS.leader)
    scene.world.advance(scene.world.now + 5)
    assert scene.read().leader is None
    assert scene.backend.asked == [PATHS.leader]
    scene.lead("b")
    scene.world.advance(scene.world.now + 5)
    seen = scene.read().leader
    assert seen is not None
    assert seen.record.name == "b"
    assert scene.backend.asked == [PATHS.leader]
    scene.read()
    assert scene.backend.asked == []


def test_nothing_is_read_when_nothing_has_changed_but_all_of_it_on_demand() -> None:
    scene = Scene()
    first = scene.read()
    scene.world.advance(scene.world.now + 5)
    assert replace(scene.read(), read_at=first.read_at) == first
    assert scene.backend.asked == []
    scene.read(whole=True)
    assert len(scene.backend.asked) > len(NAMES)


def test_after_a_new_connection_everything_is_read() -> None:
    scene = Scene()
    scene.read()
    scene.backend.notice_break()
    scene.world.advance(scene.world.now + 10)
    scene.read()
    assert len(scene.backend.asked) > len(NAMES)


def test_what_could_not_be_read_is_read_by_the_next_that_can() -> None:
    scene = Scene()
    scene.read()
    scene.lead("a")
    scene.world.advance(scene.world.now + 5)
    scene.backend.slow = 5.0
    with pytest.raises(ZooKeeperUnreachable, match="in time"):
        scene.read()
    scene.backend.slow = 0.0
    assert scene.read().leader is not None
    assert scene.backend.asked == [PATHS.leader]


def test_what_was_read_without_a_watch_is_not_relied_on() -> None:
    scene = Scene()
    scene.reader.read(watch=False)
    scene.lead("a")
    scene.world.advance(scene.world.now + 5)
    assert scene.read().leader is not None


def test_a_group_that_goes_and_comes_back_is_seen() -> None:
    scene = Scene()
    scene.read()
    for path in (*map(PATHS.member, NAMES), PATHS.config, PATHS.members, PATHS.root):
        scene.delete(path)
    scene.world.advance(scene.world.now + 5)
    with pytest.raises(UnknownGroup):
        scene.read()
    for path in (PATHS.root, PATHS.members):
        scene.create(path)
    scene.join("a")
    scene.world.advance(scene.world.now + 5)
    assert set(scene.read().members) == {"a"}


@pytest.mark.parametrize("seed", range(30))
def test_whatever_changes_and_whatever_breaks_the_picture_becomes_the_whole_one(seed: int) -> None:
    chance = Random(seed)
    scene = Scene(seed)
    scene.backend.trouble = chance.choice((0.0, 0.5, 1.0))
    for _ in range(25):
        for _ in range(chance.randint(1, 4)):
            _change(scene, chance)
            scene.world.advance(scene.world.now + chance.choice((0.0, 0.01, 0.4)))
        if chance.random() < 0.1:
            scene.backend.notice_break()
        try:
            scene.read()
        except CoordinationError:
            scene.world.advance(scene.world.now + 0.2)
    scene.backend.trouble = 0.0
    scene.world.advance(scene.world.now + 20)  # it is connected, and every event has come
    seen = scene.read()
    fresh = scene.fresh()
    assert replace(seen, read_at=fresh.read_at, rollbacks=0) == replace(fresh, rollbacks=0)


def _change(scene: Scene, chance: Random) -> None:
    """One of what agents do."""
    tree = scene.zookeeper.tree
    name = chance.choice(NAMES)
    path = PATHS.member(name)
    match chance.randrange(4):
        case 0 if path in tree:
            scene.delete(path)
        case 0 | 1 if path not in tree:
            scene.join(name)
        case 1:
            scene.write(path, member(name, 0).record.to_bytes())
        case 2 if PATHS.leader in tree:
            scene.delete(PATHS.leader)
        case 2:
            scene.lead(name)
        case _ if PATHS.pause in tree:
            scene.delete(PATHS.pause)
        case _:
            scene.create(PATHS.pause, b'{"v": 1, "by": "ann", "since": "2026-01-01T00:00:00.000+00:00"}')

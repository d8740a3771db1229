"""The client's picture of its group: made from what is read, and kept while nothing can be read."""

import json
from dataclasses import replace
from random import Random

import pytest
from simulation.backend import SimulatedBackend
from simulation.world import World
from simulation.zookeeper import SimulatedZooKeeper
from support.group_views import MINE, OTHER, leader, member, view

from rabbitkeeper.client.discovery.group_watch import LEASE_CHECK, REREAD, GroupWatch
from rabbitkeeper.client.model.events import Event, ZooKeeperBack, ZooKeeperLost
from rabbitkeeper.client.routing.listener import Listener, targets_of
from rabbitkeeper.client.routing.placement import Target, Targets
from rabbitkeeper.coordinator.backend.node import Create, Delete
from rabbitkeeper.coordinator.model.errors import AccessDenied
from rabbitkeeper.coordinator.model.paths import GroupPaths
from rabbitkeeper.coordinator.model.records import MemberStatus
from rabbitkeeper.coordinator.model.view import LeaderView, MemberView

PATHS = GroupPaths("orders")


def with_tls(one: MemberView) -> MemberView:
    record = one.record.model_copy(update={"amqps": f"{one.record.name}:5671"})
    return replace(one, record=record)


def test_members_are_targets_with_their_state_site_and_load() -> None:
    loaded = member("b", OTHER, MemberStatus.ALARMED, site="south")
    loaded = replace(loaded, record=loaded.record.model_copy(update={"load": {"connections": 7}}))
    targets = targets_of(view(member("a", MINE), loaded, leader=leader("a", MINE)), Targets(3))
    assert targets.epoch == 7
    assert targets.members["b"] == Target("b", "b-1", "b:5672", MemberStatus.ALARMED, "south")
    assert targets.leader == targets.members["a"]
    assert targets.loads == {"b": 7}


def test_without_a_leader_the_last_epoch_stays() -> None:
    targets = targets_of(view(member("a", MINE)), Targets(3))
    assert (targets.epoch, targets.leader) == (3, None)


def test_a_leader_counts_without_a_znode_of_its_own_or_with_that_of_an_older_instance() -> None:
    target = Target("a", "a-1", "a:5672", MemberStatus.RUNNING)
    assert targets_of(view(member("b", OTHER), leader=leader("a", MINE)), Targets()).leader == target
    older = member("a", MINE, MemberStatus.STOPPED)
    older = replace(older, record=older.record.model_copy(update={"instance": "a-0"}))
    assert targets_of(view(older, leader=leader("a", MINE)), Targets()).leader == target


def test_with_tls_only_members_that_speak_it_are_targets() -> None:
    both = view(member("a", MINE), with_tls(member("b", OTHER)), leader=leader("a", MINE))
    targets = targets_of(both, Targets(), secure=True)
    assert {name: target.address for name, target in targets.members.items()} == {"b": "b:5671"}
    assert targets.leader is None
    assert targets.epoch == 7


class ClosedBackend(SimulatedBackend):
    """Whose ZooKeeper may deny to read the group."""

    denied = False

    def children(self, path: str, *, watch: bool = False, timeout: float = 2.0) -> tuple[str, ...] | None:
        if self.denied:
            raise AccessDenied(f"ZooKeeper denies access to {path}")
        return super().children(path, watch=watch, timeout=timeout)


class Scene:
    """A group in a simulated ZooKeeper, and a client that watches it."""

    def __init__(self) -> None:
        self.world = World(seed=1)
        self.zookeeper = SimulatedZooKeeper(self.world)
        self.zookeeper.lags = (0.0,)
        self.create_group()
        self.seen: list[Targets] = []
        self.events: list[Event] = []
        self.wakes = 0
        self.watch = GroupWatch(
            self._backend,
            "orders",
            random=Random(1),
            name="test",
            now=lambda: self.world.now,
        )
        self.watch.add(Listener(self.seen.append, self.events.append))
        self.backend.start()

    def create_group(self) -> None:
        for path in ("/rabbitkeeper", PATHS.root, PATHS.members):
            self.zookeeper.apply([Create(path, b"")], 0)
        self.zookeeper.apply([Create(PATHS.config, b'{"v": 1}')], 0)

    def _backend(self, wake: object) -> SimulatedBackend:
        self.backend = ClosedBackend(self.zookeeper, 6.0, self._woken)
        return self.backend

    def _woken(self) -> None:
        self.wakes += 1

    def pass_time(self, seconds: float) -> None:
        """As the client's thread does: turn when something wakes it, and when it is time to."""
        end = self.world.now + seconds
        pause = self.turn()
        while self.world.now < end:
            wakes, due = self.wakes, self.world.now + pause
            while self.wakes == wakes and self.world.now < min(due, end):
                self.world.advance(min(self.world.now + 0.01, due, end))
            pause = self.turn(woken=self.wakes != wakes)

    def turn(self, *, woken: bool = False) -> float:
        return self.watch.turn(woken=woken)

    def join(self, name: str) -> None:
        self.zookeeper.apply([Create(PATHS.member(name), member(name, 0).record.to_bytes())], 0)

    def lead(self, name: str) -> None:
        made: LeaderView = leader(name, 0)
        self.zookeeper.apply([Create(PATHS.leader, made.record.to_bytes())], 0)


def test_every_change_is_seen_when_it_comes_and_told_once() -> None:
    scene = Scene()
    scene.join("a")
    scene.pass_time(1.0)
    scene.join("b")
    scene.lead("a")
    scene.pass_time(1.0)
    scene.pass_time(10.0)
    assert [(sorted(one.members), one.leader is not None) for one in scene.seen] in (
        [(["a"], False), (["a", "b"], True)],
        [(["a"], False), (["a", "b"], False), (["a", "b"], True)],
    )


@pytest.mark.parametrize("address", ["a:abc", ":5672", "", 7, "a:5672:1", "\ud800:5672"])
def test_a_member_with_an_address_that_is_none_is_left_out_and_told_once(
    address: object, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene()
    bad = json.loads(member("bad", 0).record.to_bytes()) | {"amqp": address, "load": {"connections": "many"}}
    scene.zookeeper.apply([Create(PATHS.member("bad"), json.dumps(bad).encode())], 0)
    for name in "ab":
        scene.join(name)
        scene.pass_time(1.0)
    assert sorted(scene.seen[-1].members) == ["a", "b"]
    assert sum(PATHS.member("bad") in one.getMessage() for one in caplog.records) == 1


def test_what_is_said_of_a_znode_cannot_move_the_cursor_or_turn_the_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = Scene()
    record = {**json.loads(member("b", OTHER).record.to_bytes()), "load": {"\x1b[2J\u202e": "much"}}
    scene.zookeeper.apply([Create(PATHS.member("b"), json.dumps(record).encode())], 0)
    scene.turn(woken=True)
    (problem,) = [one.getMessage() for one in caplog.records if PATHS.member("b") in one.getMessage()]
    assert problem.isprintable()


def test_the_group_is_read_now_and_then_without_a_cause() -> None:
    scene = Scene()
    scene.pass_time(1.0)
    scene.backend.notice_change = lambda changed: None  # type: ignore[method-assign]  # a watch that was lost
    scene.join("a")
    scene.pass_time(REREAD / 2 - 2.0)
    assert scene.seen == []
    scene.pass_time(REREAD / 2 + 2.0)
    assert [sorted(one.members) for one in scene.seen] == [["a"]]


def test_while_zookeeper_is_away_the_last_picture_stays() -> None:
    scene = Scene()
    scene.join("a")
    scene.pass_time(1.0)
    scene.zookeeper.stop()
    scene.pass_time(10.0)
    assert scene.turn() == LEASE_CHECK
    assert len(scene.seen) == 1
    assert not scene.watch.connected
    scene.zookeeper.start()
    scene.pass_time(10.0)
    assert [type(event) for event in scene.events] == [ZooKeeperLost, ZooKeeperBack]
    assert len(scene.seen) == 1
    assert scene.watch.connected


def test_a_group_that_is_gone_is_no_reason_to_leave() -> None:
    scene = Scene()
    scene.join("a")
    scene.pass_time(1.0)
    for path in sorted(scene.zookeeper.tree, reverse=True):
        if path != "/":
            scene.zookeeper.apply([Delete(path, scene.zookeeper.tree[path].version)], 0)
    scene.pass_time(5.0)
    assert len(scene.seen) == 1


def test_a_client_follows_a_group_that_begins_again_in_a_zookeeper_that_was_wiped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = Scene()
    scene.join("a")
    scene.pass_time(60.0)  # in which its zxid grows
    for _ in range(20):
        scene.lead("a")
        scene.zookeeper.apply([Delete(PATHS.leader, 0)], 0)
    scene.lead("a")
    scene.pass_time(1.0)
    before = scene.seen[-1]
    scene.zookeeper.wipe()
    scene.pass_time(10.0)
    assert scene.seen[-1] == before, "what works stays as it was while there is no group"
    assert sum("does not exist" in one.getMessage() for one in caplog.records) == 1
    scene.create_group()
    scene.join("b")
    scene.lead("b")
    scene.pass_time(2.0)
    after = scene.seen[-1]
    assert after.leader is not None
    assert (after.leader.member, after.epoch < before.epoch) == ("b", True)
    assert after.order > before.order


def test_a_leader_of_an_earlier_incarnation_is_older_whatever_its_number() -> None:
    older = targets_of(replace(view(leader=leader("a", MINE)), incarnation=7), Targets())
    newer = targets_of(replace(view(), incarnation=8), older)
    assert newer.order > older.order
    assert (newer.leader, newer.epoch) == (None, 0)


def test_a_read_that_fails_is_tried_again_soon() -> None:
    scene = Scene()
    scene.pass_time(1.0)
    scene.join("a")
    scene.backend.link = False  # nothing gets through, and nobody knows yet
    scene.turn(woken=True)
    assert scene.seen == []
    scene.backend.link = True
    scene.pass_time(5.0)
    assert [sorted(one.members) for one in scene.seen] == [["a"]]


def test_that_the_group_may_not_be_read_any_more_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """Somebody has closed it: that does not pass by itself, and it was nowhere but in the debug log."""
    scene = Scene()
    scene.join("a")
    scene.pass_time(1.0)
    for _ in range(2):
        scene.backend.denied = True
        scene.pass_time(60.0)
        scene.backend.denied = False
        scene.pass_time(60.0)
    denied = [one for one in caplog.records if "denies access" in one.getMessage()]
    assert [one.levelname for one in denied if one.levelname != "DEBUG"] == ["WARNING"] * 2
    assert len(scene.seen) == 1


def test_members_that_speak_something_else_are_a_mismatch() -> None:
    scene = Scene()
    seen: list[Targets] = []
    other = Listener(seen.append, scene.events.append, secure=True)
    scene.watch.add(other)
    scene.join("a")
    scene.pass_time(1.0)
    assert other.mismatch
    assert seen == []
    assert [sorted(one.members) for one in scene.seen] == [["a"]]


def test_who_listens_later_is_told_what_is_known_and_nothing_after_its_end() -> None:
    scene = Scene()
    scene.join("a")
    scene.pass_time(1.0)
    seen: list[Targets] = []
    later = Listener(seen.append, scene.events.append)
    scene.watch.add(later)
    assert [sorted(one.members) for one in seen] == [["a"]]
    scene.watch.remove(later)
    scene.join("b")
    scene.pass_time(1.0)
    assert len(seen) == 1
    assert [sorted(one.members) for one in scene.seen] == [["a"], ["a", "b"]]


def test_the_watch_starts_and_stops_its_thread() -> None:
    scene = Scene()
    scene.join("a")
    scene.watch.start(5.0)
    assert [sorted(one.members) for one in scene.seen] == [["a"]]
    scene.watch.stop()
    assert scene.backend.closed

"""The resolver: one for all connections of a process, which are dropped when it is time to leave."""

import gc
import threading
import time
from collections.abc import Callable, Iterator
from random import Random

import pytest
from support.waiting import PATIENCE, wait_for

from rabbitkeeper.client.kombu import resolver as module
from rabbitkeeper.client.kombu.resolver import LINGER, Resolver, Resolvers
from rabbitkeeper.client.kombu.settings import Lookup
from rabbitkeeper.client.routing.placement import Target, Targets
from rabbitkeeper.coordinator.model.errors import ZooKeeperUnreachable
from rabbitkeeper.coordinator.model.records import MemberStatus

LOOKUP = Lookup("orders", "zk1:2181", None, "leader", None, secure=False, name="kombu-test")


def member(name: str, status: MemberStatus = MemberStatus.RUNNING) -> Target:
    return Target(name, "1", f"{name}:5672", status)


def group(leader: str | None, *members: Target, epoch: int = 1) -> Targets:
    known = {one.member: one for one in members}
    return Targets(epoch, known.get(leader or ""), known)


ONE, TWO = member("mq1"), member("mq2")
BOTH = group("mq1", ONE, TWO)


class Watching:
    """In place of the watch of a group: the test says how it is."""

    mismatch: str | None = None

    def __init__(self, first: Targets = BOTH) -> None:
        self._first = first
        self.publish: Callable[[Targets], None] = lambda _: None
        self.stopped = threading.Event()
        self.starts = 0
        self.error: Exception | None = None

    def make(self, _lookup: Lookup, publish: Callable[[Targets], None], _emit: object) -> "Watching":
        self.publish = publish
        return self

    def start(self, _timeout: float) -> None:
        self.starts += 1
        if self.error is not None:
            raise self.error
        self.publish(self._first)

    def stop(self) -> None:
        self.stopped.set()


class Connection:
    """One that can be dropped."""

    def __init__(self) -> None:
        self.dropped: list[str] = []
        self.abandoned = 0

    def drop(self, why: str) -> None:
        self.dropped.append(why)

    def abandon(self) -> None:
        self.abandoned += 1


@pytest.fixture
def watching() -> Watching:
    return Watching()


@pytest.fixture
def resolver(watching: Watching) -> Iterator[Resolver]:
    one = Resolver(LOOKUP, watching=watching.make, random=Random(1))  # type: ignore[arg-type]
    one.start(1.0)
    yield one
    one.end()
    wait_for(lambda: not [one for one in threading.enumerate() if one.name == "kombu-test-kombu"])


def test_it_is_begun_once_and_a_start_that_fails_can_be_made_again(watching: Watching) -> None:
    one = Resolver(LOOKUP, watching=watching.make)  # type: ignore[arg-type]
    watching.error = ZooKeeperUnreachable("nobody")
    with pytest.raises(ZooKeeperUnreachable):
        one.start(1.0)
    watching.error = None
    one.start(1.0)
    one.start(1.0)
    assert watching.starts == 2
    one.end()


def test_the_best_member_comes_first(resolver: Resolver) -> None:
    assert resolver.next(time.monotonic()) == ONE
    resolver.failed(ONE)
    assert resolver.next(time.monotonic()) == TWO


def test_who_finds_no_member_waits_for_one(resolver: Resolver, watching: Watching) -> None:
    watching.publish(group(None, member("mq1", MemberStatus.HUNG), epoch=2))
    assert resolver.next(time.monotonic() + 0.05) is None
    found: list[Target | None] = []
    thread = threading.Thread(target=lambda: found.append(resolver.next(time.monotonic() + PATIENCE)))
    thread.start()
    watching.publish(group("mq2", member("mq1", MemberStatus.HUNG), TWO, epoch=3))
    thread.join(PATIENCE)
    assert found == [TWO]


def test_at_the_agents_word_connections_are_dropped_at_once(resolver: Resolver, watching: Watching) -> None:
    here, there = Connection(), Connection()
    resolver.opened(ONE, here)
    resolver.opened(TWO, there)
    watching.publish(group(None, member("mq1", MemberStatus.HUNG), TWO, epoch=2))
    assert here.dropped == ["its agent says that mq1 is hung"]
    assert there.dropped == []


def test_what_only_time_changes_happens_by_itself(resolver: Resolver, watching: Watching) -> None:
    here = Connection()
    resolver.opened(ONE, here)
    watching.publish(group("mq2", ONE, TWO, epoch=2))
    wait_for(lambda: here.dropped == ["mq2 leads now"])


def test_one_that_has_ended_or_that_nobody_holds_is_dropped_no_more(
    resolver: Resolver, watching: Watching
) -> None:
    here = Connection()
    resolver.ended(resolver.opened(ONE, here))
    resolver.opened(ONE, Connection())
    gc.collect()
    watching.publish(group(None, member("mq1", MemberStatus.HUNG), TWO, epoch=2))
    assert here.dropped == []


def test_connections_that_nobody_holds_and_nobody_has_ended_leave_no_trace(resolver: Resolver) -> None:
    for _ in range(10):
        resolver.opened(ONE, Connection())
    gc.collect()
    last = Connection()
    resolver.opened(ONE, last)
    assert len(resolver._choice._held) == 1


def test_a_report_is_made_wherever_it_comes_from(resolver: Resolver) -> None:
    """As from a collection of garbage while the lock is held, or from a child that has it held for ever."""
    number = resolver.opened(ONE, Connection())
    holding, goes_on = threading.Event(), threading.Event()

    def hold() -> None:
        with resolver._changed:
            holding.set()
            goes_on.wait(PATIENCE)

    thread = threading.Thread(target=hold)
    thread.start()
    holding.wait(PATIENCE)
    resolver.failed(ONE)
    resolver.ended(number)
    goes_on.set()
    thread.join(PATIENCE)
    assert resolver.next(time.monotonic()) == TWO


def test_it_ends_a_while_after_the_last_connection(
    watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_of_them = Resolvers()
    monkeypatch.setattr(module, "resolvers", all_of_them)
    monkeypatch.setattr(module, "_watching", watching.make)
    one = all_of_them.of(LOOKUP)
    one.start(1.0)
    here = Connection()
    number = one.opened(ONE, here)
    monkeypatch.setattr(module, "LINGER", 0.05)  # only now: a busy host may take longer to come this far
    assert not watching.stopped.wait(0.2)
    assert all_of_them.of(LOOKUP) is one
    one.ended(number)
    del here
    gc.collect()
    assert watching.stopped.wait(PATIENCE)
    assert all_of_them.of(LOOKUP) is not one
    assert LINGER == 60.0


def test_a_child_has_none_of_its_parents(watching: Watching, monkeypatch: pytest.MonkeyPatch) -> None:
    all_of_them = Resolvers()
    monkeypatch.setattr(module, "_watching", watching.make)
    one = all_of_them.of(LOOKUP)
    one.start(1.0)
    here = Connection()
    one.opened(ONE, here)
    all_of_them.reset()
    assert here.abandoned == 1
    assert all_of_them.of(LOOKUP) is not one
    one.end()

"""Between two requests of what takes several there is word of an answer: a slow store is not dead."""

from collections.abc import Callable

import pytest
from simulation.backend import SimulatedBackend
from simulation.world import World
from simulation.zookeeper import SimulatedZooKeeper
from support.store_records import leader, member

from rabbitkeeper.coordinator.model.records import GroupConfig, MemberStatus
from rabbitkeeper.coordinator.store.store import Store

GROUP = "orders"
SLOW = 1.5  # seconds that each answer takes


class Lab:
    """One store of a group, and when it was told last that there was an answer."""

    def __init__(self) -> None:
        self.world = World(1)
        self.zookeeper = SimulatedZooKeeper(self.world)
        self.zookeeper.lags = (0.0,)
        self.backend = SimulatedBackend(self.zookeeper, 6.0, lambda: None)
        self.backend.start()
        self.gaps: list[float] = []
        self._told = 0.0
        self.store = Store(self.backend, GROUP, clock=lambda: self.world.now, answered=self._answered)

    def _answered(self) -> None:
        self.gaps.append(self.world.now - self._told)
        self._told = self.world.now
        self.backend.renew()  # as an agent does, or its session ends

    def longest(self, work: Callable[[], object]) -> float:
        """The longest while, of all in which ``work`` was done slowly, in which nothing was told."""
        self.backend.slow, self.gaps, self._told = SLOW, [], self.world.now
        work()
        self._answered()
        self.backend.slow = 0.0
        return max(self.gaps)


@pytest.fixture
def lab() -> Lab:
    return Lab()


def test_a_lead_is_taken_and_given_up(lab: Lab) -> None:
    store = lab.store
    store.create_group(GroupConfig())
    store.register(member("node1"))
    assert lab.longest(lambda: store.take_lead(leader("node1"))) < 2 * SLOW
    seen = store.snapshot(watch=False).leader
    assert seen is not None
    assert lab.longest(lambda: store.resign(seen, member("node1"))) < 2 * SLOW


def test_a_group_is_created_and_a_member_registered(lab: Lab) -> None:
    store = lab.store
    assert lab.longest(lambda: store.create_group(GroupConfig())) < 3 * SLOW, "a path of three"
    assert lab.longest(lambda: store.create_group(GroupConfig())) < 3 * SLOW
    assert lab.longest(lambda: store.register(member("node1"))) < 2 * SLOW
    lab.zookeeper.by_hand(store.paths.member("node1"), b"{]")
    assert lab.longest(lambda: store.update(member("node1", state=MemberStatus.HUNG))) < 2 * SLOW
    assert lab.longest(store.unregister) < 2 * SLOW

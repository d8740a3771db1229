"""The lock of whoever takes a broker down, and what owners mend, through the store in virtual time."""

import json

import pytest
from simulation.backend import SimulatedBackend
from simulation.world import World
from simulation.zookeeper import SimulatedZooKeeper
from support.store_records import leader, member

from rabbitkeeper.coordinator.model.errors import DisruptionBusy
from rabbitkeeper.coordinator.model.records import GroupConfig
from rabbitkeeper.coordinator.store.store import Store

GROUP = "orders"


class Lab:
    def __init__(self) -> None:
        self.world = World(1)
        self.zookeeper = SimulatedZooKeeper(self.world)
        self.zookeeper.lags = (0.0,)

    def store(self) -> Store:
        backend = SimulatedBackend(self.zookeeper, 6.0, lambda: None)
        backend.start()
        store = Store(backend, GROUP, clock=lambda: self.world.now)
        store.create_group(GroupConfig())
        return store


@pytest.fixture
def lab() -> Lab:
    return Lab()


def test_one_has_it_and_says_why(lab: Lab) -> None:
    one, other = lab.store(), lab.store()
    one.disruption_lock().take("node1", "the broker hangs")
    one.disruption_lock().take("node1", "it is asked again")
    record = json.loads(lab.zookeeper.tree[one.paths.disruption].data)
    assert (record["holder"], record["reason"]) == ("node1", "the broker hangs")
    with pytest.raises(DisruptionBusy, match="node1 is being taken down: the broker hangs"):
        other.disruption_lock().take("node2", "restart 7")
    other.disruption_lock().release()  # it is not its own
    assert one.paths.disruption in lab.zookeeper.tree
    one.disruption_lock().release()
    other.disruption_lock().take("node2", "restart 7")


def test_it_goes_with_its_session(lab: Lab) -> None:
    one, other = lab.store(), lab.store()
    one.disruption_lock().take("node1", "the broker hangs")
    lab.zookeeper.end(one.backend.session_id)
    other.disruption_lock().take("node2", "restart 7")


@pytest.mark.parametrize("data", [b"", b"[]", b"{]", b'{"holder":1}'])
def test_one_that_a_hand_has_spoilt_is_held_all_the_same(lab: Lab, data: bytes) -> None:
    one, other = lab.store(), lab.store()
    one.disruption_lock().take("node1", "the broker hangs")
    lab.zookeeper.by_hand(one.paths.disruption, data)
    with pytest.raises(DisruptionBusy, match="another broker is being taken down"):
        other.disruption_lock().take("node2", "restart 7")


def test_a_long_reason_is_cut(lab: Lab) -> None:
    one = lab.store()
    one.disruption_lock().take("node1", "x" * 2_000_000)
    assert len(lab.zookeeper.tree[one.paths.disruption].data) < 1_000


def test_what_is_ones_own_and_was_changed_is_found_and_mended(lab: Lab) -> None:
    one = lab.store()
    record = member("node1")
    one.register(record)
    lead = leader("node1")
    epoch = one.take_lead(lead)
    assert not one.mend_member(one.snapshot(), "node1")
    assert not one.mend_lead(one.snapshot())
    for path in (one.paths.member("node1"), one.paths.leader):
        lab.zookeeper.by_hand(path, b"{]")
    view = one.snapshot()
    assert one.mend_lead(view)
    assert one.mend_member(view, "node1")
    one.update(record)
    view = one.snapshot()
    assert view.leader is not None
    assert (view.leader.record, view.leader.epoch) == (lead, epoch)
    assert view.members["node1"].record == record
    assert not view.problems
    assert not one.mend_member(view, "node1")
    assert not one.mend_lead(view)


def test_what_is_another_sessions_is_left_alone(lab: Lab) -> None:
    one, other = lab.store(), lab.store()
    one.register(member("node1"))
    one.take_lead(leader("node1"))
    other.register(member("node2"))
    lab.zookeeper.by_hand(one.paths.leader, b"{]")
    assert not other.mend_lead(other.snapshot())
    assert not other.mend_member(other.snapshot(), "node2")

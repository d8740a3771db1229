"""A ZooKeeper that has forgotten what it knew, under whole agents in virtual time: wiped or restored."""

import json

import pytest
from simulation.managed_group import Group
from support.effort import seeds

from rabbitkeeper.coordinator.model.records import History, IncarnationRecord


@pytest.fixture(params=seeds(4))
def group(request: pytest.FixtureRequest) -> Group:
    group = Group(seed=request.param)
    assert group.run_until(lambda: group.whole, 60) is not None, group.log
    group.run(2)
    return group


def incarnation(group: Group) -> int:
    node = group.zookeeper.tree.get(group.paths.incarnation)
    return -1 if node is None else IncarnationRecord.from_bytes(node.path, node.data).number


def is_whole_again(group: Group) -> bool:
    return group.whole and len(group.recorded) == len(group.names)


def check_whole(group: Group, pids: dict[str, int | None], older: int, within: float) -> None:
    """Everybody is back in a later incarnation, no broker was touched; epochs are checked all along."""
    assert (
        group.run_until(lambda: is_whole_again(group) and incarnation(group) > older, within) is not None
    ), (
        {name: agent.sentence for name, agent in group.agents.items()},
        group.log[-20:],
    )
    group.run(15)
    assert is_whole_again(group)
    assert brokers(group) == pids


def brokers(group: Group) -> dict[str, int | None]:
    return {name: agent.broker.pid for name, agent in group.agents.items()}


def test_a_group_whose_data_are_deleted_begins_again(group: Group) -> None:
    before, first = brokers(group), incarnation(group)
    group.zookeeper.wipe()
    check_whole(group, before, first, within=15)
    assert group.epochs[-1][0] > first, "another lead has begun"


@pytest.mark.parametrize("cut", [False, True])
def test_a_lead_that_was_forgotten_is_not_taken_while_its_holder_has_a_lease(group: Group, cut: bool) -> None:
    before, first, leader = brokers(group), incarnation(group), group.leader
    assert leader is not None
    group.agents[leader].session.link = not cut  # or it learns that it leads no more as soon as all others
    group.zookeeper.wipe()
    for _ in range(200):
        group.run(0.05)
        leading = [name for name, agent in group.agents.items() if agent.acts_as_leader]
        assert len(leading) <= 1, (group.world.now, group.log[-10:])
    assert group.leader is not None
    group.agents[leader].session.link = True
    check_whole(group, before, first, within=15)


@pytest.mark.parametrize("led_meanwhile", [1, 2])
def test_a_group_restored_from_an_older_state_goes_on(group: Group, led_meanwhile: int) -> None:
    backup, zxid = group.zookeeper.tree, group.zookeeper.zxid
    for _ in range(led_meanwhile):
        leader = group.leader
        assert leader is not None
        group.agents[leader].broker.die()
        assert group.run_until(lambda: group.whole and group.leader != leader, 120) is not None  # noqa: B023
    group.run(10)
    before, first = brokers(group), incarnation(group)
    group.zookeeper.restore(backup, zxid)
    check_whole(group, before, first, within=25)


def test_a_group_that_is_wiped_again_begins_another_incarnation_each_time(group: Group) -> None:
    before = brokers(group)
    for _ in range(2):
        first = incarnation(group)
        group.zookeeper.wipe()
        check_whole(group, before, first, within=15)


def test_a_group_deleted_by_hand_is_no_older_afterwards(group: Group) -> None:
    before, led, first = brokers(group), len(group.epochs), incarnation(group)
    group.zookeeper.by_hand("/rabbitkeeper", None)
    check_whole(group, before, first - 1, within=15)
    assert len(group.epochs) == led + 1


@pytest.mark.parametrize("damage", [None, b"{]", b'{"v":1,"number":0,"since":"","by":"x","reason":"y"}'])
def test_an_incarnation_that_is_deleted_or_spoilt_is_written_again(
    group: Group, damage: bytes | None
) -> None:
    group.zookeeper.wipe()
    assert group.run_until(lambda: is_whole_again(group), 15) is not None
    group.run(5)
    led, first = len(group.epochs), incarnation(group)
    assert first > 0
    group.zookeeper.by_hand(group.paths.incarnation, damage)
    group.run(15)
    assert group.whole
    assert incarnation(group) == first, "nothing was forgotten: the lead that there is keeps its name"
    assert len(group.epochs) == led


def test_the_history_is_in_the_order_of_events(group: Group) -> None:
    group.run(5)
    group.zookeeper.wipe()
    assert group.run_until(lambda: is_whole_again(group), 15) is not None
    first = group.leader
    assert first is not None
    group.run(5)
    group.agents[first].broker.die()
    assert group.run_until(lambda: group.whole and group.leader != first, 120) is not None
    group.run(5)
    node = group.zookeeper.tree[group.paths.history]
    entries = History.from_bytes(node.path, node.data).entries
    assert [(entry.incarnation, entry.epoch) for entry in entries][-2:] == group.epochs[-2:]


@pytest.mark.parametrize("seed", seeds(4))
def test_a_group_with_agents_that_know_no_incarnation_goes_on_without_one(seed: int) -> None:
    group = Group(seed=seed)
    assert group.run_until(lambda: group.paths.incarnation in group.zookeeper.tree, 10) is not None
    group.zookeeper.by_hand(group.paths.incarnation, None)
    assert group.run_until(lambda: group.whole, 60) is not None, group.log
    group.run(5)
    first, history = group.leader, json.loads(group.zookeeper.tree[group.paths.history].data)
    assert first is not None
    for entry in history["entries"]:  # as such an agent writes it
        del entry["incarnation"]
    group.zookeeper.by_hand(group.paths.history, json.dumps(history).encode())
    group.agents[first].broker.die()
    assert group.run_until(lambda: group.whole and group.leader != first, 120) is not None
    group.run(5)
    assert incarnation(group) == -1, "nothing was forgotten"
    entries = History.from_bytes("", group.zookeeper.tree[group.paths.history].data).entries
    assert [(0, entry.epoch) for entry in entries] == group.epochs
    assert [entry.event_id for entry in entries] == [f"lead-{entry.epoch}" for entry in entries]
    group.zookeeper.wipe()
    check_whole(group, brokers(group), older=0, within=15)

"""Brokers that hang for good while no majority is well, or without ZooKeeper: ended one after the other."""

from itertools import pairwise

import pytest
from simulation.managed_group import Group
from simulation.rabbitmq.broker import BOOT

from rabbitkeeper.agent.broker.policy import STUCK
from rabbitkeeper.agent.group.disruption import TURN
from rabbitkeeper.coordinator.model.errors import ZooKeeperUnreachable


def hang(group: Group, *names: str) -> float:
    for name in names:
        group.agents[name].broker.hang()
    return group.world.now


def kill_of(group: Group, name: str, since: float) -> float:
    (at,) = group.noted(name, "kill", since)
    return at


def test_one_whose_agent_has_no_zookeeper_lets_those_go_first_that_have_it(group: Group) -> None:
    """Both were killed within a second: who has no ZooKeeper knows of no lock."""
    group.agents["node1"].session.link = False
    group.run(10)
    began = hang(group, "node1", "node3")
    group.run(STUCK + TURN + 15)
    assert kill_of(group, "node3", began) >= began + STUCK
    assert kill_of(group, "node1", began) >= kill_of(group, "node3", began) + TURN - 5
    group.heal()
    assert group.run_until(lambda: group.whole, 60) is not None, group.log


@pytest.mark.parametrize("hung", [("node1", "node3"), ("node2", "node3"), ("node1", "node2", "node3")])
def test_without_zookeeper_they_go_one_after_the_other(group: Group, hung: tuple[str, ...]) -> None:
    group.zookeeper.stop()
    group.run(10)
    began = hang(group, *hung)
    group.run(STUCK + len(group.names) * TURN + 15 + BOOT)
    kills = [kill_of(group, name, began) for name in hung]
    assert kills[0] >= began + STUCK
    assert all(after >= before + TURN - 5 for before, after in pairwise(kills))
    assert all(group.agents[name].broker.up for name in hung)
    group.zookeeper.start()
    assert group.run_until(lambda: group.whole, 60) is not None, group.log


def test_one_that_waits_for_another_that_hangs_does_not_hold_it_up_for_long(group: Group) -> None:
    """Started again, it waits for the tables of those that hang; it kept the lock for two minutes."""
    first, *others = group.names
    for name in others:
        group.agents[name].session.link = False
    began = hang(group, *group.names)
    group.run(STUCK - 5)
    assert kill_of(group, first, began), "as far as was known then, the others were well"
    assert not group.agents[first].broker.up, "it waits for those that it has not seen end"
    for name in others:
        group.agents[name].session.link = True
    group.run(20)
    kills = sorted(at for name in others for at in group.noted(name, "kill", began))
    assert began + STUCK <= kills[0]
    assert group.run_until(lambda: group.whole, 2 * TURN) is not None, group.log


def test_the_lock_is_given_back_though_it_takes_two_requests(group: Group) -> None:
    """The first was lost: nobody else's broker was ended while the agent's session lived."""
    agent = group.agents["node2"]
    delete, lost = agent.session.delete, list[str]()

    def lose(path: str, *args: object, **options: object) -> None:
        if path == group.paths.disruption and not lost:
            lost.append(path)
            raise ZooKeeperUnreachable("not answered in time")
        delete(path, *args, **options)  # type: ignore[arg-type]

    agent.session.delete = lose  # type: ignore[method-assign]
    began = hang(group, "node2")
    assert group.run_until(lambda: bool(lost), 60) is not None
    assert kill_of(group, "node2", began)
    group.run(10)
    assert group.paths.disruption not in group.zookeeper.tree


def test_one_that_was_cut_off_at_its_kill_gives_the_lock_back_all_the_same(group: Group) -> None:
    """The lock was taken, and the answer lost: nobody gave it back before the agent's session ended."""
    agent = group.agents["node2"]
    create = agent.session.create

    def lose_the_answer(path: str, *args: object, **options: object) -> object:
        made = create(path, *args, **options)  # type: ignore[arg-type]
        if path == group.paths.disruption:
            agent.session.create = create  # type: ignore[method-assign]
            raise ZooKeeperUnreachable("the answer was lost")
        return made

    agent.session.create = lose_the_answer  # type: ignore[assignment,method-assign]
    hang(group, "node2")
    assert group.run_until(lambda: group.paths.disruption in group.zookeeper.tree, 20) is not None
    agent.broker.go_on()
    assert group.run_until(lambda: group.whole, 20) is not None
    group.run(5)
    assert group.paths.disruption not in group.zookeeper.tree

"""A broker that is cut off from the others while ZooKeeper is not: both sides know it before the net tick."""

from itertools import permutations

import pytest
from simulation.managed_group import Group
from simulation.rabbitmq.broker import BOOT
from simulation.rabbitmq.cluster import NET_TICK
from support.effort import seeds

SOON = 25.0  # seconds: a canary that is not confirmed, a question, and the starts of tools on a busy host


@pytest.fixture(params=seeds(4))
def group(request: pytest.FixtureRequest) -> Group:
    group = Group(seed=request.param)
    assert group.run_until(lambda: group.whole, 60) is not None, group.log
    return group


def drops(group: Group, name: str, other: str, since: float) -> bool:
    return bool(group.noted(name, f"drop {group.agents[other].broker.node}", since))


@pytest.mark.parametrize("name", ["node1", "node2", "node3"])
def test_both_sides_drop_each_other_and_the_small_one_pauses(group: Group, name: str) -> None:
    """Consumers and channels of the one that was cut off held up the others for a minute."""
    began, before = group.world.now, group.pids
    others = [other for other in group.names if other != name]
    group.agents[name].broker.cut_off = True
    group.run(SOON)
    assert group.noted(name, "pauses", began)
    assert all(drops(group, other, name, began) for other in others)
    assert not any(drops(group, one, other, began) for one, other in permutations(others, 2))
    group.run(NET_TICK)
    group.agents[name].broker.cut_off = False
    assert group.run_until(lambda: group.whole, 30) is not None, group.log
    group.run(30)
    assert group.pids == before, "it has paused and come back by itself"
    assert group.leader is not None


@pytest.mark.parametrize("lasts", [5.0, 7.0, 9.0, 11.0, 13.0, 16.0, 20.0])
def test_whenever_it_heals_the_group_is_whole_again(group: Group, lasts: float) -> None:
    for name in group.names:
        group.agents[name].broker.cut_off = True
        group.run(lasts)
        group.agents[name].broker.cut_off = False
        assert group.run_until(lambda: group.whole and not group.rabbits.disagreement(), 120) is not None, (
            group.log
        )
        group.run(BOOT)


@pytest.mark.parametrize("unconfirmed", [False, True])
def test_who_is_reached_by_a_third_is_not_dropped(group: Group, unconfirmed: bool) -> None:
    """A partial partition: under pause_minority who disconnects then waits for the whole cluster."""
    began = group.world.now
    one, other, third = (group.agents[name].broker for name in group.names)
    group.rabbits.cut(one.node, [other.node])
    group.leaderless = unconfirmed  # so that no majority confirms anything anywhere
    group.run(NET_TICK - 5)
    dropped = [entry for entry in group.log if entry[0] >= began and entry[2].startswith("drop ")]
    assert not dropped
    group.heal()
    group.leaderless = False
    assert group.run_until(lambda: group.whole, 30) is not None
    assert third.up


def test_while_no_canary_is_confirmed_and_everybody_answers_nobody_is_dropped(group: Group) -> None:
    began, before = group.world.now, group.pids
    group.leaderless = True
    group.run(40)
    assert not [entry for entry in group.log if entry[0] >= began and entry[2].startswith("drop ")]
    group.leaderless = False
    assert group.run_until(lambda: group.whole, 20) is not None
    assert group.pids == before

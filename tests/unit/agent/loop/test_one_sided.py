"""A node that another one does not count, and that counts it: seen once on RabbitMQ 3.10, after a restart.

Mnesia knew of a node that was back on one side alone, for good. The one side warned and waited for the other,
which saw nothing; every restart was refused, for queues would have lost their majority.
"""

from itertools import permutations

import pytest
from simulation.group_history import History
from simulation.managed_group import Group
from support.effort import examples, seeds

from rabbitkeeper.agent.cluster import agreement
from rabbitkeeper.coordinator.operations.service import OperationRefused, OperationService
from rabbitkeeper.coordinator.store.store import Store

NAMES = ("node1", "node2", "node3")
HEALED = 60.0  # seconds


@pytest.fixture(params=seeds(4))
def group(request: pytest.FixtureRequest) -> Group:
    group = Group(seed=request.param)
    assert group.run_until(lambda: group.whole, 60) is not None, group.log
    group.run(20)  # until nodes are compared no more, because nothing has happened
    return group


def agree(group: Group) -> bool:
    return group.whole and not group.rabbits.disagreement()


def restarted(group: Group, name: str) -> None:
    """Its broker dies and is back, which has all nodes compared."""
    group.agents[name].broker.die()
    assert group.run_until(lambda: not group.whole, 10) is not None
    assert group.run_until(lambda: agree(group), 60) is not None


@pytest.mark.parametrize(("blind", "unseen"), [*permutations(NAMES, 2)])
def test_one_of_the_two_is_started_again_and_never_the_leader(group: Group, blind: str, unseen: str) -> None:
    restarted(group, unseen)
    before, led = group.pids, group.leader
    group.rabbits.forget(*(group.agents[name].broker.node for name in (blind, unseen)))
    assert group.run_until(lambda: agree(group), HEALED) is not None, group.log
    group.run(30)
    changed = {name for name, pid in group.pids.items() if pid != before[name]}
    assert len(changed) == 1
    assert changed <= {blind, unseen} - {led or ""}
    assert group.leader == led


def test_one_that_both_others_do_not_count_is_started_again_and_they_are_not(group: Group) -> None:
    """It counts both, and it may lead."""
    for name in NAMES:
        if name != "node2":
            restarted(group, name)
    before = group.pids
    for blind in ("node1", "node3"):
        group.rabbits.forget(*(group.agents[name].broker.node for name in (blind, "node2")))
    assert group.run_until(lambda: agree(group), HEALED) is not None, group.log
    group.run(30)
    assert {name for name, pid in group.pids.items() if pid != before[name]} == {"node2"}


def test_nobody_is_restarted_beside_two_that_disagree(group: Group) -> None:
    """Neither would have a majority then: RabbitMQ would pause both."""
    restarted(group, "node3")
    blind, unseen = sorted(name for name in NAMES if name != group.leader)
    group.rabbits.forget(*(group.agents[name].broker.node for name in (blind, unseen)))
    assert group.run_until(lambda: bool(getattr(group.member(blind), "uncounted", ())), 10) is not None
    leader = group.leader or ""
    service = OperationService(Store(group.agents[leader].session, "orders", clock=lambda: group.world.now))
    with pytest.raises(OperationRefused, match=f"the broker of {blind} does not count rabbit@{unseen}"):
        service.restart(leader, by="ann")


def test_a_group_is_whole_again_though_nodes_are_not_counted() -> None:
    play(range(examples(32)))


def test_it_is_found_when_agents_do_not_read_what_others_say_of_their_nodes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(agreement, "_deniers", lambda *_: set())
    with pytest.raises(AssertionError):
        play(range(40))


def play(seeds: range) -> None:
    for seed in seeds:
        History(seed, ("restart", "rolling restart", "broker dies", "node crashes"), overlooks=0.4).play()

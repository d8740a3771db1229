"""The canary's queue that can have no leader any more: when it is declared anew, by whom, and when not."""

from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType

import pytest
from simulation.managed_group import Group
from support.agent_states import NAME, member, view
from support.effort import seeds
from support.jobs import Done

from rabbitkeeper.agent.cluster.canary_repair import PATIENCE, RETRY, CanaryRepair, obstacle, turn_of
from rabbitkeeper.agent.health.majority_canary import QUEUE
from rabbitkeeper.agent.model.verdict import Verdict
from rabbitkeeper.agent.rabbitmq.ctl import ClusterStatus, RabbitmqCtlError
from rabbitkeeper.coordinator.model.records import MemberStatus, PauseRecord
from rabbitkeeper.coordinator.model.view import GroupView

MINORITY, RUNNING = MemberStatus.MINORITY, MemberStatus.RUNNING
ALL = frozenset({"rabbit@node1", "rabbit@node2", "rabbit@node3"})
TWO = ALL - {"rabbit@node3"}
STUCK = view(None, *(member(name, MINORITY) for name in ("node1", "node2", "node3")))
PAUSED = replace(STUCK, pause=PauseRecord(by="ops", since=""))


class Case:
    def __init__(self, name: str = NAME, *, fails: bool = False) -> None:
        self.deleted: list[float] = []
        self.now = 0.0
        self.status = ClusterStatus(ALL, ALL, {})
        self.nodes: frozenset[str] | None = ALL
        self._fails = fails
        self.canary_repair = CanaryRepair(name, "ours", self, wake=lambda: None, launch=self._launch)

    def run(self, seconds: float, seen: GroupView | None = STUCK, status: MemberStatus = MINORITY) -> None:
        for _ in range(round(seconds)):
            self.now += 1.0
            self.canary_repair.turn(self.now, Verdict(status, (), 0.0), seen)

    def cluster_status(self) -> ClusterStatus:
        return self.status

    def replicas(self, vhost: str, queue: str) -> frozenset[str] | None:
        assert (vhost, queue) == ("ours", QUEUE)
        return self.nodes

    def delete_queue(self, vhost: str, queue: str) -> None:
        assert (vhost, queue) == ("ours", QUEUE)
        if self._fails:
            raise RabbitmqCtlError("the node does not answer")
        self.deleted.append(self.now)

    def _launch(self, name: str, work: Callable[[], object], wake: Callable[[], None]) -> Done:
        return Done(name, work, wake)


def test_it_is_deleted_after_a_while_and_again_only_after_another() -> None:
    case = Case()
    case.run(PATIENCE - 1)
    assert not case.deleted
    case.run(2)
    assert case.deleted == [PATIENCE]
    assert case.canary_repair.said == (
        f"queue {QUEUE} had no leader for 30 s while all its nodes ran: it is declared anew"
    )
    case.run(RETRY - 2)
    assert len(case.deleted) == 1
    case.run(3)
    assert len(case.deleted) == 2


def test_nothing_is_said_any_more_once_there_is_a_majority() -> None:
    case = Case()
    case.run(PATIENCE + 2)
    case.run(1, status=RUNNING)
    assert case.canary_repair.said is None


@pytest.mark.parametrize(
    "seen",
    [None, PAUSED, view(None, member("node1", MINORITY), member("node2"))],
    ids=["old", "paused", "runs"],
)
def test_it_is_left_alone(seen: GroupView | None) -> None:
    case = Case()
    case.run(1000, seen)
    assert not case.deleted


def test_the_first_without_a_majority_does_it() -> None:
    assert turn_of(STUCK) == "node1"
    members = MappingProxyType({**STUCK.members, "node1": member("node1", MemberStatus.HUNG)})
    assert turn_of(replace(STUCK, members=members)) == "node2"
    case = Case("node2")
    case.run(1000)
    assert not case.deleted


@pytest.mark.parametrize(
    ("status", "replicas", "up", "why"),
    [
        (ClusterStatus(ALL, ALL, {}), ALL, ALL, None),
        (ClusterStatus(ALL, TWO, {}), TWO, TWO, None),
        (ClusterStatus(ALL, TWO, {}), ALL, TWO, "replicas of it are on rabbit@node3, which is not"),
        (ClusterStatus(ALL, ALL, {}), ALL, TWO, "replicas of it are on rabbit@node3, which is not"),
        (
            ClusterStatus(ALL, ALL - TWO, {}),
            ALL - TWO,
            ALL,
            "without rabbit@node1 and rabbit@node2 this is no",
        ),
        (ClusterStatus(ALL, ALL, {}, TWO), ALL, ALL, "cut off from rabbit@node1 and rabbit@node2"),
        (ClusterStatus(TWO, TWO - {"rabbit@node1"}, {}), TWO - {"rabbit@node1"}, TWO, "without rabbit@node1"),
    ],
)
def test_what_is_in_the_way(
    status: ClusterStatus, replicas: frozenset[str], up: frozenset[str], why: str | None
) -> None:
    said = obstacle(status, replicas, up)
    assert (said is None) == (why is None)
    assert said is None or why is None or why in said


def test_what_is_in_the_way_is_said() -> None:
    case = Case()
    case.status = ClusterStatus(ALL, TWO, {})
    case.run(PATIENCE + 2)
    assert not case.deleted
    assert case.canary_repair.said == (
        f"queue {QUEUE} has had no leader for 30 s and is left as it is: "
        "replicas of it are on rabbit@node3, which is not known to be up"
    )


def test_a_queue_that_is_not_there_is_not_deleted() -> None:
    case = Case()
    case.nodes = None
    case.run(1000)
    assert not case.deleted
    assert (case.canary_repair.said or "").endswith("its last leader is away, or there is none")


def test_a_tool_that_fails_is_told_of_and_tried_again() -> None:
    case = Case(fails=True)
    case.run(PATIENCE + 2)
    assert (case.canary_repair.said or "").endswith("left as it is: the node does not answer")


def whole(seed: int) -> Group:
    group = Group(seed)
    assert group.run_until(lambda: group.whole, 120) is not None
    return group


def deletions(group: Group) -> list[tuple[float, str, str]]:
    return [entry for entry in group.log if entry[2] == f"delete {QUEUE}"]


@pytest.mark.parametrize("seed", seeds(10))
def test_a_group_whose_queue_has_lost_its_leader_for_ever_comes_back_by_itself(seed: int) -> None:
    group = whole(seed)
    group.leaderless = True
    assert group.run_until(lambda: bool(deletions(group)), PATIENCE + 30) is not None
    assert group.run_until(lambda: group.whole, 30) is not None
    group.run(60)
    assert len(deletions(group)) == 1


@pytest.mark.parametrize("seed", seeds(5))
def test_a_minority_deletes_nothing(seed: int) -> None:
    group = whole(seed)
    group.rabbits.pauses = False
    for name in ("node2", "node3"):
        group.agents[name].crash()
        group.agents[name].broker.die()
    group.run(200)
    alone = group.member("node1")
    assert alone is not None
    assert alone.state is MINORITY
    assert "is left as it is" in " ".join(alone.warnings)
    assert not deletions(group)


@pytest.mark.parametrize("seed", seeds(5))
def test_a_queue_with_a_replica_on_a_node_that_is_away_is_left_alone_until_it_is_back(seed: int) -> None:
    group = whole(seed)
    group.agents["node3"].crash()
    group.agents["node3"].broker.die()
    group.leaderless = True
    group.run(200)
    assert not deletions(group)
    group.agents["node3"].start()
    assert group.run_until(lambda: group.whole, 200) is not None
    assert len(deletions(group)) == 1

"""The mode ``cluster``: its policy, and what it adds to what is known."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from support.agent_states import view
from support.jobs import Done
from support.peer_sightings import ALL, B_GONE

from rabbitkeeper.agent.cluster.agreement import Agreement
from rabbitkeeper.agent.cluster.canary_repair import CanaryRepair
from rabbitkeeper.agent.cluster.peer_monitor import PeerMonitor
from rabbitkeeper.agent.cluster.record_keeper import RecordKeeper, Writes
from rabbitkeeper.agent.cluster.replicas import AFTER, Replicas
from rabbitkeeper.agent.health.judge import HealthPolicy
from rabbitkeeper.agent.health.majority_check import MajorityCheck
from rabbitkeeper.agent.health.majority_request import MajorityRequest, MajorityResult
from rabbitkeeper.agent.loop.cluster_mode import SETTLED, ClusterHousekeeping, ClusterMode
from rabbitkeeper.agent.loop.mode import Mode
from rabbitkeeper.agent.model.observation import Observation
from rabbitkeeper.agent.model.verdict import Verdict
from rabbitkeeper.agent.rabbitmq.ctl import ClusterStatus
from rabbitkeeper.agent.rabbitmq.silent_nodes import DroppedNodes
from rabbitkeeper.coordinator.model.records import ClusterNode, ClusterRecord
from rabbitkeeper.coordinator.model.records import MemberStatus as Status
from rabbitkeeper.coordinator.model.view import ClusterView, GroupView

POLICY = HealthPolicy()


@dataclass
class Tools:
    """Our broker's tools: what was asked of them."""

    asked: list[str] = field(default_factory=list)
    answered = True

    def no_store(self) -> Writes:
        raise AssertionError("the record is written")

    def drop_silent_nodes(self, nodes: object, *, timeout: float) -> DroppedNodes:
        self.asked.append("drop")
        return DroppedNodes(frozenset(), frozenset())

    def cluster_status(self) -> ClusterStatus:
        return ClusterStatus(frozenset(), frozenset(), {})

    def answers(self, node: str) -> bool:
        return True

    def replicas(self, vhost: str, queue: str) -> frozenset[str] | None:
        return None

    def delete_queue(self, vhost: str, queue: str) -> None:
        self.asked.append("delete")

    def give(self) -> None:
        self.asked.append("give")

    def form(self) -> str:
        self.asked.append("form")
        return "formed"


def nothing() -> None:
    pass


class Case:
    def __init__(self, *, watches: bool = True) -> None:
        self.tools = Tools()
        self.requests: list[MajorityRequest] = []
        wake: Callable[[], None] = nothing
        self.mode: Mode = ClusterMode(
            "node1",
            self.tools.form,
            MajorityCheck(self._ask, draw=lambda: 0.5),
            ClusterHousekeeping(
                Replicas(self.tools.give, wake=wake, draw=lambda: 0.0, launch=Done),
                CanaryRepair("node1", "rabbitkeeper", self.tools, wake=wake, launch=Done),
                RecordKeeper(
                    "node1", "rabbit@node1", self.tools, self.tools.no_store, wake=wake, launch=Done
                ),
                Agreement("rabbit@node1", self.tools, session_timeout=6.0, wake=wake, launch=Done),
                PeerMonitor(self.tools, wake=wake, launch=Done) if watches else None,
            ),
        )

    def _ask(self, timeout: float) -> MajorityRequest:
        self.requests.append(MajorityRequest(lambda request: None))
        return self.requests[-1]

    def observe(self, now: float, seen: GroupView | None = None) -> Observation:
        return self.mode.observe(now, Observation(watched_since=0.0), POLICY, seen, blocked=False)


def of_size(size: int) -> GroupView:
    nodes = {f"rabbit@node{at}": ClusterNode(member=f"node{at}", joined="") for at in range(size)}
    return view(None, cluster=ClusterView(ClusterRecord(founder="", formed="", nodes=nodes), version=0))


@pytest.mark.parametrize("status", list(Status))
def test_clients_may_be_at_any_broker_that_serves_but_not_without_a_majority_beside_a_leader(
    status: Status,
) -> None:
    mode = Case().mode
    assert mode.admits(status, leads=True) is (status in (Status.RUNNING, Status.ALARMED, Status.MINORITY))
    assert mode.admits(status, leads=False) is (status in (Status.RUNNING, Status.ALARMED))


def test_a_broker_joins_by_being_formed_and_a_lead_is_held_without_zookeeper() -> None:
    case = Case()
    case.mode.join()
    assert case.tools.asked == ["form"]
    assert case.mode.holds_lead(0.0)


def test_what_a_majority_says_is_added_to_what_is_known() -> None:
    case = Case()
    assert case.observe(0.0).majority.confirmed == 0
    assert case.mode.lead_check.run(POLICY) is None
    case.requests[0].result = MajorityResult(True, 0.01, 1)
    assert case.observe(1.0).majority.confirmed == 1


def test_a_clusters_size_counts_once_it_has_lasted() -> None:
    case = Case()
    assert case.observe(0.0, of_size(2)).cluster_size is None
    assert case.observe(5.0, of_size(3)).cluster_size is None
    assert case.observe(4.9 + SETTLED, of_size(3)).cluster_size is None
    assert case.observe(5.0 + SETTLED, of_size(3)).cluster_size == 3
    assert case.observe(6.0 + SETTLED, None).cluster_size is None


def test_replicas_are_grown_where_there_are_others() -> None:
    for size, grown in ((1, []), (3, ["give"])):
        case = Case()
        for now in (0.0, AFTER, 2 * AFTER):
            case.mode.tend(now, Verdict(Status.RUNNING, (), 0.0), of_size(size), formed=True, current=True)
        assert case.tools.asked == grown


def test_nodes_that_are_gone_are_asked_after_unless_that_is_switched_off() -> None:
    for watches, asked in ((True, ["drop"]), (False, [])):
        case = Case(watches=watches)
        case.mode.watch_peers(99.0, ALL)
        case.mode.watch_peers(100.0, B_GONE)
        assert case.tools.asked == asked
        assert not case.mode.cut_off

"""The record of the cluster as it is written again: whole, from what the nodes say and what was known."""

from support.group_views import view
from support.jobs import Done

from rabbitkeeper.agent.cluster.record_keeper import MISSED, RecordKeeper, whole_record
from rabbitkeeper.agent.rabbitmq.ctl import ClusterStatus
from rabbitkeeper.coordinator.model.errors import Conflict
from rabbitkeeper.coordinator.model.records import ClusterNode, ClusterRecord
from rabbitkeeper.coordinator.model.view import ClusterView

ALL = frozenset({"rabbit@a", "rabbit@b", "rabbit@c"})


def test_what_was_known_stays_and_what_was_not_is_added() -> None:
    known = {
        "rabbit@b": ClusterNode(member="b", joined="then"),
        "rabbit@gone": ClusterNode(member="g", joined=""),
    }
    last = ClusterRecord(founder="rabbit@b", formed="then", nodes=known)
    record = whole_record(ALL, last, {"rabbit@a": "a"}, "now")
    assert (record.founder, record.formed) == ("rabbit@b", "then")
    assert record.nodes == {
        "rabbit@a": ClusterNode(member="a", joined="now"),
        "rabbit@b": ClusterNode(member="b", joined="then"),
        "rabbit@c": ClusterNode(member="rabbit@c", joined="now"),
    }


def test_a_founder_that_is_no_member_any_more_is_replaced() -> None:
    last = ClusterRecord(founder="rabbit@gone", formed="then", nodes={})
    assert whole_record(ALL, last, {}, "now").founder == "rabbit@a"
    assert whole_record(ALL, None, {}, "now").formed == "now"


class Cluster:
    """What RabbitMQ says, and the record as it is in the store."""

    def __init__(self, record: ClusterRecord, nodes: frozenset[str] = ALL) -> None:
        self.view = ClusterView(record, version=3)
        self.nodes = nodes
        self.conflicts = False
        self.asked = 0

    def cluster_status(self) -> ClusterStatus:
        self.asked += 1
        return ClusterStatus(nodes=self.nodes, running=self.nodes, versions={})

    def write_cluster(self, record: ClusterRecord, version: int | None) -> ClusterView:
        if self.conflicts or version != self.view.version:
            raise Conflict("cluster")
        self.view = ClusterView(record, version=self.view.version + 1)
        return self.view


def recorded(**members: str) -> ClusterRecord:
    nodes = {f"rabbit@{end}": ClusterNode(member=member, joined="then") for end, member in members.items()}
    return ClusterRecord(founder=min(nodes, default=""), formed="then", nodes=nodes)


def keep(cluster: Cluster, *moments: float, formed: bool = True) -> dict[str, str]:
    """A keeper of member c, which sees the record at these moments; whose nodes are recorded afterwards."""
    keeper = RecordKeeper("c", "rabbit@c", cluster, lambda: cluster, wake=lambda: None, launch=Done)
    for now in moments:
        keeper.turn(now, view(cluster=cluster.view), formed=formed)
    return {node: its.member for node, its in cluster.view.record.nodes.items()}


def test_a_line_of_our_own_that_is_missing_is_added_when_it_has_been_for_a_while() -> None:
    cluster = Cluster(recorded(a="a"))
    assert keep(cluster, 0.0, MISSED - 0.1) == {"rabbit@a": "a"}, "it may be written already"
    assert cluster.asked == 0
    assert keep(cluster, 0.0, MISSED) == {"rabbit@a": "a", "rabbit@c": "c"}


def test_a_line_of_our_own_that_names_nobody_is_mended() -> None:
    assert keep(Cluster(recorded(a="a", c="rabbit@c")), 0.0, MISSED) == {"rabbit@a": "a", "rabbit@c": "c"}


def test_the_record_of_another_cluster_is_left_alone() -> None:
    assert keep(Cluster(recorded(x="x", y="y")), 0.0, MISSED) == {"rabbit@x": "x", "rabbit@y": "y"}


def test_an_empty_record_gets_our_line() -> None:
    assert keep(Cluster(recorded()), 0.0, MISSED) == {"rabbit@c": "c"}


def test_who_is_not_formed_adds_nothing() -> None:
    cluster = Cluster(recorded(a="a"))
    assert keep(cluster, 0.0, MISSED, formed=False) == {"rabbit@a": "a"}
    assert cluster.asked == 0


def test_a_record_that_another_has_changed_is_looked_at_again() -> None:
    cluster = Cluster(recorded(a="a"))
    cluster.conflicts = True
    keeper = RecordKeeper("c", "rabbit@c", cluster, lambda: cluster, wake=lambda: None, launch=Done)
    for now in (0.0, MISSED):
        keeper.turn(now, view(cluster=cluster.view), formed=True)
    cluster.conflicts = False
    for now in (MISSED + 0.1, MISSED + 3.0, MISSED + 6.0):
        keeper.turn(now, view(cluster=cluster.view), formed=True)
    assert cluster.view.record.nodes["rabbit@c"].member == "c"

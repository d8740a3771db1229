"""What is told when RabbitMQ's cluster and the group's record name different nodes."""

from support.group_views import A, B, C, view

from rabbitkeeper.agent.cluster.strangers import strangers
from rabbitkeeper.agent.rabbitmq.ctl import ClusterStatus
from rabbitkeeper.coordinator.model.records import ClusterNode, ClusterRecord
from rabbitkeeper.coordinator.model.view import ClusterView, GroupView


def group(*recorded: str) -> GroupView:
    nodes = {f"rabbit@{name}": ClusterNode(member=name, joined="") for name in recorded}
    record = ClusterRecord(founder="rabbit@a", formed="", nodes=nodes)
    return view(A, B, C, cluster=ClusterView(record, 0))


def status(*names: str) -> ClusterStatus:
    nodes = frozenset(f"rabbit@{name}" for name in names)
    return ClusterStatus(nodes, nodes, {})


def test_nothing_is_told_of_what_agrees_or_is_not_known() -> None:
    assert strangers(status("a", "b", "c"), group("a", "b", "c")) == ()
    assert (
        strangers(None, group("a")) == strangers(status("a"), None) == strangers(status("a"), view(A)) == ()
    )


def test_a_node_that_belongs_to_nobody_is_named_with_what_removes_it() -> None:
    (told,) = strangers(status("a", "b", "c", "old"), group("a", "b", "c"))
    assert "rabbit@old is in RabbitMQ's cluster and belongs to no member" in told
    assert "rabbitkeeper member remove --node rabbit@old" in told


def test_a_recorded_node_that_is_not_in_the_cluster_is_named_too() -> None:
    (told,) = strangers(status("a", "b"), group("a", "b", "c"))
    assert "rabbit@c is recorded for c and not in RabbitMQ's cluster" in told


def test_a_member_that_is_just_joining_is_no_stranger() -> None:
    assert strangers(status("a", "b", "c"), group("a", "b")) == ()

"""The record of the cluster as it is written again: whole, from what the nodes say and what was known."""

from rabbitkeeper.agent.cluster.record_keeper import whole_record
from rabbitkeeper.coordinator.model.records import ClusterNode, ClusterRecord

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

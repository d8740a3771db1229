"""Who is seen to have led, and in which order."""

from rabbitkeeper.compose.demo.timeline import GroupState, GroupTimeline


def test_the_older_of_two_leaders_is_not_seen_again() -> None:
    timeline = GroupTimeline(("node1", "node2"))
    for at, (leader, epoch) in enumerate([("node1", 7), ("node2", 9), ("node1", 7), ("node2", 9)]):
        timeline.record(GroupState(leader, epoch), at)
    assert [(seen.member, seen.at) for seen in timeline.leaders] == [("node1", 0), ("node2", 1)]


def test_a_later_incarnation_is_newer_whatever_its_epoch() -> None:
    timeline = GroupTimeline(("node1", "node2"))
    for at, (epoch, incarnation) in enumerate([(9, 0), (3, 5), (9, 0), (3, 6)]):
        timeline.record(GroupState("node1", epoch, incarnation=incarnation), at)
    assert [(seen.order, seen.at) for seen in timeline.leaders] == [((0, 9), 0), ((5, 3), 1), ((6, 3), 3)]

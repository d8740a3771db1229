"""Which nodes are suspect, and when they are asked after."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from support.peer_sightings import ALL, B_GONE, CLUSTER, CUT_OFF, NODES, member, view

from rabbitkeeper.agent.cluster.suspects import (
    AGAIN,
    FAILED,
    HUNG,
    LONGEST,
    SETTLE,
    UNREACHABLE,
    PeerSighting,
    Suspects,
)
from rabbitkeeper.coordinator.model.records import (
    MemberStatus,
    PauseRecord,
)


def test_while_everybody_is_there_nobody_is_suspect() -> None:
    suspects = Suspects().seen(ALL, 100.0)
    assert suspects.due(100.0) == ()
    assert suspects.next_due is None


def test_a_member_that_is_gone_is_asked_after_at_once_and_once() -> None:
    suspects = Suspects().seen(ALL, 99.0).seen(B_GONE, 100.0)
    assert suspects.due(100.0) == ("rabbit@b",)
    assert "b is gone" in suspects.nodes["rabbit@b"].reason
    suspects = suspects.settled(frozenset({"rabbit@b"})).seen(B_GONE, 500.0)
    assert suspects.due(1000.0) == ()


def test_a_member_that_has_been_back_and_goes_again_is_asked_after_again() -> None:
    suspects = Suspects().seen(B_GONE, 100.0).settled(frozenset({"rabbit@b"}))
    suspects = suspects.seen(ALL, 110.0).seen(B_GONE, 120.0)
    assert suspects.due(120.0) == ("rabbit@b",)


def test_a_node_that_answers_is_asked_after_ever_more_seldom() -> None:
    """Its agent alone is gone; should the node follow without a word, somebody must notice."""
    now, pauses = 100.0, []
    suspects = Suspects().seen(B_GONE, now)
    for _ in range(7):
        suspects = suspects.answered(frozenset({"rabbit@b"}), now).seen(B_GONE, now)
        assert suspects.due(now) == ()
        assert suspects.next_due is not None
        pauses.append(suspects.next_due - now)
        now = suspects.next_due
        assert suspects.due(now) == ("rabbit@b",)
    assert pauses[0] == AGAIN
    assert pauses[-1] == LONGEST
    assert pauses == sorted(pauses)


def test_a_question_that_could_not_be_asked_is_asked_soon_again() -> None:
    suspects = Suspects().seen(B_GONE, 100.0).failed(frozenset({"rabbit@b"}), 101.0)
    assert suspects.due(101.0) == ()
    assert suspects.due(101.0 + FAILED) == ("rabbit@b",)


def test_a_hung_broker_is_its_own_agents_to_end_for_a_while() -> None:
    hangs = replace(ALL, view=view(member("a"), member("b", MemberStatus.HUNG), member("c")))
    suspects = Suspects().seen(hangs, 100.0)
    assert suspects.due(100.0) == ()
    assert suspects.seen(hangs, 101.0).due(100.0 + HUNG) == ("rabbit@b",)
    assert suspects.seen(ALL, 101.0).due(200.0) == ()


def test_a_member_without_a_majority_is_asked_after_at_once_and_one_that_is_unreachable_soon() -> None:
    """Its broker may be cut off from the others, while nobody is from ZooKeeper."""
    for state, grace in ((MemberStatus.MINORITY, 0.0), (MemberStatus.UNREACHABLE, UNREACHABLE)):
        ill = replace(ALL, view=view(member("a"), member("b", state), member("c")))
        suspects = Suspects().seen(ill, 100.0)
        assert suspects.next_due == 100.0 + grace
        assert suspects.seen(ill, 103.0).due(103.0) == ("rabbit@b",)
        assert suspects.seen(ALL, 101.0).due(200.0) == ()


def test_who_has_no_majority_asks_after_all_that_serve_and_leaves_the_hung_to_their_agents() -> None:
    alone = replace(ALL, minority=True)
    assert Suspects().seen(alone, 100.0).due(100.0) == ("rabbit@b", "rabbit@c")
    stall = replace(alone, view=view(member("a"), member("b", MemberStatus.HUNG), member("c")))
    assert Suspects().seen(stall, 100.0).due(100.0) == ("rabbit@c",)
    boots = replace(alone, view=view(member("a"), member("b", MemberStatus.STARTING), member("c")))
    assert Suspects().seen(boots, 100.0).due(200.0) == ("rabbit@c",)


def test_who_is_cut_off_asks_after_all_others_when_the_lease_has_ended() -> None:
    assert Suspects().seen(replace(CUT_OFF, lease_valid=True), 100.0).due(200.0) == ()
    assert Suspects().seen(CUT_OFF, 100.0).due(100.0) == ("rabbit@b", "rabbit@c")
    without_view = replace(CUT_OFF, view=None)
    assert Suspects().seen(without_view, 100.0).due(100.0) == ("rabbit@b", "rabbit@c")


def test_after_an_outage_others_have_time_to_register_again() -> None:
    back = replace(B_GONE, connected_since=100.0)
    suspects = Suspects().seen(CUT_OFF, 99.0).answered(frozenset(NODES), 99.0)
    assert suspects.seen(back, 100.1).due(100.1) == ()
    assert suspects.seen(ALL, 100.0 + SETTLE).nodes == {}
    late = Suspects().seen(back, 100.1).seen(back, 100.0 + SETTLE)
    assert late.due(100.0 + SETTLE) == ("rabbit@b",)


def test_nothing_is_asked_while_nothing_is_certain() -> None:
    for sighting in (replace(B_GONE, view=None), replace(B_GONE, registered=False)):
        assert Suspects().seen(sighting, 100.0).due(200.0) == ()
        asked = Suspects().seen(B_GONE, 99.0).settled(frozenset({"rabbit@b"}))
        assert asked.seen(sighting, 100.0) == asked, "what was known is kept"


def test_nothing_is_asked_in_a_pause_or_without_a_broker_or_a_cluster() -> None:
    paused = replace(B_GONE, view=view(member("a"), pause=PauseRecord(by="ann", since="")))
    for sighting in (paused, replace(B_GONE, broker_up=False), replace(B_GONE, cluster=None)):
        assert Suspects().seen(sighting, 100.0).due(200.0) == ()


sights = st.builds(
    PeerSighting,
    node=st.just("rabbit@a"),
    cluster=st.sampled_from([None, CLUSTER]),
    view=st.one_of(
        st.none(),
        st.lists(st.sampled_from("abc"), unique=True).map(lambda names: view(*map(member, names))),
    ),
    broker_up=st.booleans(),
    registered=st.booleans(),
    connected_since=st.one_of(st.none(), st.floats(0, 20)),
    lease_valid=st.booleans(),
)


@given(st.lists(st.tuples(sights, st.floats(0, 5), st.booleans()), max_size=20))
def test_it_never_asks_after_itself_nor_after_a_member_that_is_seen_there(
    steps: list[tuple[PeerSighting, float, bool]],
) -> None:
    now, suspects = 0.0, Suspects()
    for sighting, passed, answers in steps:
        now += passed
        suspects = suspects.seen(sighting, now)
        due = frozenset(suspects.due(now))
        assert "rabbit@a" not in due
        certain = (
            sighting.view is not None
            and sighting.registered
            and (sighting.connected_since or now) + SETTLE <= now
        )
        if certain and sighting.connected_since is not None and sighting.view is not None:
            assert not due & {f"rabbit@{name}" for name in sighting.view.members}
        suspects = suspects.answered(due, now) if answers else suspects.settled(due)
        assert not suspects.due(now)

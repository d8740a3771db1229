"""Which nodes are in doubt, and when they are asked after."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from support.peer_sightings import ALL, B_GONE, CLUSTER, CUT_OFF, NODES, member, view

from rabbitkeeper.agent.cluster.suspects import AGAIN, FAILED, HUNG, LONGEST, SETTLE, Doubts, Sight
from rabbitkeeper.coordinator.model.records import (
    MemberStatus,
    PauseRecord,
)


def test_while_everybody_is_there_nobody_is_in_doubt() -> None:
    doubts = Doubts().seen(ALL, 100.0)
    assert doubts.due(100.0) == ()
    assert doubts.next_due is None


def test_a_member_that_is_gone_is_asked_after_at_once_and_once() -> None:
    doubts = Doubts().seen(ALL, 99.0).seen(B_GONE, 100.0)
    assert doubts.due(100.0) == ("rabbit@b",)
    assert "b is gone" in doubts.nodes["rabbit@b"].reason
    doubts = doubts.settled(frozenset({"rabbit@b"})).seen(B_GONE, 500.0)
    assert doubts.due(1000.0) == ()


def test_a_member_that_has_been_back_and_goes_again_is_asked_after_again() -> None:
    doubts = Doubts().seen(B_GONE, 100.0).settled(frozenset({"rabbit@b"}))
    doubts = doubts.seen(ALL, 110.0).seen(B_GONE, 120.0)
    assert doubts.due(120.0) == ("rabbit@b",)


def test_a_node_that_answers_is_asked_after_ever_more_seldom() -> None:
    """Its agent alone is gone; should the node follow without a word, somebody must notice."""
    now, pauses = 100.0, []
    doubts = Doubts().seen(B_GONE, now)
    for _ in range(7):
        doubts = doubts.answered(frozenset({"rabbit@b"}), now).seen(B_GONE, now)
        assert doubts.due(now) == ()
        assert doubts.next_due is not None
        pauses.append(doubts.next_due - now)
        now = doubts.next_due
        assert doubts.due(now) == ("rabbit@b",)
    assert pauses[0] == AGAIN
    assert pauses[-1] == LONGEST
    assert pauses == sorted(pauses)


def test_a_question_that_could_not_be_asked_is_asked_soon_again() -> None:
    doubts = Doubts().seen(B_GONE, 100.0).failed(frozenset({"rabbit@b"}), 101.0)
    assert doubts.due(101.0) == ()
    assert doubts.due(101.0 + FAILED) == ("rabbit@b",)


def test_a_hung_broker_is_its_own_agents_to_end_for_a_while() -> None:
    hangs = replace(ALL, view=view(member("a"), member("b", MemberStatus.HUNG), member("c")))
    doubts = Doubts().seen(hangs, 100.0)
    assert doubts.due(100.0) == ()
    assert doubts.seen(hangs, 101.0).due(100.0 + HUNG) == ("rabbit@b",)
    assert doubts.seen(ALL, 101.0).due(200.0) == ()


def test_who_is_cut_off_asks_after_all_others_when_the_lease_has_ended() -> None:
    assert Doubts().seen(replace(CUT_OFF, lease_valid=True), 100.0).due(200.0) == ()
    assert Doubts().seen(CUT_OFF, 100.0).due(100.0) == ("rabbit@b", "rabbit@c")
    without_view = replace(CUT_OFF, view=None)
    assert Doubts().seen(without_view, 100.0).due(100.0) == ("rabbit@b", "rabbit@c")


def test_after_an_outage_others_have_time_to_register_again() -> None:
    back = replace(B_GONE, connected_since=100.0)
    doubts = Doubts().seen(CUT_OFF, 99.0).answered(frozenset(NODES), 99.0)
    assert doubts.seen(back, 100.1).due(100.1) == ()
    assert doubts.seen(ALL, 100.0 + SETTLE).nodes == {}
    late = Doubts().seen(back, 100.1).seen(back, 100.0 + SETTLE)
    assert late.due(100.0 + SETTLE) == ("rabbit@b",)


def test_nothing_is_asked_while_nothing_is_certain() -> None:
    for sight in (replace(B_GONE, view=None), replace(B_GONE, registered=False)):
        assert Doubts().seen(sight, 100.0).due(200.0) == ()
        asked = Doubts().seen(B_GONE, 99.0).settled(frozenset({"rabbit@b"}))
        assert asked.seen(sight, 100.0) == asked, "what was known is kept"


def test_nothing_is_asked_in_a_pause_or_without_a_broker_or_a_cluster() -> None:
    paused = replace(B_GONE, view=view(member("a"), pause=PauseRecord(by="ann", since="")))
    for sight in (paused, replace(B_GONE, broker_up=False), replace(B_GONE, cluster=None)):
        assert Doubts().seen(sight, 100.0).due(200.0) == ()


sights = st.builds(
    Sight,
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
    steps: list[tuple[Sight, float, bool]],
) -> None:
    now, doubts = 0.0, Doubts()
    for sight, passed, answers in steps:
        now += passed
        doubts = doubts.seen(sight, now)
        due = frozenset(doubts.due(now))
        assert "rabbit@a" not in due
        certain = (
            sight.view is not None and sight.registered and (sight.connected_since or now) + SETTLE <= now
        )
        if certain and sight.connected_since is not None and sight.view is not None:
            assert not due & {f"rabbit@{name}" for name in sight.view.members}
        doubts = doubts.answered(due, now) if answers else doubts.settled(due)
        assert not doubts.due(now)

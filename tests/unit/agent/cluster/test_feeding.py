"""When a broker counts as one that feeds nobody, and which of several leaves first."""

from collections.abc import Sequence

import pytest
from support.group_views import A, B, C, member, view

from rabbitkeeper.agent.cluster.feeding import PATIENCE, REASON, TURN, Feeding, starves
from rabbitkeeper.agent.model.observation import ConnectionFacts
from rabbitkeeper.coordinator.model.records import MemberStatus as Status
from rabbitkeeper.coordinator.model.view import GroupView

UNFED = ConnectionFacts(up_since=0.0, unfed=8, unfed_since=100.0)
LONG = 100.0 + PATIENCE + 3 * TURN
ALL = view(A, B, C)


@pytest.mark.parametrize(
    ("unfed", "since", "so"),
    [(8, 100.0, True), (7, 100.0, False), (8, 100.1, False), (80, 129.0, False), (0, None, False)],
)
def test_its_consumer_should_have_had_two_turns_in_half_a_minute(
    unfed: int, since: float | None, so: bool
) -> None:
    facts = ConnectionFacts(up_since=0.0, unfed=unfed, unfed_since=since)
    assert starves(facts, 100.0 + PATIENCE, consumers=3) is so


def test_the_more_consumers_there_are_the_more_it_takes() -> None:
    assert starves(UNFED, LONG, consumers=3)
    assert not starves(UNFED, LONG, consumers=4)
    assert starves(ConnectionFacts(unfed=4, unfed_since=100.0), LONG, consumers=0)


def left(
    name: str, seen: GroupView | None, *, until: float = LONG, facts: ConnectionFacts = UNFED
) -> Feeding:
    feeding = Feeding(name)
    for tenth in range(1000, round(until * 10) + 1):
        feeding.turn(facts, seen, tenth / 10)
    return feeding


def test_members_leave_by_turns_so_that_two_do_not_at_once() -> None:
    for place, name in enumerate("abc"):
        due = 100.0 + PATIENCE + TURN * place
        assert left(name, ALL, until=due - 0.1).starving is None
        assert left(name, ALL, until=due).starving == REASON


def test_two_that_have_waited_for_a_third_do_not_leave_at_once_either() -> None:
    booting = view(member("a", 1, Status.STARTING), B, C)
    feeding = left("c", booting, until=300.0)
    feeding.turn(UNFED, ALL, 300.0)
    feeding.turn(UNFED, ALL, 300.0 + 2 * TURN - 0.1)
    assert feeding.starving is None
    feeding.turn(UNFED, view(A, member("b", 2, Status.STARVING), C), 300.0 + 2 * TURN)
    assert feeding.starving is None


@pytest.mark.parametrize(
    ("others", "so"),
    [
        ((Status.RUNNING, Status.RUNNING), True),
        ((Status.RUNNING, Status.STARVING), False),
        ((Status.RUNNING, Status.HUNG), False),
        ((Status.ALARMED, Status.RUNNING), False),
        ((Status.RUNNING,), True),
        ((Status.STARTING,), False),
        ((), True),
    ],
)
def test_it_leaves_only_beside_a_majority_of_others_that_run(others: Sequence[Status], so: bool) -> None:
    seen = view(A, *(member("bc"[at], 2 + at, state) for at, state in enumerate(others)))
    assert (left("a", seen).starving is not None) is so
    gone = left("a", ALL)
    gone.turn(UNFED, seen, LONG)
    assert gone.starving == REASON, "it does not come and go with others"


def test_of_two_that_leave_at_once_the_later_by_name_comes_back() -> None:
    both = view(member("a", 1, Status.STARVING), member("b", 2, Status.STARVING), C)
    one, other = left("a", ALL), left("b", ALL)
    one.turn(UNFED, both, LONG)
    other.turn(UNFED, both, LONG)
    assert (one.starving, other.starving) == (REASON, None)


def test_one_that_is_fed_again_is_back_at_once_and_without_a_view_nobody_leaves() -> None:
    feeding = left("a", ALL)
    feeding.turn(ConnectionFacts(up_since=0.0), ALL, LONG)
    assert feeding.starving is None
    assert left("a", None).starving is None

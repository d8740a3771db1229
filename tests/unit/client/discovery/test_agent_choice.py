"""Which agent is asked next, and when."""

from random import Random

import pytest

from rabbitkeeper.client.discovery.agent_choice import LONGEST_PAUSE, STREAM_AGAIN, AgentChoice


def choice(count: int = 3, seed: int = 1) -> AgentChoice:
    return AgentChoice(count, Random(seed))


def test_each_is_asked_once_before_one_is_asked_again() -> None:
    one = choice()
    asked = []
    for _ in range(3):
        number, due = one.next(10.0)
        assert due == 10.0
        asked.append(number)
        one.failed(number, "gone", 10.0)
    assert sorted(asked) == [0, 1, 2]
    assert one.all_failed
    number, due = one.next(10.0)
    assert due > 10.0
    assert one.next(due) == (number, due)


def test_many_clients_begin_with_different_agents() -> None:
    assert {choice(seed=seed).next(0.0)[0] for seed in range(20)} == {0, 1, 2}


def test_one_that_works_is_asked_next_as_well() -> None:
    one = choice()
    first, _ = one.next(0.0)
    one.failed(first, "gone", 0.0)
    second, _ = one.next(0.0)
    one.answered(second)
    one.worked(second)
    assert not one.all_failed
    assert one.troubles == {first: "gone"}
    assert one.next(60.0) == (second, 60.0)
    one.failed(second, "gone too", 60.0)
    assert one.next(60.0)[0] not in (first, second)


@pytest.mark.parametrize("answers", [False, True])
def test_pauses_grow_up_to_a_limit(answers: bool) -> None:
    """Also those of an agent that answers when it is asked, and whose stream is no good each time."""
    one, now, pauses = choice(1), 0.0, []
    for _ in range(12):
        if answers:
            one.answered(0)
        one.failed(0, "gone", now)
        _, due = one.next(now)
        pauses.append(due - now)
        now = due
    assert pauses[0] < 0.6
    assert all(LONGEST_PAUSE / 2 <= pause <= LONGEST_PAUSE for pause in pauses[5:])


def test_where_the_stream_does_not_work_another_agents_is_tried_and_then_one_is_polled() -> None:
    one, asked = choice(), []
    for _ in range(3):
        number, _ = one.next(0.0)
        one.answered(number)
        one.stream_broke(number, 0.0)
        asked.append(number)
    assert sorted(asked) == [0, 1, 2]
    last, _ = one.next(1.0)
    assert last == asked[-1]
    assert not one.streams(last, 1.0)
    one.failed(last, "gone", 1.0)
    assert one.next(1.0)[0] != last


def test_a_stream_that_does_not_work_is_tried_again_later_and_later() -> None:
    one = choice()
    assert one.streams(1, 0.0)
    one.stream_broke(1, 0.0)
    assert not one.streams(1, STREAM_AGAIN / 2 - 1)
    assert one.streams(1, STREAM_AGAIN)
    assert one.streams(0, 0.0)
    one.stream_broke(1, 0.0)
    assert not one.streams(1, STREAM_AGAIN - 1)
    one.stream_works(1)
    one.stream_broke(1, 0.0)
    assert one.streams(1, STREAM_AGAIN)

"""Events reach the user's functions, and a function that hangs or fails hurts nobody."""

import threading

import pytest

from rabbitkeeper.client.event_dispatcher import LIMIT, EventDispatcher
from rabbitkeeper.client.model.events import Event, EventsMissed, LeaderChanged


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_a_function_that_fails_keeps_no_other_from_its_events(error: type[BaseException]) -> None:
    dispatch = EventDispatcher("test")
    got: list[Event] = []

    def fail(_event: Event) -> None:
        raise error

    dispatch.add(fail)
    dispatch.add(got.append)
    dispatch.emit(LeaderChanged("a", 1))
    dispatch.emit(LeaderChanged(None, 1))
    dispatch.close(10)
    assert got == [LeaderChanged("a", 1), LeaderChanged(None, 1)]


def test_a_function_that_hangs_costs_the_newest_events_and_they_are_counted() -> None:
    dispatch, got = EventDispatcher("test"), []
    entered, go_on = threading.Event(), threading.Event()

    def slow(event: Event) -> None:
        got.append(event)
        entered.set()
        go_on.wait(30)

    dispatch.add(slow)
    dispatch.emit(LeaderChanged("first", 0))
    assert entered.wait(10)
    for number in range(LIMIT + 3):
        dispatch.emit(LeaderChanged("more", number))
    go_on.set()
    dispatch.close(10)
    assert len(got) == 1 + LIMIT + 1
    assert got[-1] == EventsMissed(3)


def test_without_a_function_nothing_is_kept_and_no_thread_is_started() -> None:
    before = threading.active_count()
    dispatch = EventDispatcher("test")
    dispatch.emit(LeaderChanged("a", 1))
    assert threading.active_count() == before
    got: list[Event] = []
    dispatch.add(got.append)
    dispatch.close(10)
    assert got == []

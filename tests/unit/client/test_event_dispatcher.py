"""Events reach the user's functions, and a function that hangs or fails hurts nobody."""

import threading
from functools import partial

import pytest

from rabbitkeeper.client.event_dispatcher import LIMIT, EventDispatcher
from rabbitkeeper.client.model.events import Event, EventsMissed, LeaderChanged


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_a_function_that_fails_keeps_no_other_from_its_events(
    error: type[BaseException], shared: bool
) -> None:
    dispatch = EventDispatcher("test", shared=shared)
    got: list[Event] = []

    def fail(_event: Event) -> None:
        raise error

    dispatch.add(fail)
    dispatch.add(got.append)
    dispatch.emit(LeaderChanged("a", 1))
    dispatch.emit(LeaderChanged(None, 1))
    dispatch.close(10)
    assert got == [LeaderChanged("a", 1), LeaderChanged(None, 1)]


@pytest.mark.parametrize("shared", [False, True])
def test_a_function_that_hangs_costs_the_newest_events_and_they_are_counted(shared: bool) -> None:
    dispatch, got = EventDispatcher("test", shared=shared), []
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


def test_clients_that_share_have_one_thread_and_each_its_own_events() -> None:
    first, second = EventDispatcher("first", shared=True), EventDispatcher("second", shared=True)
    threads: set[int] = set()
    got: dict[str, list[Event]] = {"first": [], "second": []}

    def listen(name: str, event: Event) -> None:
        threads.add(threading.get_ident())
        got[name].append(event)

    first.add(partial(listen, "first"))
    second.add(partial(listen, "second"))
    for number in range(3):
        first.emit(LeaderChanged("a", number))
        second.emit(LeaderChanged("b", number))
    first.close(10)
    second.close(10)
    assert got == {
        "first": [LeaderChanged("a", number) for number in range(3)],
        "second": [LeaderChanged("b", number) for number in range(3)],
    }
    assert len(threads) == 1
    assert threads != {threading.get_ident()}

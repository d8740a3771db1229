"""The window counts exactly, and lets nobody wait beyond his deadline."""

import threading
import time

from hypothesis import given
from hypothesis import strategies as st

from rabbitkeeper.client.publish.window import Window

LATER = 60.0  # seconds; no test waits for it


def test_messages_and_bytes_are_limits_both() -> None:
    window = Window(messages=3, size=10)
    assert window.acquire([1, 1, 1, 1], time.monotonic() + LATER) == 3
    window.release(3, 3)
    assert window.acquire([4, 4, 4], time.monotonic() + LATER) == 2
    assert (window.open_messages, window.open_size) == (2, 8)


def test_a_message_larger_than_the_window_passes_alone() -> None:
    window = Window(messages=3, size=10)
    assert window.acquire([1000], time.monotonic() + LATER) == 1
    assert window.acquire([0], 0.0) == 0
    window.release(1, 1000)
    assert window.acquire([1], 0.0) == 1
    assert window.acquire([1000], 0.0) == 0


def test_who_waits_is_woken_for_a_quarter_of_the_window_or_when_told() -> None:
    window = Window(messages=8, size=100)
    window.acquire([1] * 8, 0.0)
    taken: list[int] = []
    thread = threading.Thread(target=lambda: taken.append(window.acquire([1] * 8, time.monotonic() + LATER)))
    assert not window.release(0, 0), "nobody waits"
    thread.start()
    while not window.release(0, 0):
        time.sleep(0)
    assert window.release(1, 1), "he waits, and was not woken"
    assert not window.release(1, 1), "he was woken"
    thread.join(LATER)
    assert taken == [2]
    thread = threading.Thread(target=lambda: taken.append(window.acquire([1], time.monotonic() + LATER)))
    thread.start()
    while not window.release(0, 0):
        time.sleep(0)
    assert window.release(1, 1)
    window.wake()
    thread.join(LATER)
    assert taken == [2, 1]


def test_who_waits_goes_on_when_there_is_room() -> None:
    window = Window(messages=1, size=10)
    window.acquire([1], 0.0)
    taken: list[int] = []
    threads = [
        threading.Thread(target=lambda: taken.append(window.acquire([1], time.monotonic() + LATER)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for _ in threads:
        window.release(1, 1)
        while window.open_messages == 0:
            time.sleep(0)
    for thread in threads:
        thread.join(LATER)
    assert taken == [1, 1, 1]


@given(
    st.lists(st.one_of(st.lists(st.integers(0, 12), min_size=1, max_size=5), st.integers(1, 5)), max_size=40)
)
def test_what_is_counted_is_what_is_open(steps: list[list[int] | int]) -> None:
    window = Window(messages=4, size=20)
    open_sizes: list[int] = []
    for step in steps:
        if isinstance(step, list):
            taken = window.acquire(step, 0.0)
            open_sizes += step[:taken]
            full = len(open_sizes) == 4 or sum(open_sizes) + max(step) > 20
            assert taken == len(step) or full
        else:
            done, open_sizes = open_sizes[:step], open_sizes[step:]
            window.release(len(done), sum(done))
        assert (window.open_messages, window.open_size) == (len(open_sizes), sum(open_sizes))
        assert len(open_sizes) <= 4
        assert sum(open_sizes) <= 20


def test_while_a_message_waits_to_pass_alone_nobody_passes_it() -> None:
    window = Window(messages=10, size=10)
    window.acquire([4], 0.0)
    taken: list[int] = []
    thread = threading.Thread(target=lambda: taken.append(window.acquire([11], time.monotonic() + LATER)))
    thread.start()
    while window.acquire_now(0):  # until it waits
        window.release(1, 0)
        time.sleep(0)
    assert window.acquire([1], 0.0) == 0
    window.release(1, 4)
    thread.join(LATER)
    assert taken == [1]
    assert not window.acquire_now(0), "it is alone"
    window.release(1, 11)
    assert window.acquire_now(1)


def test_who_stood_behind_a_message_that_gave_up_goes_on() -> None:
    window = Window(messages=10, size=10)
    window.acquire([4], 0.0)
    assert window.acquire([11], time.monotonic() + 0.01) == 0
    assert window.acquire_now(1)

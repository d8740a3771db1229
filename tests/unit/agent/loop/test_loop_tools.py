"""The bell, the jobs and the watchdog: real threads, and waits that end by a condition."""

import signal
import threading
import time

import pytest

from rabbitkeeper.agent.runtime.job import ThreadJob
from rabbitkeeper.agent.runtime.lag import LATE, REMEMBERED, Lag
from rabbitkeeper.agent.runtime.wakeup import Wakeup
from rabbitkeeper.agent.runtime.watchdog import Watchdog
from rabbitkeeper.coordinator.model.errors import ConfigurationError

LONG = 10.0  # seconds; never waited for when things work


def test_a_ring_before_the_wait_ends_it_at_once() -> None:
    bell = Wakeup()
    bell.ring()
    bell.ring()
    started = time.monotonic()
    bell.wait(LONG)
    assert time.monotonic() - started < LONG / 2
    started = time.monotonic()
    bell.wait(0.01)  # both rings were heard
    assert time.monotonic() - started >= 0.01


def test_a_ring_from_another_thread_ends_the_wait() -> None:
    bell = Wakeup()
    threading.Timer(0.01, bell.ring).start()
    started = time.monotonic()
    bell.wait(LONG)
    assert time.monotonic() - started < LONG / 2


def test_a_ring_from_a_signal_handler_in_the_middle_of_the_wait_ends_it() -> None:
    bell = Wakeup()
    before = signal.signal(signal.SIGALRM, lambda *_: bell.ring())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        started = time.monotonic()
        bell.wait(LONG)
        assert time.monotonic() - started < LONG / 2
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_change_of_the_group_is_taken_once() -> None:
    bell = Wakeup()
    assert bell.take_group_changed()  # nothing has been read yet
    assert not bell.take_group_changed()
    bell.ring_group()
    assert bell.take_group_changed()


def test_a_job_wakes_when_it_has_ended() -> None:
    woken = threading.Event()
    job = ThreadJob("test", lambda: 5, woken.set)
    assert woken.wait(LONG)
    assert job.done
    assert job.failure is None


def test_a_jobs_own_error_is_its_outcome() -> None:
    error = ConfigurationError("a sentence")

    def fail() -> None:
        raise error

    job = ThreadJob("test", fail, lambda: None)
    assert job.wait(LONG)
    assert job.failure is error


def test_a_fault_in_a_job_is_raised_where_it_is_asked_for() -> None:
    job = ThreadJob("test", lambda: 1 / 0, lambda: None)
    assert job.wait(LONG)
    with pytest.raises(ZeroDivisionError):
        _ = job.failure


def test_the_watchdog_ends_what_does_not_beat() -> None:
    ended = threading.Event()
    watchdog = Watchdog(0.05, end=ended.set)
    watchdog.start()
    assert ended.wait(LONG)


def test_the_watchdog_lets_live_what_beats() -> None:
    ended = threading.Event()
    watchdog = Watchdog(1.0, end=ended.set)
    watchdog.start()
    for _ in range(3):
        watchdog.beat()
        assert not ended.wait(0.05)
    watchdog.stop()


def test_a_loop_that_comes_round_late_is_evidence_for_a_while() -> None:
    lag = Lag()
    lag.began(10.0)
    assert not lag.late(10.0), "nothing was planned yet"
    lag.planned(11.0)
    lag.began(11.0 + LATE)
    assert (lag.late(11.8), lag.last) == (False, LATE), "a busy host"
    lag.planned(12.0)
    lag.began(15.0)
    assert lag.last == 3.0
    assert lag.late(15.0 + REMEMBERED - 0.1)
    assert not lag.late(15.0 + REMEMBERED)


def test_a_bell_that_rings_before_is_not_late() -> None:
    lag = Lag()
    lag.planned(20.0)
    lag.began(12.0)
    assert lag.last == 0.0

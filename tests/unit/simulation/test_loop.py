"""Virtual time: what is due comes in order, and time that stands still is noticed."""

import pytest
from simulation.loop import SPIN_LIMIT, NotReached, Spinning, VirtualLoop, VirtualTime


def test_calls_come_in_the_order_of_time_then_of_asking() -> None:
    time, made = VirtualTime(), list[str]()
    loop = VirtualLoop(time)
    loop.call_later(2.0, lambda: made.append("late"))
    loop.call_later(1.0, lambda: made.append("first"))
    loop.call_later(1.0, lambda: made.append("second"))
    loop.call_soon_threadsafe(lambda: made.append("now"))
    assert made == []
    time.advance(1.5)
    assert made == ["now", "first", "second"]
    time.advance(1.0)
    assert made[3:] == ["late"]


def test_a_call_from_within_a_call_comes_after_what_was_asked_for_before() -> None:
    time, made = VirtualTime(), list[str]()
    loop = VirtualLoop(time)

    def outer() -> None:
        made.append("outer")
        loop.call_later(-1.0, lambda: made.append("inner"))

    loop.call_later(0.0, outer)
    loop.call_later(0.0, lambda: made.append("next"))
    time.advance(0.0)
    assert made == ["outer", "next", "inner"]


def test_what_is_cancelled_or_belongs_to_an_ended_loop_is_not_called() -> None:
    time, made = VirtualTime(), list[str]()
    ended, other = VirtualLoop(time), VirtualLoop(time)
    ended.call_later(1.0, lambda: made.append("ended"))
    timer = other.call_later(1.0, lambda: made.append("cancelled"))
    other.call_later(1.0, lambda: made.append("other"))
    other.cancel(timer)
    ended.stop()
    time.advance(2.0)
    assert made == ["other"]
    other.cancel(timer)


def test_a_loop_runs_until_it_is_stopped_and_says_when_nothing_would_stop_it() -> None:
    time = VirtualTime()
    loop = VirtualLoop(time)
    loop.call_later(5.0, loop.stop)
    loop.run()
    assert loop.is_stopped
    with pytest.raises(NotReached, match="nothing is pending"):
        VirtualLoop(time).run()


def test_time_that_stands_still_is_an_error_that_names_who_spins() -> None:
    time = VirtualTime()

    def spin() -> None:
        time.after(0.0, spin)

    spin()
    with pytest.raises(Spinning, match="spin"):
        time.advance(1.0)
    assert time.calls <= SPIN_LIMIT


def test_what_does_not_come_is_an_error_that_names_what_is_pending() -> None:
    time, made = VirtualTime(), list[str]()
    time.after(3.0, lambda: made.append("made"))
    assert time.run_until(lambda: made) == 3.0
    time.after(100.0, made.clear)
    with pytest.raises(NotReached, match=r"not within 10 s; pending .*clear"):
        time.run_until(lambda: not made, limit=10.0)

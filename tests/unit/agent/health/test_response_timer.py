"""Silence is the broker's; a pause of the agent is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rabbitkeeper.agent.health.response_timer import STEP, ResponseTimer


def test_a_broker_that_answers_is_never_silent() -> None:
    timer = ResponseTimer().asked(1.0).answered()
    assert timer.count(100.0).lasted == 0.0


def test_silence_grows_with_each_count() -> None:
    timer = ResponseTimer().asked(0.0)
    for count in range(1, 21):
        timer = timer.count(count * STEP)
    assert timer.lasted == pytest.approx(2.0)


def test_asking_again_does_not_begin_anew() -> None:
    timer = ResponseTimer().asked(0.0).count(0.1).asked(5.0)
    assert timer.lasted == pytest.approx(0.1)


def test_an_agent_that_slept_does_not_blame_the_broker() -> None:
    assert ResponseTimer().asked(0.0).count(3600.0).lasted < 2.0


@given(st.lists(st.floats(0.0, 1000.0), max_size=50))
def test_silence_never_exceeds_the_time_nor_the_counts(pauses: list[float]) -> None:
    timer, now = ResponseTimer().asked(0.0), 0.0
    for pause in pauses:
        now += pause
        timer = timer.count(now)
    assert timer.lasted <= now + 1e-6
    assert timer.lasted <= len(pauses) * 2 * STEP + 1e-6

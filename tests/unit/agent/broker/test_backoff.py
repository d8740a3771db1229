"""When a broker is started again."""

from hypothesis import given
from hypothesis import strategies as st

from rabbitkeeper.agent.broker.backoff import CEILING, LONG_PAUSE, STEADY, RestartBackoff

LIMIT = 3000


def test_the_first_restart_is_made_at_once() -> None:
    assert RestartBackoff().died(10.0, 0.99, LIMIT).due == 10.0


def test_the_pauses_grow_to_their_ceiling() -> None:
    restarts = RestartBackoff()
    pauses = []
    for _ in range(10):
        restarts = restarts.died(0.0, 1.0, LIMIT)
        pauses.append(restarts.due)
    assert pauses == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0]


def test_good_health_forgets() -> None:
    restarts = RestartBackoff().died(0.0, 0.5, LIMIT).died(1.0, 0.5, LIMIT)
    assert restarts.well(10.0, 10.0 + STEADY - 0.1).deaths == 2
    assert restarts.well(10.0, 10.0 + STEADY).deaths == 0
    assert restarts.well(10.0, 10.0 + STEADY).died(100.0, 0.9, LIMIT).due == 100.0


@given(st.lists(st.floats(0.0, 1.0, exclude_max=True), min_size=1, max_size=2000))
def test_a_pause_is_never_longer_than_the_ceiling(draws: list[float]) -> None:
    restarts = RestartBackoff()
    for draw in draws:
        restarts = restarts.died(5.0, draw, LIMIT)
        assert 5.0 <= restarts.due <= 5.0 + CEILING


def test_after_the_limit_it_is_tried_seldom() -> None:
    restarts = RestartBackoff()
    for _ in range(4):
        restarts = restarts.died(0.0, 0.5, 3)
        assert restarts.given_up == (restarts.deaths > 3)
    assert restarts.due == LONG_PAUSE
    again = restarts.died(700.0, 0.5, 3)
    assert again == RestartBackoff(4, 700.0 + LONG_PAUSE, given_up=True)  # nothing grows
    assert again.well(800.0, 800.0 + STEADY) == RestartBackoff(0, again.due)

"""When a broker is started again."""

from hypothesis import given
from hypothesis import strategies as st

from rabbitkeeper.agent.restarts import CEILING, STEADY, Restarts


def test_the_first_restart_is_made_at_once() -> None:
    assert Restarts().died(10.0, 0.99).due == 10.0


def test_the_pauses_grow_to_their_ceiling() -> None:
    restarts = Restarts()
    pauses = []
    for _ in range(10):
        restarts = restarts.died(0.0, 1.0)
        pauses.append(restarts.due)
    assert pauses == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0]


def test_good_health_forgets() -> None:
    restarts = Restarts().died(0.0, 0.5).died(1.0, 0.5)
    assert restarts.well(10.0, 10.0 + STEADY - 0.1).deaths == 2
    assert restarts.well(10.0, 10.0 + STEADY).deaths == 0
    assert restarts.well(10.0, 10.0 + STEADY).died(100.0, 0.9).due == 100.0


@given(st.lists(st.floats(0.0, 1.0, exclude_max=True), min_size=1, max_size=2000))
def test_a_pause_is_never_longer_than_the_ceiling(draws: list[float]) -> None:
    restarts = Restarts()
    for draw in draws:
        restarts = restarts.died(5.0, draw)
        assert 5.0 <= restarts.due <= 5.0 + CEILING

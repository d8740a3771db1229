"""The lease is certain: it never outlives the session, whatever order answers come in."""

from hypothesis import given
from hypothesis import strategies as st

from rabbitkeeper.coordinator.backend.lease import Lease


def test_it_ends_a_timeout_less_the_margin_after_the_send_time() -> None:
    lease = Lease(timeout=6.0, margin=1.0).answered(100.0)
    assert lease.valid(104.9)
    assert not lease.valid(105.0)
    assert lease.remaining(103.0) == 2.0


def test_before_the_first_answer_nothing_is_certain() -> None:
    assert not Lease(timeout=6.0).valid(0.0)


def test_a_timeout_of_zero_is_never_certain() -> None:
    assert not Lease(timeout=0.0).answered(100.0).valid(100.0)


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(1, 20), st.floats(0, 1))
def test_late_answers_neither_shorten_nor_stretch_it(
    sent: list[float], timeout: float, margin: float
) -> None:
    lease = Lease(timeout, margin)
    for one in sent:
        lease = lease.answered(one)
    assert lease.renewed == max(sent)
    assert not lease.valid(max(sent) + timeout)

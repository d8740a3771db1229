"""What the demo reads from its containers: another host's clock, and output that comes in pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rabbitkeeper.compose.containers.traffic import Clock, _lines

moments = st.floats(0, 1e6)


def test_the_line_that_took_the_shortest_tells_where_the_clocks_differ() -> None:
    clock = Clock()
    clock.heard(sent=100.0, received=1100.5)
    clock.heard(sent=200.0, received=1200.01)
    clock.heard(sent=300.0, received=1304.0)
    assert clock.ours(250.0) == pytest.approx(1250.01)


@given(difference=st.floats(-1e6, 1e6), delays=st.lists(st.floats(0, 10), min_size=1), sent=moments)
def test_a_moment_is_off_by_the_shortest_delay_and_never_too_early(
    difference: float, delays: list[float], sent: float
) -> None:
    clock = Clock()
    for delay in delays:
        clock.heard(sent, sent + difference + delay)
    assert clock.ours(sent) == pytest.approx(sent + difference + min(delays), abs=1e-6)


@given(
    st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), min_size=1)),
    st.data(),
)
def test_lines_are_the_same_however_they_are_cut(lines: list[str], data: st.DataObject) -> None:
    stream = "\n".join(lines).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert list(_lines(iter(pieces))) == lines

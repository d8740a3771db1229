"""Histories made by chance: whatever happens to a client, what must hold holds.

The same few each time, so that the result of a change is the change's. For others, and more of them:
``RABBITKEEPER_HISTORIES=10000 ./dev run pytest tests/unit/client/engine/test_histories.py``
"""

import os

from hypothesis import given, settings
from hypothesis import strategies as st
from simulation.history import play
from simulation.history_steps import CHOICES, GAPS, OFTEN, STEPS, Step

WANTED = os.environ.get("RABBITKEEPER_HISTORIES")

step = st.builds(
    Step,
    st.one_of(st.sampled_from(sorted(STEPS)), st.sampled_from(OFTEN)),
    st.integers(0, CHOICES - 1),
    st.sampled_from(GAPS),
)


@settings(max_examples=int(WANTED or 100), derandomize=WANTED is None)
@given(steps=st.lists(step, min_size=1, max_size=30), seed=st.integers(0, 2**16))
def test_whatever_happens_to_a_client(steps: list[Step], seed: int) -> None:
    play(steps, seed)

"""Histories made by chance: whatever happens to a client, what must hold holds.

The same few each time, so that the result of a change is the change's. For others, and more of them:
``RABBITKEEPER_HISTORIES=10000 ./dev run pytest tests/unit/client/engine/test_histories.py``
"""

import os

from hypothesis import given, settings
from hypothesis import strategies as st
from simulation.broker.confirms import Style
from simulation.client import Simulation
from simulation.histories.history import play
from simulation.histories.making import OFTEN, STEPS
from simulation.histories.steps import CHOICES, GAPS, Step
from support.effort import examples

WANTED = os.environ.get("RABBITKEEPER_HISTORIES")

step = st.builds(
    Step,
    st.one_of(st.sampled_from(sorted(STEPS)), st.sampled_from(OFTEN)),
    st.integers(0, CHOICES - 1),
    st.sampled_from(GAPS),
)


@settings(max_examples=int(WANTED or examples(200)), derandomize=WANTED is None)
@given(steps=st.lists(step, min_size=1, max_size=30), seed=st.integers(0, 2**16))
def test_whatever_happens_to_a_client(steps: list[Step], seed: int) -> None:
    play(steps, seed)


@settings(max_examples=int(WANTED or examples(60)), derandomize=WANTED is None)
@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.sampled_from(("", "a", "b", "c")), st.sampled_from(GAPS[:8])),
        min_size=1,
        max_size=30,
    ),
    st.sampled_from(list(Style)),
    st.sampled_from((1, 5, 50)),
)
def test_planned_moves_alone_are_seen_by_nobody(
    steps: list[tuple[int, str, float]], style: Style, prefetch: int
) -> None:
    """Nothing is sent twice, delivered twice or out of order, however often the lead moves."""
    simulation = Simulation().started()
    simulation.cluster.confirm_style = style
    subscription = simulation.client.subscribe(prefetch=prefetch)
    taken: list[str | None] = []

    def take() -> None:
        for message in simulation.client.take(subscription):
            assert not message.redelivered
            taken.append(message.message_id)
            message.ack()

    for count, leader, seconds in steps:
        simulation.client.publish_some(count)
        if leader:
            simulation.group.lead(leader)
        simulation.run(seconds)
        take()
    simulation.client.all_done()
    while len(taken) < len(simulation.client.futures):
        simulation.run(0.05)
        take()
    ids = [future.message_id for future in simulation.client.futures]
    assert taken == ids
    assert simulation.stored() == ids
    assert all(future.result().attempts == 1 for future in simulation.client.futures)
    simulation.come_to_rest()

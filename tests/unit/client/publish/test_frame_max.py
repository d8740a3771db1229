"""Brokers that take smaller frames than the one before: one message ends, the client goes on."""

import pytest
from pika import BasicProperties
from simulation.client import Simulation

from rabbitkeeper.client.model.errors import InvalidArgument, Nacked

LARGE = BasicProperties(headers={"note": "x" * 10_000})


@pytest.mark.parametrize("planned", [True, False], ids=["planned move", "broken connection"])
def test_a_header_too_large_for_the_next_broker_ends_that_message_alone(planned: bool) -> None:
    simulation = Simulation("ab").started()
    simulation.cluster.nodes["b"].frame_max = 4096
    publishing = simulation.client.publishing
    simulation.cluster.raise_alarm()  # what is published waits
    simulation.client.publish()
    simulation.run(0.1)
    before = simulation.client.publish()
    large = publishing.publish("", "orders", b"large", LARGE, True, 60.0)
    behind = simulation.client.publish()
    simulation.run(0.1)
    simulation.group.lead("b")
    if not planned:
        simulation.cluster.close_connections("a")
    simulation.until(lambda: simulation.client.member == "b", limit=10.0)
    simulation.cluster.clear_alarm()
    simulation.until(lambda: all(one.done() for one in (before, large, behind)), limit=30.0)
    error = large.exception(0)
    assert isinstance(error, Nacked)
    assert "this broker takes 4096 (frame_max)" in str(error)
    assert before.exception(0) is None
    assert behind.exception(0) is None
    assert len(simulation.journal.opened) < 8, "no connection was lost over it"
    with pytest.raises(InvalidArgument, match="frame_max"):
        publishing.publish("", "orders", b"large", LARGE, True, 60.0)
    simulation.client.futures.append(large)
    simulation.come_to_rest()

"""What the client does not do well yet. Each is expected to fail, and it is noticed when one does not."""

import pytest
from simulation.client import Simulation

from rabbitkeeper.client.model.events import Switched
from rabbitkeeper.client.model.topology import Queue

FULL = Queue("full", arguments={"x-max-length": 0, "x-overflow": "reject-publish"})


@pytest.mark.xfail(
    raises=AssertionError, strict=True, reason="a place that refuses holds up all others after a switch"
)
def test_one_full_queue_holds_nobody_else_up_after_a_switch() -> None:
    simulation = Simulation().started()
    simulation.client.declare(FULL)
    simulation.cluster.kill("a")
    simulation.until(lambda: simulation.client.seen(Switched))
    simulation.run(1.0)
    simulation.client.publish(routing_key="full")
    others = simulation.client.publish_some(20)
    simulation.until(lambda: all(future.done() for future in others), limit=1.0)

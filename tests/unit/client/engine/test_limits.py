"""What the client does not do well yet. Each is expected to fail, and it is noticed when one does not."""

import pytest
from simulation.client import Simulation

from rabbitkeeper.client.model.errors import Nacked
from rabbitkeeper.client.model.events import Switched
from rabbitkeeper.client.model.topology import Queue

FULL = Queue("full", arguments={"x-max-length": 0, "x-overflow": "reject-publish"})


@pytest.mark.xfail(
    raises=AssertionError,
    strict=True,
    reason="from an open connection to its publish channel there is no deadline",
)
def test_a_broker_that_hangs_before_the_publish_channel_is_ready_is_passed_over() -> None:
    simulation = Simulation()
    simulation.until(lambda: any(one.is_open for one in simulation.client.transport.open))
    simulation.cluster.hang("a")
    simulation.client.become_live(limit=3.0)


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


@pytest.mark.xfail(
    strict=True, reason="a message that an unanswered channel may have left there ends as nacked"
)
def test_a_message_that_may_be_there_is_not_reported_as_refused() -> None:
    simulation = Simulation().started()
    simulation.client.declare(Queue("small", arguments={"x-max-length": 1, "x-overflow": "reject-publish"}))
    simulation.cluster.hold_confirms()
    future = simulation.client.publish(routing_key="small")
    simulation.until(lambda: simulation.stored("small"))
    simulation.cluster.kill("a")
    simulation.cluster.release_confirms()
    simulation.client.all_done()
    assert not isinstance(future.exception(0), Nacked)

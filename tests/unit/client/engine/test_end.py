"""The end of a client: waited for, cut short, or unexpected. Everything that waits is answered."""

import pytest
from simulation.client import Simulation

from rabbitkeeper.client.model.errors import Closed, RabbitKeeperError
from rabbitkeeper.client.model.events import ClientClosed, Switched
from rabbitkeeper.client.model.topology import Queue
from rabbitkeeper.client.routing.switch import Phase
from rabbitkeeper.coordinator.model.records import MemberStatus


def test_a_drain_waits_for_the_last_confirm() -> None:
    simulation = Simulation().started()
    futures = simulation.client.publish_some(50)
    left = simulation.client.engine.drain(simulation.time.now + 5.0)
    took = simulation.until(left.done)
    assert left.result(0) == []
    assert took < 0.05
    assert all(future.exception(0) is None for future in futures)
    simulation.come_to_rest()


def test_a_drain_with_nothing_to_wait_for_is_over_at_once() -> None:
    simulation = Simulation().started()
    left = simulation.client.engine.drain(simulation.time.now + 5.0)
    assert simulation.until(left.done) == 0.0
    assert simulation.client.phase is Phase.CLOSED
    simulation.come_to_rest()


def test_a_drain_that_takes_too_long_tells_what_is_left() -> None:
    simulation = Simulation().started()
    simulation.client.publish()
    simulation.client.all_done()
    simulation.cluster.hold_confirms()
    (sent,) = simulation.client.publish_some(1)
    simulation.run(0.1)
    simulation.cluster.raise_alarm()
    simulation.run(0.1)
    (unsent,) = simulation.client.publish_some(1)
    left = simulation.client.engine.drain(simulation.time.now + 5.0)
    took = simulation.until(left.done)
    assert took == pytest.approx(5.0)
    assert [(one.message_id, one.sent) for one in left.result(0)] == [
        (sent.message_id, True),
        (unsent.message_id, False),
    ]
    assert all(isinstance(future.exception(0), Closed) for future in (sent, unsent))
    simulation.come_to_rest()


def test_a_drain_goes_on_across_a_switch() -> None:
    simulation = Simulation().started()
    futures = simulation.client.publish_some(10)
    left = simulation.client.engine.drain(simulation.time.now + 5.0)
    simulation.run(0.001)
    simulation.cluster.kill("a")
    simulation.until(left.done)
    assert left.result(0) == []
    assert all(future.exception(0) is None for future in futures)
    assert simulation.lost() == set()
    simulation.come_to_rest()


def test_a_client_closed_while_it_drains_answers_both() -> None:
    simulation = Simulation().started()
    simulation.cluster.hold_confirms()
    simulation.client.publish()
    left = simulation.client.engine.drain(simulation.time.now + 5.0)
    simulation.run(0.1)
    simulation.client.engine.close()
    simulation.client.run_to_the_end()
    assert left.done()
    simulation.come_to_rest()


@pytest.mark.parametrize("seconds", [0.0, 0.0001, 0.0005, 0.001, 0.0015, 0.0018, 0.0022, 0.0026, 0.5])
@pytest.mark.parametrize("fault", ["", "hang", "kill"])
def test_a_client_can_be_closed_at_any_point_of_its_start(seconds: float, fault: str) -> None:
    simulation = Simulation("a")
    future = simulation.client.publish()
    declared = simulation.client.engine.declare(Queue("orders"), 10.0)
    if fault:
        getattr(simulation.cluster, fault)("a")
    simulation.run(seconds)
    simulation.client.engine.close()
    simulation.client.run_to_the_end()
    assert future.done()
    assert declared.done()
    assert simulation.client.phase is Phase.CLOSED
    simulation.come_to_rest()


@pytest.mark.parametrize("seconds", [0.0, 0.0005, 0.0012, 0.0018, 0.0025, 0.01, 0.035, 0.05, 0.1])
@pytest.mark.parametrize("planned", [True, False])
def test_a_client_can_be_closed_at_any_point_of_a_move(seconds: float, planned: bool) -> None:
    simulation = Simulation().started()
    simulation.client.publish_some(20)
    subscription = simulation.client.subscribe()
    simulation.run(0.003)
    if planned:
        simulation.group.lead("b")
    else:
        simulation.cluster.kill("a")
    simulation.run(seconds)
    left = simulation.client.engine.drain(simulation.time.now)
    simulation.until(left.done)
    simulation.client.run_to_the_end()
    assert len(left.result(0)) == sum(future.exception(0) is not None for future in simulation.client.futures)
    assert simulation.client.take(subscription) == []
    simulation.come_to_rest()


def test_a_client_closed_while_it_waits_to_move_does_not_move() -> None:
    simulation = Simulation().started()
    simulation.published(1)
    simulation.cluster.hold_confirms()
    simulation.client.publish()
    simulation.run(0.002)
    simulation.group.lead("b")
    simulation.run(0.01)
    assert len(simulation.client.transport.open) == 2
    simulation.client.engine.close()
    simulation.client.run_to_the_end()
    assert simulation.client.seen(Switched) == []
    simulation.come_to_rest()


def test_a_drain_that_ends_while_the_broker_is_given_up_opens_nothing_more() -> None:
    simulation = Simulation().started()
    simulation.published(1)
    simulation.cluster.raise_alarm()
    simulation.run(0.01)
    future = simulation.client.publish()
    left = simulation.client.engine.drain(simulation.time.now + 5.0)
    simulation.run(0.01)
    assert not left.done()
    opened = list(simulation.journal.opened)
    assert future.cancel()
    simulation.group.says("a", MemberStatus.HUNG)  # in one burst with the message that is taken back
    simulation.until(left.done)
    simulation.client.run_to_the_end()
    assert simulation.journal.opened == opened
    assert simulation.client.engine.failure is None
    simulation.come_to_rest()


def test_what_is_handed_over_after_the_end_is_refused() -> None:
    simulation = Simulation().started()
    simulation.client.close()
    future = simulation.client.publish()
    assert isinstance(future.exception(0), Closed)
    simulation.come_to_rest()


def test_what_is_handed_over_in_the_last_moments_is_answered() -> None:
    simulation = Simulation().started()
    simulation.client.engine.close()
    simulation.run(0.0)
    assert simulation.client.phase is Phase.CLOSED
    future = simulation.client.publish()
    declared = simulation.client.engine.declare(Queue("more"), 1.0)
    subscription = simulation.client.subscribe()
    stopped = simulation.client.engine.finish(subscription, simulation.time.now + 1.0)
    drained = simulation.client.engine.drain(simulation.time.now + 1.0)
    simulation.client.run_to_the_end()
    assert isinstance(future.exception(0), Closed)
    assert isinstance(declared.exception(0), Closed)
    assert subscription.get(0) is None
    assert (stopped.result(0), drained.result(0)) == (0, [])
    simulation.come_to_rest()


def test_an_error_that_nobody_expected_ends_the_client_and_everything_that_waits() -> None:
    simulation = Simulation().started()
    subscription = simulation.client.subscribe("orders")
    simulation.cluster.hold_confirms()
    future = simulation.client.publish()
    simulation.cluster.silent_declarations.add("more")
    declared = simulation.client.engine.declare(Queue("more"), 10.0)
    simulation.run(0.1)

    def fail() -> None:
        raise ZeroDivisionError("a fault of ours")

    simulation.client.engine.post(fail)
    simulation.client.run_to_the_end()
    assert "a fault of ours" in str(simulation.client.engine.failure)
    assert isinstance(future.exception(0), RabbitKeeperError)
    assert declared.exception(0) is simulation.client.engine.failure
    with pytest.raises(RabbitKeeperError, match="a fault of ours"):
        subscription.get(0)
    assert simulation.client.phase is Phase.CLOSED


def test_the_end_is_told_once() -> None:
    simulation = Simulation().started()
    simulation.client.engine.close()
    simulation.client.engine.close()
    simulation.client.run_to_the_end()
    assert simulation.client.seen(ClientClosed) == [ClientClosed(None)]
    simulation.come_to_rest()


def test_a_client_at_rest_does_next_to_nothing() -> None:
    simulation = Simulation().started()
    simulation.client.subscribe("orders")
    simulation.client.publish()
    simulation.client.all_done()
    simulation.run(5.0)
    before = simulation.time.calls
    simulation.run(60.0)
    assert simulation.time.calls - before <= 30  # a look at the consumers each few seconds
    simulation.come_to_rest()

"""Queues that go with their last consumer: they are there after every switch, and what they are bound to."""

import pytest
from simulation.client import Simulation

from rabbitkeeper.client.amqp.transport import ChannelLost
from rabbitkeeper.client.consume.refusals import MISSING_GRACE
from rabbitkeeper.client.consume.subscription import Subscription
from rabbitkeeper.client.model.errors import TopologyError
from rabbitkeeper.client.model.events import ConsumerLost, ConsumerStarted, QueueRenamed
from rabbitkeeper.client.model.topology import Binding, Exchange, Queue

NAMED = Queue("temporary", durable=False, auto_delete=True)
TOO_MANY = ChannelLost(406, "PRECONDITION_FAILED - queue limit in vhost is reached")


def consuming(queue: Queue) -> tuple[Simulation, Subscription]:
    """From ``queue``, which is bound to an exchange that goes with it."""
    simulation = Simulation().started()
    simulation.client.declare(
        Exchange("news", "fanout", auto_delete=True), queue, Binding("news", queue.name)
    )
    subscription = simulation.client.subscribe(queue.name)
    simulation.run(0.1)
    return simulation, subscription


def is_fed(simulation: Simulation, subscription: Subscription) -> bool:
    """Whether what is published to the exchange comes to the consumer."""
    future = simulation.client.publish("news", "")
    simulation.client.all_done()
    simulation.run(0.1)
    taken = [message.message_id for message in simulation.client.take(subscription)]
    return future.exception(0) is None and taken[-1:] == [future.message_id]


def no_end(simulation: Simulation) -> bool:
    return not any(event.final for event in simulation.client.seen(ConsumerLost))


@pytest.mark.parametrize("queue", [NAMED, Queue("", auto_delete=True)], ids=["named", "server-named"])
def test_a_planned_move_keeps_the_queue_and_what_is_in_it(queue: Queue) -> None:
    simulation, subscription = consuming(queue)
    name = simulation.client.engine.topology.resolve(queue.name)
    ids = [simulation.client.publish("news", "").message_id for _ in range(250)]
    simulation.client.all_done()
    before = simulation.cluster.queues[name]
    simulation.group.lead("b")
    taken: list[str | None] = []
    for _ in range(50):
        simulation.run(0.02)
        for message in simulation.client.take(subscription):
            assert not message.redelivered
            taken.append(message.message_id)
            message.ack()
    assert simulation.client.is_live_at("b")
    assert sorted(map(str, taken)) == ids, "all of them, each once"
    assert simulation.cluster.queues[name] is before
    assert simulation.client.seen(QueueRenamed) == []
    assert simulation.client.consuming_places == ["b"]
    assert is_fed(simulation, subscription)
    assert simulation.client.seen(ConsumerLost) == []
    simulation.come_to_rest()


@pytest.mark.parametrize("queue", [NAMED, Queue("", auto_delete=True)], ids=["named", "server-named"])
def test_a_broken_connection_costs_the_queue_and_it_is_declared_again(queue: Queue) -> None:
    simulation, subscription = consuming(queue)
    simulation.cluster.close_connections("a")
    simulation.run(3.0)
    assert is_fed(simulation, subscription)
    assert no_end(simulation)
    simulation.come_to_rest()


@pytest.mark.parametrize("queue", [NAMED, Queue("", auto_delete=True)], ids=["named", "server-named"])
def test_when_the_consumers_connection_alone_breaks_it_is_declared_again(queue: Queue) -> None:
    simulation, subscription = consuming(queue)
    simulation.close_connection(consuming=True)
    simulation.run(3.0)
    assert is_fed(simulation, subscription)
    assert no_end(simulation)
    assert len(simulation.client.seen(ConsumerStarted)) == 2
    simulation.come_to_rest()


def test_a_queue_that_somebody_deletes_is_declared_again_if_it_goes_by_itself_anyway() -> None:
    simulation, subscription = consuming(NAMED)
    simulation.cluster.delete_queue("temporary")
    simulation.run(3.0)
    assert is_fed(simulation, subscription)
    simulation.come_to_rest()


def test_the_queue_that_a_broker_notices_late_to_be_without_consumers_comes_back() -> None:
    simulation, subscription = consuming(NAMED)
    old = simulation.client.connection(consuming=True)
    old.wire.up.pause()  # the broker does not see that the client has gone
    simulation.cluster.hang("a")
    simulation.group.lead("b")
    simulation.run(30.0)
    simulation.cluster.wake("a")
    old.wire.up.resume()
    simulation.run(10.0)
    assert is_fed(simulation, subscription)
    assert no_end(simulation)
    simulation.come_to_rest()


def test_a_queue_that_cannot_be_declared_again_ends_its_consumer_after_a_while() -> None:
    simulation, subscription = consuming(NAMED)
    simulation.cluster.refusals["temporary"] = TOO_MANY
    simulation.cluster.delete_queue("temporary")
    simulation.run(MISSING_GRACE + 2.0)
    with pytest.raises(TopologyError, match="temporary"):
        subscription.get(0)
    assert len(simulation.client.events) < 30, "that was no storm"
    simulation.come_to_rest()


@pytest.mark.parametrize("milliseconds", range(860, 910, 5))
def test_moves_a_second_apart_leave_one_consumer(milliseconds: int) -> None:
    """When the time for the end of the first one is over, the third one is about to follow the second."""
    simulation, subscription = consuming(NAMED)
    simulation.cluster.latency = lambda: 0.004
    simulation.group.lead("b")
    simulation.until(lambda: len(simulation.client.seen(ConsumerStarted)) == 2)
    simulation.run(milliseconds / 1000)
    simulation.group.lead("c")
    simulation.until(lambda: len(simulation.client.seen(ConsumerStarted)) == 3)
    simulation.run(0.5)
    assert simulation.cluster.consumers == ["temporary"]
    assert is_fed(simulation, subscription)
    simulation.come_to_rest()

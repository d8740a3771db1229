"""Auto-delete exchanges, which go with their last binding, on a simulated broker."""

from simulation.client import Simulation

from rabbitkeeper.client.amqp.transport import ChannelLost
from rabbitkeeper.client.model.errors import Nacked
from rabbitkeeper.client.model.topology import Binding, Exchange, Queue

NEWS = (Exchange("news", "fanout", auto_delete=True), Queue("t", durable=False, auto_delete=True))


def started() -> Simulation:
    simulation = Simulation().started()
    simulation.client.declare(*NEWS, Binding("news", "t"))
    simulation.client.subscribe("t")
    simulation.run(0.5)
    return simulation


def test_what_goes_while_it_is_declared_again_is_declared_once_more() -> None:
    simulation = started()
    simulation.cluster.refusals["orders"] = ChannelLost(405, "RESOURCE_LOCKED")  # so they go one by one
    simulation.close_connection(541, "INTERNAL_ERROR", consuming=False)
    simulation.run(0.0065)  # the exchange has been declared, the queue not yet
    for consumer in list(simulation.cluster.queues["t"].consumers):
        consumer.cancel_by_broker()
    simulation.run(3)
    simulation.cluster.refusals.clear()
    simulation.run(20)
    published = simulation.client.publish("news", "", timeout=5)
    simulation.run(1)
    assert published.exception(0) is None


def test_a_publish_waits_for_an_exchange_that_went_by_itself() -> None:
    simulation = started()
    simulation.cluster.exchanges.declared.pop("news")
    simulation.cluster.exchanges.bindings.clear()
    published = simulation.client.publish("news", "", timeout=5)
    simulation.run(1)
    assert published.exception(0) is None


def test_a_publish_is_refused_when_the_exchange_does_not_come_back() -> None:
    simulation = started()
    simulation.cluster.refusals["news"] = ChannelLost(406, "PRECONDITION_FAILED")
    simulation.cluster.exchanges.declared.pop("news")
    simulation.cluster.exchanges.bindings.clear()
    published = simulation.client.publish("news", "", timeout=60)
    simulation.run(20)
    assert isinstance(published.exception(0), Nacked)

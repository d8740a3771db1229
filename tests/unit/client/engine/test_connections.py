"""Connections whose publish channel does not come to life: none is kept that nobody can use."""

from simulation.client import Simulation

from rabbitkeeper.client.amqp.transport import ChannelLost
from rabbitkeeper.client.model.events import Connected, Disconnected
from rabbitkeeper.client.publish.future import Receipt

ERROR = (405, "RESOURCE_LOCKED - of no use")


def test_a_publish_channel_that_is_closed_before_it_is_ready_costs_the_connection() -> None:
    simulation = Simulation()
    simulation.until(
        lambda: any(channel.is_open for end in simulation.cluster.connections for channel in end.channels)
    )
    assert simulation.client.seen(Connected) == []
    simulation.cluster.close_channels(*ERROR, consuming=False)
    simulation.client.become_live()
    simulation.run(5.0)
    assert simulation.client.is_live_at("a")
    assert len(simulation.client.transport.open) == 1
    simulation.come_to_rest()


def test_a_new_publish_channel_that_is_closed_at_once_is_followed_by_another() -> None:
    simulation = Simulation().started("orders")
    simulation.cluster.close_channels(*ERROR, consuming=False)
    simulation.run(0.01)
    (end,) = simulation.cluster.connections
    for _ in range(3):
        simulation.until(lambda: any(channel.is_open for channel in end.channels), 1.0)
        simulation.cluster.close_channels(*ERROR, consuming=False)
    future = simulation.client.publish()
    simulation.client.all_done(5.0)
    assert future.result(0) == Receipt(future.message_id, 1)
    assert simulation.client.seen(Disconnected) == [], "the connection was well"
    simulation.come_to_rest()


def test_a_publish_channel_that_is_closed_during_a_move_is_replaced_after_it() -> None:
    simulation = Simulation().started("orders")
    simulation.client.publish()
    simulation.client.all_done()
    simulation.cluster.hold_confirms()
    waiting = simulation.client.publish()
    simulation.run(0.002)
    simulation.group.lead("b")
    simulation.until(lambda: simulation.client.engine._switch.is_moving)
    (end,) = simulation.cluster.nodes["b"].connections
    for channel in end.channels:
        if channel.is_open and channel.consumes is None:
            channel.refuse(ChannelLost(*ERROR))
    simulation.run(0.001)
    simulation.cluster.release_confirms()
    simulation.client.become_live("b")
    future = simulation.client.publish()
    simulation.client.all_done(5.0)
    assert isinstance(waiting.result(0), Receipt)
    assert isinstance(future.result(0), Receipt)
    simulation.come_to_rest()

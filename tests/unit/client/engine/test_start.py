"""A client starts: where it connects, and what keeps it from it."""

from simulation.client import Simulation

from rabbitkeeper.client.model.events import Connected
from rabbitkeeper.client.publish.future import Receipt


def test_a_client_goes_to_the_leader_and_publishes() -> None:
    simulation = Simulation()
    simulation.client.become_live("a")
    simulation.started("orders")
    future = simulation.client.publish()
    simulation.client.all_done()
    assert future.result() == Receipt(future.message_id, 1)
    assert simulation.stored() == [future.message_id]
    (event,) = simulation.client.seen(Connected)
    assert isinstance(event, Connected)
    assert (event.member, event.epoch) == ("a", 1)
    simulation.come_to_rest()

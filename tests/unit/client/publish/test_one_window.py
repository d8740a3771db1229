"""One window for all places: what is open, and what waits for the socket, is limited in all.

However many channels there are, places that are tried alone, and members where they are tried.
"""

import pytest
from simulation.broker.channel import HIGH_WATER
from simulation.client import Simulation

from rabbitkeeper.client.model.topology import Queue
from rabbitkeeper.client.publish.future import PublishFuture

PLACES = 40
BODY = bytes(HIGH_WATER // 8)


def queues() -> list[str]:
    return [f"q{number}" for number in range(PLACES)]


def publish_to_all(simulation: Simulation) -> list[PublishFuture]:
    return [simulation.client.publish(routing_key=name, body=BODY) for name in queues()]


def most_unread(simulation: Simulation, seconds: float) -> int:
    """Bytes that waited for the socket of any connection, at the most, in so much time."""
    simulation.cluster.latency = lambda: 0.02
    most, end = 0, simulation.time.now + seconds
    while simulation.time.now < end:
        most = max([most, *(connection.unread for connection in simulation.client.transport.open)])
        simulation.run(0.001)
    return most


@pytest.fixture
def simulation() -> Simulation:
    """More places than the socket takes bodies."""
    return Simulation().started(*queues())


def test_places_that_are_tried_alone_on_a_new_channel_wait_for_the_socket(simulation: Simulation) -> None:
    futures = publish_to_all(simulation)
    simulation.cluster.close_connections("a")
    assert most_unread(simulation, 5.0) <= HIGH_WATER + len(BODY) + 1000
    simulation.client.all_done()
    assert all(future.exception(0) is None for future in futures)
    simulation.come_to_rest()


def test_places_that_nack_wait_for_the_socket_too(simulation: Simulation) -> None:
    for name in queues():
        simulation.cluster.queues[name].refuses = True
    publish_to_all(simulation)
    simulation.run(0.015)
    for name in queues():
        simulation.cluster.queues[name].refuses = False
    assert most_unread(simulation, 5.0) <= HIGH_WATER + len(BODY) + 1000
    simulation.client.all_done()
    simulation.come_to_rest()


def test_places_that_are_tried_at_another_member_wait_for_its_socket() -> None:
    simulation = Simulation().started()
    for name in queues():
        simulation.cluster.declared_by_others(Queue(name))
        simulation.published(1, name)
        simulation.cluster.nodes["b"].lacks.add(name)
    simulation.group.lead("b")
    simulation.client.become_live("b")
    futures = publish_to_all(simulation)
    assert most_unread(simulation, 5.0) <= HIGH_WATER + len(BODY) + 1000
    simulation.client.all_done()
    assert all(future.exception(0) is None for future in futures)
    simulation.come_to_rest()


def test_what_waits_for_the_socket_can_still_be_taken_back(simulation: Simulation) -> None:
    simulation.cluster.hang("a")
    futures = publish_to_all(simulation)
    simulation.run(0.5)
    assert sum(future.cancel() for future in futures) >= PLACES - 10
    simulation.cluster.heal()
    simulation.client.all_done()
    simulation.come_to_rest()


def test_what_waits_in_whatever_place_counts_in_the_one_window() -> None:
    simulation = Simulation(window=30).started("well", "full", "elsewhere")
    client, window = simulation.client, simulation.client.window
    simulation.cluster.declared_by_others(Queue("others"))
    simulation.published(1, "others")
    simulation.cluster.nodes["b"].lacks.add("others")
    simulation.group.lead("b")
    client.become_live("b")
    simulation.cluster.queues["full"].refuses = True
    simulation.cluster.hang("a")  # where the one is that is asked
    sizes = [
        client.publish(routing_key=name, body=bytes(10)).size
        for name in ("full", "others", "elsewhere")
        for _ in range(10)
    ]
    assert (window.open_messages, window.open_size) == (30, sum(sizes))
    for _ in range(100):
        simulation.run(0.02)
        left = [future for future in client.futures if not future.done()]
        assert (window.open_messages, window.open_size) == (len(left), sum(one.size for one in left))
    simulation.cluster.heal()
    client.all_done()
    assert (window.open_messages, window.open_size) == (0, 0)
    simulation.come_to_rest()

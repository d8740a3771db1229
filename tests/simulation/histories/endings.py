"""Endings: all is well again but for one thing, and the client has to help itself in a limited time."""

from collections.abc import Callable

from rabbitkeeper.client.amqp.transport import ChannelLost
from rabbitkeeper.client.model.topology import Queue
from simulation.histories.places import ALONE, BILLS, LOG, ORDERS, OTHERS
from simulation.histories.readers import STREAM
from simulation.histories.steps import Player

CHANCE = 0.4  # that there is one
LONG = 20.0  # seconds for a publish


def end_oddly(player: Player) -> None:
    """One of the endings, or none, by chance."""
    if player.random.random() < CHANCE:
        player.random.choice(ENDINGS)(player)


def stall(player: Player) -> None:
    """Some consumers get nothing any more."""
    for place, name in ((ORDERS, "orders"), (BILLS, "bills")):
        player.simulation.cluster.stall_consumers(name)
        player.publish_to(place, 3, LONG)


def move_to_who_lacks_a_queue(player: Player) -> None:
    """A queue has taken a message where the client is; the next leader does not know of it."""
    simulation = player.simulation
    names, old, count = simulation.cluster.names, simulation.client.member, len(simulation.client.futures)
    if old is None:
        return
    for _ in range(2):
        player.publish_to(OTHERS, 1, LONG)
        simulation.run(6.0)
        leader = names[(names.index(old) + 1) % len(names)]
        simulation.cluster.nodes[leader].lacks.add("others")
        simulation.group.lead(leader)
        simulation.run(10.0)
    player.sure += simulation.client.futures[count:]


def ask_who_answers_late(player: Player) -> None:
    """As before, and the member that knows the queue takes the next message and does not say so in time."""
    cluster = player.simulation.cluster
    soon = cluster.commit_time
    move_to_who_lacks_a_queue(player)
    name = player.simulation.client.member
    if name is not None and cluster.nodes[name].lacks:
        cluster.commit_time = 5.0
        player.publish_to(OTHERS, 1, LONG)
        player.simulation.run(6.0)
        cluster.commit_time = soon


def lose_a_question(player: Player) -> None:
    """A consumer is asked for and never answered, while others are."""
    simulation = player.simulation
    simulation.run(10.0)
    if not player.subscriptions:
        return
    name = player.subscriptions[-1].queue_name
    consumers = simulation.cluster.queues[name].consumers
    assert consumers, "nobody consumes, though all has been well for long"
    simulation.cluster.lost_consumes.add(name)
    consumers[-1].cancel_by_broker()
    simulation.run(4.5)
    simulation.cluster.lost_consumes.clear()
    inactive = [one.queue_name for one in player.subscriptions if not one.active]
    assert not inactive, f"no consumer of {inactive}, though only one question had no answer"


def declare_in_an_alarm(player: Player) -> None:
    """The broker reads nothing more of the connection that has published."""
    simulation = player.simulation
    simulation.run(10.0)
    player.publish_to(ORDERS, 1, LONG)
    simulation.run(1.0)
    simulation.cluster.raise_alarm()
    player.publish_to(ORDERS, 1, LONG)
    simulation.run(0.5)
    declared = simulation.client.engine.declare(Queue("bills"), 5.0)
    simulation.run(4.0)
    assert declared.done(), "nothing can be declared while publishers are blocked"
    assert declared.exception(0) is None
    simulation.cluster.clear_alarm()


def close_channels_over_one_place(player: Player) -> None:
    """The broker closes each channel over messages for one place; it may pass."""
    simulation = player.simulation
    simulation.run(20.0)
    _, key = ALONE
    simulation.cluster.fatal[key] = ChannelLost(506, "RESOURCE_ERROR")
    exchange = ALONE[0]
    player.publish_one(exchange, key, LONG)
    count = len(simulation.client.futures)
    for _ in range(20):
        player.publish_to(BILLS, 1, LONG)
        simulation.run(0.1)
    simulation.run(2.0)
    late = [future for future in simulation.client.futures[count:] if not future.done()]
    assert not late, f"{len(late)} wait for another place, over which the broker closes channels"
    simulation.cluster.fatal.clear()


def lose_a_reader_that_has_nothing(player: Player) -> None:
    """While nobody reads the stream, something comes that the reader has waited for."""
    simulation = player.simulation
    cluster = simulation.cluster
    simulation.run(5.0)
    reader = player.begin_reading(10, "next")
    simulation.until(lambda: reader.subscription.active, 10.0)
    reader.look(simulation.journal.stored[STREAM])
    cluster.silent_consumes.add(STREAM)
    for consumer in list(cluster.queues[STREAM].consumers):
        consumer.cancel_by_broker()
    player.publish_to(LOG, 2, LONG)
    simulation.run(0.5)
    cluster.answer_again()


ENDINGS: tuple[Callable[[Player], None], ...] = (
    stall,
    move_to_who_lacks_a_queue,
    ask_who_answers_late,
    lose_a_question,
    declare_in_an_alarm,
    close_channels_over_one_place,
    lose_a_reader_that_has_nothing,
)

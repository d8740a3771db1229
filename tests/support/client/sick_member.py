"""A member that is sick for good, and a client that has to do without it: how soon, and at what cost.

Histories (``simulation.histories``) have everything be well again in the end, and so do not see a client that
waits for what never comes. Here nothing heals by itself: the client has to help itself, in a limited time.
"""

from collections.abc import Callable
from random import Random

from simulation.client import Simulation

from rabbitkeeper.client.model.topology import Binding, Exchange, Queue
from rabbitkeeper.client.routing.switch import Phase

LASTS = 30.0  # seconds
PERIOD = 0.1  # seconds between two publishes
SOON = 8.0  # seconds in which each publish is confirmed, and each message delivered
MOST_ATTEMPTS = 60  # connections that are tried meanwhile
ERROR = (506, "RESOURCE_ERROR")

Sickness = Callable[[Simulation, str, Random], None]


def opens_no_channel(simulation: Simulation, member: str, _random: Random) -> None:
    simulation.cluster.silent_channels.add(member)
    simulation.cluster.close_channels(*ERROR, consuming=False)


def has_a_stale_record(simulation: Simulation, member: str, _random: Random) -> None:
    simulation.cluster.queues["orders"].is_stale_at.add(member)
    simulation.cluster.close_channels(*ERROR, consuming=False)


def drop(simulation: Simulation, member: str) -> None:
    """The other nodes drop a node that stands still, and what was its own."""
    for queue in list(simulation.cluster.queues.values()):
        if queue.owner is not None and queue.owner in simulation.cluster.nodes[member].connections:
            simulation.cluster.remove_queue(queue)
    simulation.cluster.nodes[member].is_dropped = True
    simulation.cluster.look()


def is_cut_off(simulation: Simulation, member: str, random: Random) -> None:
    """Its host stands still, its session ends, and the others drop its node."""
    simulation.cluster.hang(member)
    simulation.run(random.uniform(0.0, 3.0))
    drop(simulation, member)
    simulation.group.remove(member)
    if simulation.group.leader == member:
        simulation.group.resign()


def loses_its_agent(simulation: Simulation, member: str, random: Random) -> None:
    """Nobody speaks for it any more; then its host stands still."""
    simulation.group.remove(member)
    if simulation.group.leader == member:
        simulation.group.resign()
    simulation.run(random.uniform(0.1, 3.0))
    simulation.cluster.hang(member)
    drop(simulation, member)


def dies_and_goes_on_leading(simulation: Simulation, member: str, _random: Random) -> None:
    simulation.cluster.kill(member)


def takes_no_consumers(simulation: Simulation, member: str, random: Random) -> None:
    """It ends the connection of consumers, again and again for a while."""
    for _ in range(random.randint(1, 4)):
        for one in list(simulation.client.transport.open):
            if one.consumes and one.node == member and one.end is not None:
                one.end.close_by_broker(320, "CONNECTION_FORCED")
        simulation.run(random.choice((0.001, 0.01, 0.5)))


def dies_and_others_are_slow(simulation: Simulation, member: str, _random: Random) -> None:
    simulation.cluster.handshake_time, simulation.cluster.handshake_answers = 2.3, 1
    simulation.cluster.kill(member)


def dies_and_nothing_is_declared_again(simulation: Simulation, member: str, _random: Random) -> None:
    simulation.cluster.silent_declarations |= {"news", "orders"}
    simulation.cluster.kill(member)
    simulation.client.publish("news", "nobody", mandatory=True, timeout=5.0)


def gives_the_lead_away(simulation: Simulation, _member: str, random: Random) -> None:
    """Again and again."""
    for _ in range(random.randint(2, 12)):
        simulation.group.lead(random.choice("abc"))
        simulation.run(random.choice((0.0, 0.0007, 0.0012, 0.002, 0.005, 0.3)))


def answers_no_declaration(simulation: Simulation, member: str, _random: Random) -> None:
    """And the lead moves."""
    simulation.cluster.silent_declarations |= {"news", "orders"}
    simulation.group.lead("b" if member != "b" else "c")


SICKNESSES: tuple[Sickness, ...] = (
    opens_no_channel,
    has_a_stale_record,
    is_cut_off,
    loses_its_agent,
    dies_and_goes_on_leading,
    takes_no_consumers,
    dies_and_others_are_slow,
    dies_and_nothing_is_declared_again,
    gives_the_lead_away,
    answers_no_declaration,
)


def play_sick(seed: int) -> None:
    """Live with a sick member.

    Args:
        seed: of all chances.

    Raises:
        AssertionError: the client does not help itself.
    """
    random = Random(seed)
    simulation = Simulation(seed=seed, spread="members" if seed % 3 == 2 else "leader").started("orders")
    simulation.cluster.hung_election_time = simulation.cluster.election_time  # agents have the node dropped
    client = simulation.client
    client.declare(Exchange("news", "fanout"), Queue("mine", exclusive=True), Binding("news", "mine"))
    subscription, other = client.subscribe(prefetch=20), client.subscribe("mine")
    simulation.published(5)
    simulation.run(0.5)
    member = client.member
    assert member is not None
    opened = len(simulation.journal.opened)
    sickness = random.choice(SICKNESSES)
    sickness(simulation, member, random)
    made: dict[str, float] = {}
    seen: set[str] = set()
    end = simulation.time.now + LASTS
    while simulation.time.now < end:
        if simulation.time.now < end - SOON:
            made[client.publish(timeout=60.0).message_id] = simulation.time.now
        simulation.run(PERIOD)
        for message in client.take(subscription):
            seen.add(message.message_id or "")
            message.ack()
        _look_at_delays(simulation, made, seen)
    assert len(simulation.journal.opened) - opened <= MOST_ATTEMPTS, "it connects again and again"
    assert client.phase is Phase.LIVE
    if sickness in (answers_no_declaration, gives_the_lead_away) and simulation.spread == "leader":
        assert client.member == simulation.group.leader, "it has not followed the lead"
    tried = [simulation.group.leader] if simulation.group.leader != client.member else []
    assert client.places in ([client.member], [client.member, *tried]), "too many that publish"
    assert client.consuming_places == [client.member], "not one for consumers"
    assert subscription.active, "there is no consumer"
    assert other.active, "there is no consumer of the exclusive queue"
    simulation.cluster.heal()
    simulation.come_to_rest()


def _look_at_delays(simulation: Simulation, made: dict[str, float], seen: set[str]) -> None:
    for future in simulation.client.futures:
        at = made.get(future.message_id)
        if at is None or simulation.time.now < at + SOON:
            continue
        assert future.done(), f"{future.message_id} waits"
        assert future.exception(0) is None, f"{future.message_id}: {future.exception(0)!r}"
        assert future.message_id in seen, f"{future.message_id} was not delivered"
        del made[future.message_id]

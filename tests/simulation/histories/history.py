"""A history: what users, brokers, agents and ZooKeeper do to one client, step by step, and what must hold.

The steps are made by chance; :func:`play` makes them, has everything be well again at the end, and looks:

* each publish has one outcome, by its deadline, and is counted in the window until then;
* what was confirmed is where it belongs, or was delivered and answered: nothing is lost;
* at each place the confirmed messages are in the order of publishing (the first of each, for one may be there
  twice; those that the broker refused or returned at first come later);
* what a user was told is not there, never was sent;
* each consumer gets what comes for the first time in the order of its queue;
* each reader of the stream gets each message once, in order, without a gap;
* what is answered is what users have answered, and what was delivered can be;
* every consumer is fed in the end, over one connection, to where the switch says;
* a declaration that the broker refuses costs no more than one connection, or two when its answer was lost;
* a client at rest does next to nothing, and a closed one leaves nothing behind.
"""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from random import Random

from rabbitkeeper.client.model.errors import (
    Blocked,
    Closed,
    Nacked,
    NoLeader,
    PublishUnknown,
    Unroutable,
)
from rabbitkeeper.client.publish.future import PublishFuture
from rabbitkeeper.client.publish.refusals import NACK_PATIENCE
from rabbitkeeper.client.routing.switch import Phase
from simulation.client import Simulation
from simulation.histories.endings import end_oddly
from simulation.histories.making import OFTEN, STEPS, make
from simulation.histories.places import PLACES
from simulation.histories.readers import STREAM
from simulation.histories.steps import CHOICES, GAPS, Player, Step

PUNCTUAL = 0.001  # seconds after its deadline by which a publish has ended
PATIENCE = NACK_PATIENCE + 5.0  # seconds, once all is well, in which a place that refuses can hold up others
HEALED_FOR = 45.0  # seconds in which everything comes to rest, once it is well
CLOSING = 2.0  # seconds for which a client that is closed waits for confirms
LONG_QUEUES = 120.0  # seconds more for consumers that take one message after the other
REST = 30.0  # seconds of looking at a client at rest …
CALLS_AT_REST = 40  # … and calls that it, and the brokers, may make in them


@dataclass(slots=True)
class _Ends:
    """When publishes ended, and what was wrong then: what a future's callback raises is only logged."""

    at: dict[str, float] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def watch(self, simulation: Simulation, future: PublishFuture) -> None:
        name = future.message_id

        def done(_: object) -> None:
            if name in self.at:
                self.wrong.append(f"{name} has a second outcome")
            self.at[name] = simulation.time.now
            if _is_confirmed(future) and name not in simulation.journal.confirmed:
                self.wrong.append(f"{name} ended as confirmed before it was")

        future.add_done_callback(done)


def by_chance(seed: int) -> list[Step]:
    """A history; always the same for the same seed."""
    random, names = Random(seed), sorted(STEPS)
    return [
        Step(
            random.choice(OFTEN if random.random() < 0.5 else names),
            random.randrange(CHOICES),
            random.choice(GAPS),
        )
        for _ in range(random.randint(5, 30))
    ]


def play(steps: Sequence[Step], seed: int) -> Simulation:
    """Make all ``steps``, then look at everything that must hold.

    Args:
        seed: of all chances; every third client spreads over the members, the others follow the leader.

    Raises:
        AssertionError: it does not.
    """
    simulation = Simulation(seed=seed, spread="members" if seed % 3 == 2 else "leader")
    player = Player(simulation)
    ends = _Ends()
    player.on_publish = lambda future: ends.watch(simulation, future)
    epoch = 0
    for step in steps:
        make(player, step)
        assert simulation.client.engine.snapshot.epoch >= epoch, "the epoch went back"
        epoch = simulation.client.engine.snapshot.epoch
        _look_at_window(simulation)
    if seed % 4 == 3:
        _cut_short(simulation, player)
    else:
        _come_to_a_good_end(simulation, player, ends)
    assert ends.wrong == []
    assert all(future.done() for future in player.declarations), "a declaration has no end"
    _look_at_messages(simulation, player)
    for reader in player.readers:
        reader.check(simulation.journal.stored[STREAM], is_at_end=False)
    ended = len(simulation.journal.ended_over)
    assert ended <= 2 * player.declared_oddly, f"{ended} connections were lost over declarations"
    simulation.come_to_rest()
    return simulation


def _look_at_window(simulation: Simulation) -> None:
    """It counts what is open in whatever place, once."""
    window = simulation.client.window
    left = [future for future in simulation.client.futures if not future.done()]
    sizes = sum(future.size for future in left)
    assert (window.open_messages, window.open_size) == (len(left), sizes), "something ended twice, or half"


def _come_to_a_good_end(simulation: Simulation, player: Player, ends: _Ends) -> None:
    """All is well again, and stays so for long enough."""
    player.heal()
    end_oddly(player)
    healed_at = simulation.time.now
    player.work_off(HEALED_FOR)
    if any(queue.is_behind for queue in simulation.cluster.queues.values()):
        player.work_off(LONG_QUEUES)
    _look_at_outcomes(simulation, ends.at, healed_at)
    for future in player.sure:
        error = future.exception(0)
        may_be_refused = future.message_id in simulation.journal.nacked
        assert error is None or may_be_refused, f"{error!r}, though it was taken at another member"
    _look_at_connections(simulation, player)
    assert simulation.client.engine.consumers.in_hand == 0, (
        "messages were delivered, and nobody can answer them"
    )
    for reader in player.readers:
        reader.check(simulation.journal.stored[STREAM], is_at_end=reader.subscription in player.subscriptions)


def _cut_short(simulation: Simulation, player: Player) -> None:
    """The client is closed in the middle of whatever goes on."""
    client = simulation.client
    left = client.engine.drain(simulation.time.now + CLOSING)
    assert simulation.until(left.done) <= CLOSING + PUNCTUAL, "the client was not closed in time"
    unconfirmed = {one.message_id for one in left.result(0)}
    client.run_to_the_end()
    assert all(future.done() for future in client.futures), "a publish has no end"
    closed = {
        future.message_id
        for future in client.futures
        if not future.cancelled() and isinstance(future.exception(0), Closed)
    }
    assert closed == unconfirmed, "what is left is not what was told"
    for subscription in player.subscriptions:
        client.take(subscription)
        assert subscription.get(0) is None, "a consumer does not end"
    simulation.cluster.heal()
    simulation.run(HEALED_FOR)


def _look_at_outcomes(simulation: Simulation, ended_at: dict[str, float], healed_at: float) -> None:
    client, journal = simulation.client, simulation.journal
    sent = {one.message_id for one in journal.sent}
    for future in client.futures:
        name = future.message_id
        assert future.done(), f"{name} has no outcome"
        assert ended_at[name] <= future.deadline + PUNCTUAL, f"{name} ended late"
        if future.cancelled():
            assert name not in sent, f"{name} was cancelled and sent"
            continue
        error = future.exception(0)
        if isinstance(error, NoLeader | Blocked):
            assert name not in sent, f"{name} was sent, and reported as not"
        place = PLACES[future.exchange, future.routing_key]
        if place.is_nowhere:
            assert error is not None, f"{name} was confirmed, and went nowhere"
        if place.is_well and future.deadline > healed_at + PATIENCE:
            refused = isinstance(error, Nacked | PublishUnknown) and name in journal.nacked
            assert error is None or refused, f"{name}: {error!r}, though everything was well again"
        if isinstance(error, Unroutable):
            assert not place.is_well, f"{name} was unroutable"
        if isinstance(error, Nacked | Unroutable) and len(place.queues) == 1:
            assert name not in journal.stored[place.queues[0]], f"{name} is there, and reported as refused"
    assert client.publishing.unconfirmed == 0


def _look_at_messages(simulation: Simulation, player: Player) -> None:
    journal = simulation.journal
    confirmed = [future for future in simulation.client.futures if _is_confirmed(future)]
    late = journal.refused | set(journal.returned)
    kept = simulation.cluster.kept
    for place, where in PLACES.items():
        names = [one.message_id for one in confirmed if (one.exchange, one.routing_key) == place]
        for queue in where.queues:
            stored = list(dict.fromkeys(journal.stored[queue]))
            lost = set(names) - set(stored)
            assert not lost, f"{len(lost)} of {len(names)} confirmed messages never came to {queue}"
            wanted = [name for name in names if name not in late]
            among = set(wanted)
            assert [name for name in stored if name in among] == wanted, f"out of order in {queue}"
    for subscription, taken in player.taken.items():
        if subscription.queue_name == "passing":
            continue  # it has two consumers for a moment in each move
        stored = journal.stored[subscription.queue_name]
        times = Counter(stored)
        places = {name: place for place, name in enumerate(stored) if times[name] == 1}
        order = [places[name] for name in taken if name in places]
        assert order == sorted(order), f"a consumer of {subscription.queue_name} got them out of order"
    answered = player.acked | player.given_up
    for future in confirmed:
        where = PLACES[future.exchange, future.routing_key]
        if where.is_well:
            assert future.message_id in answered | kept, f"{future.message_id} is nowhere"
    unseen = set(journal.stored[STREAM])  # of a stream what is there already is acked unseen, to make room
    assert set(journal.acked) <= player.acked | unseen, "acked, and not by a user"
    assert set(journal.rejected) <= player.given_up, "rejected, and not by a user"


def _look_at_connections(simulation: Simulation, player: Player) -> None:
    client, cluster = simulation.client, simulation.cluster
    assert client.phase is Phase.LIVE, f"it is {client.phase}"
    assert client.places == [client.member], "not one connection that publishes, where the client is"
    assert client.consuming_places == [client.member], "not one for consumers, where the client is"
    assert client.member == simulation.group.leader or simulation.spread == "members"
    wanted = sorted(one.queue_name for one in player.subscriptions)
    assert cluster.consumers == wanted, "consumers are missing, or there are too many"
    for queue in cluster.queues.values():
        assert not queue.is_behind, f"{queue.name} keeps messages from its consumers"
    for connection in client.transport.open:
        channels = [channel for channel in connection.channels if not channel.is_over]
        most = 2 + len(wanted) if connection.consumes else 2  # one declares, one asks about queues
        assert len(channels) <= most, "channels are left"
    before = simulation.time.calls
    simulation.run(REST)
    assert simulation.time.calls - before <= CALLS_AT_REST, "it does not rest"


def _is_confirmed(future: PublishFuture) -> bool:
    try:
        return future.exception(0) is None
    except CancelledError:
        return False

"""The steps of a history: what can happen, and how it is made to."""

from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.consume.subscription import Subscription
from rabbitkeeper.client.model.errors import RabbitKeeperError
from rabbitkeeper.client.model.topology import Binding, Entity, Exchange, Queue
from rabbitkeeper.client.publish.future import PublishFuture
from rabbitkeeper.coordinator.model.records import MemberStatus
from simulation.client import Simulation
from simulation.histories.faults import confirm_in, some
from simulation.histories.places import OTHERS, PLACES, TOPOLOGY
from simulation.histories.readers import STREAM, Reader


class Step(NamedTuple):
    """One thing that happens, and the time that passes then. ``choice`` chooses among what there is."""

    what: str
    choice: int
    seconds: float


CHOICES = 252  # a step chooses by a number below: of 2, 3, 4, 6, 7, … things each as likely as the others
GAPS = (0.0, 0.0003, 0.0007, 0.0012, 0.002, 0.005, 0.02, 0.05, 0.3, 1.2, 4.0)  # seconds
TIMEOUTS = (0.3, 2.0, 20.0, 120.0)  # seconds
MOST_OPEN = 400  # messages without an outcome; then users wait
MOST_CONSUMERS = 4
MOST_READERS = 2
ODD = Exchange("odd", "no-such-type")  # a broker ends the connection over it
MOST_CALLS = 200_000  # while everything is worked off
ALL = 0


@dataclass(slots=True)
class Player:
    """Plays everybody but the client.

    Attributes:
        acked, given_up: ids of messages that users have acked, or rejected.
        readers: of the stream, also those that have ended.
        sure: publishes that have to be confirmed.
        in_hand: messages that users have taken and not answered.
        taken: ids of messages that users have taken, in their order, without those that came again.
    """

    simulation: Simulation
    subscriptions: list[Subscription] = field(default_factory=list)
    acked: set[str] = field(default_factory=set)
    given_up: set[str] = field(default_factory=set)
    taken: dict[Subscription, list[str]] = field(default_factory=lambda: defaultdict(list))
    declarations: list[Future[int]] = field(default_factory=list)
    declared_oddly: int = 0  # times
    readers: list[Reader] = field(default_factory=list)
    sure: list[PublishFuture] = field(default_factory=list)
    on_publish: Callable[[PublishFuture], None] = lambda _: None
    in_hand: list[Message] = field(default_factory=list)
    random: Random = field(default_factory=Random)

    def __post_init__(self) -> None:
        self.random.seed(self.simulation.cluster.random.random())
        self.simulation.cluster.leaves_stuck = True
        self.simulation.cluster.declared_by_others(Queue("others"))
        confirm_in(self.simulation.cluster, self.random.randrange(CHOICES))
        self.simulation.client.become_live()
        self.simulation.client.declare(*TOPOLOGY)

    # -- users

    def publish(self, choice: int) -> None:
        """Some messages to one place."""
        choice, place = divmod(choice, len(PLACES))
        self.publish_to(place, (1, 3, 20, 60)[choice % 4], TIMEOUTS[choice // 4 % 4])

    def publish_everywhere(self, choice: int) -> None:
        """A few messages to each of several places in turn."""
        for number in range(5 + choice % 10):
            self.publish_to(number * (1 + choice % 2), 1 + choice % 3, TIMEOUTS[choice // 6 % 4])

    def publish_to(self, place: int, count: int, timeout: float) -> None:
        """So many messages to a place, by its number."""
        exchange, key = list(PLACES)[place % len(PLACES)]
        for _ in range(count):
            self.publish_one(exchange, key, timeout)

    def publish_one(self, exchange: str, key: str, timeout: float) -> None:
        if self.simulation.client.publishing.unconfirmed < MOST_OPEN:
            self.on_publish(self.simulation.client.publish(exchange, key, timeout=timeout))

    def cancel(self, choice: int) -> None:
        pending = [future for future in self.simulation.client.futures if not future.done()]
        if pending:
            pending[choice % len(pending)].cancel()

    def declare(self, choice: int) -> None:
        self._declare(TOPOLOGY[choice % len(TOPOLOGY)])

    def declare_wrongly(self, choice: int) -> None:
        wrong = (
            Binding("missing", "orders"),
            Queue("orders", arguments={"x-max-length": 1}),
            ODD,
        )
        self.declared_oddly += choice % 3 == 2
        self._declare(wrong[choice % 3])

    def _declare(self, entity: Entity) -> None:
        self.declarations.append(self.simulation.client.engine.declare(entity, 5.0))

    def subscribe(self, choice: int) -> None:
        if len(self.subscriptions) < MOST_CONSUMERS:
            name = ("orders", "bills", "orders", "bills", "passing")[choice // 4 % 5]
            prefetch, dedupe = (1, 10, 100)[choice % 3], (0, 100)[choice // 2 % 2]
            self.subscriptions.append(self.simulation.client.subscribe(name, prefetch, dedupe))

    def read(self, choice: int) -> None:
        """Consume from the stream."""
        if len(self.readers) < MOST_READERS:
            self.begin_reading((1, 10, 100)[choice % 3], ("first", "next", 3, None)[choice // 3 % 4])

    def begin_reading(self, prefetch: int, offset: int | str | None) -> Reader:
        subscription = self.simulation.client.subscribe(STREAM, prefetch, offset=offset)
        reader = Reader(subscription, {"first": 0, 3: 3}.get(offset or ""))
        self.subscriptions.append(subscription)
        self.readers.append(reader)
        return reader

    def stop(self, choice: int) -> None:
        if self.subscriptions:
            subscription = self.subscriptions.pop(choice % len(self.subscriptions))
            deadline = self.simulation.time.now + (0.0, 2.0, 20.0)[choice % 3]
            self.simulation.client.engine.finish(subscription, deadline)

    def drop(self, choice: int) -> None:
        if self.subscriptions:
            self.simulation.client.engine.drop(self.subscriptions.pop(choice % len(self.subscriptions)))

    def take(self, choice: int) -> None:
        """Take what there is, and answer some of it."""
        for subscription in list(self.subscriptions):
            try:
                messages = self.simulation.client.take(subscription)
            except RabbitKeeperError as error:
                if "no queue" in str(error):
                    raise AssertionError("its queue goes with its consumers, or never") from error
                self.subscriptions.remove(subscription)
                continue
            self.took(subscription, messages)
        self.random.shuffle(self.in_hand)
        for _ in range(len(self.in_hand) * (4 - choice % 4) // 4):
            self._answer(self.in_hand.pop(), choice)

    def took(self, subscription: Subscription, messages: list[Message]) -> None:
        """Users have taken these."""
        self.in_hand += messages
        for reader in self.readers:
            if reader.subscription is subscription:
                reader.taken += [str(one.message_id) for one in messages]
        self.taken[subscription] += [str(one.message_id) for one in messages if not one.redelivered]

    def _answer(self, message: Message, choice: int) -> None:
        """Some are given back, some rejected, most acked; all of them when ``choice`` is a multiple of 4."""
        name = message.message_id
        assert name is not None
        match message.delivery_tag % 8 if choice % 4 else 2:
            case 0:
                message.nack()
            case 1:
                self.given_up.add(name)
                message.reject()
            case _:
                self.acked.add(name)
                message.ack()

    # -- brokers

    def _some(self, choice: int) -> str:
        return some(self.simulation.cluster, choice)

    def refuse_for_a_moment(self, choice: int) -> None:
        """A queue refuses and takes messages again, while more are published there and elsewhere."""
        queue = self.simulation.cluster.queues.get(("orders", "bills")[choice % 2])
        if queue is None:
            return
        queue.refuses = True
        self.publish_to(choice % 2, 1 + choice % 3, TIMEOUTS[2])
        self.simulation.run((0.003, 0.02, 0.06)[choice // 3 % 3])
        queue.refuses = False
        for number in range(2 + choice % 5):
            self.publish_to(choice // 7 + number, 2, TIMEOUTS[2 + choice % 2])
            self.publish_to(choice % 2, 1, TIMEOUTS[2])
            self.simulation.run((0.002, 0.006, 0.011)[choice // 9 % 3])

    def forget_queue(self, choice: int) -> None:
        """The next to lead does not know of the queue that others have declared, and that took messages; the
        one that does may be gone when it is asked."""
        simulation, cluster = self.simulation, self.simulation.cluster
        names = list(simulation.group.members)
        old = simulation.client.member
        if old is None or not names:
            return
        self.publish_to(OTHERS, 1 + choice % 3, TIMEOUTS[2])
        simulation.run((0.02, 1.2)[choice // 3 % 2])
        new = names[choice // 6 % len(names)]
        cluster.nodes[new].lacks = {"others"} - cluster.nodes[new].lacks
        simulation.group.lead(new)
        simulation.run((0.02, 0.3, 1.2)[choice // 3 % 3])
        self.publish_to(OTHERS, 1 + choice % 3, TIMEOUTS[1 + choice // 9 % 3])
        simulation.run(0.002 + 0.0003 * (choice // 5 % 9))
        if choice % 5 == 0:
            cluster.kill(old)

    def slow_network(self, choice: int) -> None:
        random, slowest = self.random, (0.0003, 0.005, 0.08)[choice % 3]
        self.simulation.cluster.latency = lambda: random.uniform(0.0001, slowest)

    # -- agents and ZooKeeper

    def lead(self, choice: int) -> None:
        names = list(self.simulation.group.members)
        if names:
            self.simulation.group.lead(names[choice % len(names)])

    def cut_a_move(self, choice: int) -> None:
        """Another leads, and when the client is on its way there, one of the two dies or both do."""
        old, new = self.simulation.client.member, self._some(choice)
        if old in (None, new) or new not in self.simulation.group.members:
            return
        self.simulation.group.lead(new)
        self.simulation.run(0.0012 + 0.0004 * (choice // 3 % 12))
        self.simulation.cluster.kill(*(((old,), (new,), (old, new))[choice // 36 % 3]))

    def resign(self, choice: int) -> None:
        del choice
        self.simulation.group.resign()

    def tell_the_truth(self, choice: int) -> None:
        """The agents say of their brokers what is so."""
        del choice
        group = self.simulation.group
        for name, node in self.simulation.cluster.nodes.items():
            if name not in group.members:
                group.add(name)
            status = MemberStatus.UNREACHABLE
            if node.is_up:
                status = MemberStatus.HUNG if node.is_hung else MemberStatus.RUNNING
            if group.members[name].status is not status:
                group.says(name, status)

    def tell_something(self, choice: int) -> None:
        """An agent says something, be it so or not."""
        name, statuses = self._some(choice), list(MemberStatus)
        if name in self.simulation.group.members:
            self.simulation.group.says(name, statuses[choice % len(statuses)])

    def vanish(self, choice: int) -> None:
        name = self._some(choice)
        if name in self.simulation.group.members:
            self.simulation.group.remove(name)

    def show_the_past(self, choice: int) -> None:
        """A server that lags behind shows an older epoch."""
        group = self.simulation.group
        targets = group.targets
        if targets.epoch > 1:
            members = list(group.members.values())
            leader = members[choice % len(members)] if members else None
            group.show(type(targets)(targets.epoch - 1, leader, dict(group.members)))

    # -- the end

    def heal(self) -> None:
        """Everything is well again."""
        cluster = self.simulation.cluster
        cluster.heal()
        cluster.channel_max = 2047
        for queue in cluster.queues.values():
            queue.refuses = False
        for node in cluster.nodes.values():
            node.lacks.clear()
        cluster.latency = lambda: 0.0002
        cluster.confirm_delay = lambda: 0.0005
        self.tell_the_truth(0)
        self.simulation.group.lead(self.random.choice(cluster.names))
        self.simulation.run(2.0)

    def work_off(self, seconds: float) -> None:
        """Take and ack everything that comes, for so long."""
        end = self.simulation.time.now + seconds
        most = self.simulation.time.calls + MOST_CALLS
        while self.simulation.time.now < end:
            assert self.simulation.time.calls < most, "it goes round in a circle"
            acked = self.simulation.journal.acked.total()  # what a consumer has seen before, too
            self.take(ALL)
            self.simulation.run(0.005)
            if self.simulation.journal.acked.total() == acked:
                self.simulation.run(0.25)

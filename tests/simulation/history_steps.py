"""The steps of a history: what can happen, and how it is made to."""

from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from rabbitkeeper.client.amqp.transport import ChannelLost
from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.consume.subscription import Subscription
from rabbitkeeper.client.model.errors import RabbitKeeperError
from rabbitkeeper.client.model.topology import Binding, Entity, Exchange, Queue
from rabbitkeeper.client.publish.future import PublishFuture
from rabbitkeeper.coordinator.model.records import MemberStatus
from simulation.broker.cluster import BOOTING, CONNECTION_LIMIT, CREDENTIALS
from simulation.broker.confirms import Style
from simulation.client import Simulation
from simulation.history_places import PLACES, TOPOLOGY


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
ODD = Exchange("odd", "no-such-type")  # a broker ends the connection over it
MOST_CALLS = 200_000  # while everything is worked off
ALL = 0


@dataclass(slots=True)
class Player:
    """Plays everybody but the client.

    Attributes:
        acked, given_up: ids of messages that users have acked, or rejected.
        taken: ids of messages that users have taken, in their order, without those that came again.
    """

    simulation: Simulation
    subscriptions: list[Subscription] = field(default_factory=list)
    acked: set[str] = field(default_factory=set)
    given_up: set[str] = field(default_factory=set)
    taken: dict[Subscription, list[str]] = field(default_factory=lambda: defaultdict(list))
    declarations: list[Future[int]] = field(default_factory=list)
    declared_oddly: int = 0  # times
    on_publish: Callable[[PublishFuture], None] = lambda _: None
    _in_hand: list[Message] = field(default_factory=list)
    _random: Random = field(default_factory=Random)

    def __post_init__(self) -> None:
        self._random.seed(self.simulation.cluster.random.random())
        self.simulation.cluster.leaves_stuck = True
        self.confirm_in(self._random.randrange(CHOICES))
        self.simulation.client.become_live()
        self.simulation.client.declare(*TOPOLOGY)

    def make(self, step: Step) -> None:
        """Make one step, then let its time pass."""
        STEPS[step.what](self, step.choice)
        self.simulation.run(step.seconds)

    # -- users

    def publish(self, choice: int) -> None:
        """Some messages to one place."""
        choice, place = divmod(choice, len(PLACES))
        self._publish(place, (1, 3, 20, 60)[choice % 4], TIMEOUTS[choice // 4 % 4])

    def publish_everywhere(self, choice: int) -> None:
        """A few messages to each of several places in turn."""
        for number in range(5 + choice % 10):
            self._publish(number * (1 + choice % 2), 1 + choice % 3, TIMEOUTS[choice // 6 % 4])

    def _publish(self, place: int, count: int, timeout: float) -> None:
        exchange, key = list(PLACES)[place % len(PLACES)]
        for _ in range(count):
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
            self._in_hand += messages
            self.taken[subscription] += [str(one.message_id) for one in messages if not one.redelivered]
        self._random.shuffle(self._in_hand)
        for _ in range(len(self._in_hand) * (4 - choice % 4) // 4):
            self._answer(self._in_hand.pop(), choice)

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
        names = self.simulation.cluster.names
        return names[choice % len(names)]

    def kill(self, choice: int) -> None:
        self.simulation.cluster.kill(self._some(choice))

    def start(self, choice: int) -> None:
        if not self.simulation.cluster.is_up(self._some(choice)):
            self.simulation.cluster.start(self._some(choice))

    def hang(self, choice: int) -> None:
        if self.simulation.cluster.answers(self._some(choice)):
            self.simulation.cluster.hang(self._some(choice))

    def wake(self, choice: int) -> None:
        if self.simulation.cluster.nodes[self._some(choice)].is_hung:
            self.simulation.cluster.wake(self._some(choice))

    def close_connections(self, choice: int) -> None:
        self.simulation.cluster.close_connections(self._some(choice))

    def end_connections(self, choice: int) -> None:
        node = self.simulation.cluster.nodes[self._some(choice)]
        node.ends_connections = not node.ends_connections

    def turn_away(self, choice: int) -> None:
        """A node lets nobody in, or does so again."""
        node = self.simulation.cluster.nodes[self._some(choice)]
        node.refusal = (None, BOOTING, CREDENTIALS, CONNECTION_LIMIT)[choice // 3 % 4]

    def refuse_declarations(self, choice: int) -> None:
        """Something cannot be declared, or is not answered; or all can again."""
        cluster = self.simulation.cluster
        name = ("orders", "events", "mine", "full")[choice % 4]
        match choice // 4 % 4:
            case 0:
                cluster.refusals[name] = ChannelLost(405, "RESOURCE_LOCKED")
            case 1:
                cluster.refusals[name] = ChannelLost(406, "PRECONDITION_FAILED")
            case 2:
                cluster.silent_declarations.add(name)
            case 3:
                cluster.answer_again()

    def silence_consumers(self, choice: int) -> None:
        if choice % 2:
            self.simulation.cluster.silent_consumes.add(("orders", "bills")[choice // 2 % 2])
        else:
            self.simulation.cluster.answer_again()

    def stale_record(self, choice: int) -> None:
        """A node's record of a queue names a dead node: channels that are new to it wait there."""
        self.simulation.cluster.queues[("orders", "bills")[choice % 2]].is_stale_at.add(
            self._some(choice // 2)
        )

    def refuse(self, choice: int) -> None:
        """A queue refuses what is published to it, or takes it again."""
        queue = self.simulation.cluster.queues.get(("orders", "bills", "full")[choice % 3])
        if queue is not None:
            queue.refuses = choice // 3 % 3 > 0

    def refuse_for_a_moment(self, choice: int) -> None:
        """A queue refuses and takes messages again, while more are published there and elsewhere."""
        queue = self.simulation.cluster.queues.get(("orders", "bills")[choice % 2])
        if queue is None:
            return
        queue.refuses = True
        self._publish(choice % 2, 1 + choice % 3, TIMEOUTS[2])
        self.simulation.run((0.003, 0.02, 0.06)[choice // 3 % 3])
        queue.refuses = False
        for number in range(2 + choice % 5):
            self._publish(choice // 7 + number, 2, TIMEOUTS[2 + choice % 2])
            self._publish(choice % 2, 1, TIMEOUTS[2])
            self.simulation.run((0.002, 0.006, 0.011)[choice // 9 % 3])

    def drain_the_full(self, choice: int) -> None:
        """Somebody takes some messages from the queue that gets full."""
        queue = self.simulation.cluster.queues.get("full")
        if queue is not None:
            del queue.ready[: 1 + choice % 5]

    def limit_channels(self, choice: int) -> None:
        """Connections may have few channels, or as many as they like again."""
        self.simulation.cluster.channel_max = (4, 6, 2047)[choice % 3]

    def silence_channels(self, choice: int) -> None:
        """A node opens no channel any more, and does not say so."""
        self.simulation.cluster.silent_channels.add(self._some(choice))

    def close_channels(self, choice: int) -> None:
        if choice % 2:
            self.simulation.cluster.close_channels(406, "PRECONDITION_FAILED", consuming=True)
        else:  # over nothing that the client has done
            self.simulation.cluster.close_channels(506, "RESOURCE_ERROR", consuming=False)

    def cancel_consumers(self, choice: int) -> None:
        for queue in list(self.simulation.cluster.queues.values()):
            for consumer in list(queue.consumers)[choice % 2 :]:
                consumer.cancel_by_broker()

    def stall_consumers(self, choice: int) -> None:
        self.simulation.cluster.stall_consumers(("orders", "bills", "full")[choice % 3])

    def alarm(self, choice: int) -> None:
        if choice % 2:
            self.simulation.cluster.raise_alarm()
        else:
            self.simulation.cluster.clear_alarm()

    def hold_confirms(self, choice: int) -> None:
        if choice % 2:
            self.simulation.cluster.hold_confirms()
        else:
            self.simulation.cluster.release_confirms()

    def lose_leader(self, choice: int) -> None:
        name = ("orders", "bills")[choice % 2]
        self.simulation.cluster.queues[name].lose_leader((0.05, 0.5, 3.0)[choice % 3])

    def confirm_in(self, choice: int) -> None:
        self.simulation.cluster.confirm_style = list(Style)[choice % len(Style)]
        delay = (0.0, 0.0005, 0.01, 0.2)[choice % 4]
        self.simulation.cluster.confirm_delay = lambda: delay

    def slow_network(self, choice: int) -> None:
        random, slowest = self._random, (0.0003, 0.005, 0.08)[choice % 3]
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
        cluster.latency = lambda: 0.0002
        cluster.confirm_delay = lambda: 0.0005
        self.tell_the_truth(0)
        self.simulation.group.lead(self._random.choice(cluster.names))
        self.simulation.run(2.0)
        if self._random.random() < 0.2:  # and yet some consumers get nothing
            for place, name in ((0, "orders"), (1, "bills")):
                cluster.stall_consumers(name)
                self._publish(place, 3, TIMEOUTS[2])

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


STEPS: dict[str, Callable[[Player, int], None]] = {
    name: getattr(Player, name)
    for name in (
        "publish", "publish_everywhere", "cancel", "declare", "declare_wrongly", "subscribe", "stop", "drop",
        "take", "kill", "start", "hang", "wake", "close_connections", "end_connections", "turn_away",
        "refuse_declarations", "silence_consumers", "stale_record", "silence_channels", "limit_channels",
        "close_channels", "refuse", "refuse_for_a_moment", "drain_the_full", "cancel_consumers", "alarm",
        "stall_consumers", "hold_confirms", "lose_leader", "confirm_in", "slow_network", "lead", "cut_a_move",
        "resign", "tell_the_truth", "tell_something", "vanish", "show_the_past",
    )
}  # fmt: skip
OFTEN = (
    "publish",
    "publish_everywhere",
    "lead",
    "kill",
    "tell_the_truth",
    "take",
    "subscribe",
    "cancel_consumers",
    "cut_a_move",
    "refuse_for_a_moment",
    "stale_record",
)
"""Steps that a history has more of."""

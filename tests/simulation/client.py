"""A client on simulated brokers in virtual time. The test plays its users' threads, on its one thread.

Nothing in it waits: what a user would wait for, a test looks at after it has let time pass.
"""

import queue
from collections.abc import Callable, Iterable
from datetime import datetime
from random import Random
from typing import TypeVar

from rabbitkeeper.client.amqp.transport import Access, Transport
from rabbitkeeper.client.assembly import assemble
from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.consume.subscription import Subscription
from rabbitkeeper.client.model.consumer_options import DEFAULT, ConsumerOptions
from rabbitkeeper.client.model.errors import RabbitKeeperError
from rabbitkeeper.client.model.events import Event
from rabbitkeeper.client.model.topology import Binding, Entity, Exchange, Queue
from rabbitkeeper.client.publish.future import PublishFuture
from rabbitkeeper.client.publish.window import Window
from rabbitkeeper.client.routing.placement import Spread
from rabbitkeeper.client.routing.switch import Phase
from rabbitkeeper.client.status import Status, status_of
from rabbitkeeper.client.telemetry.observed import Observed
from rabbitkeeper.client.telemetry.observer import Telemetry
from simulation.broker.cluster import SimulatedCluster
from simulation.broker.transport import PASSWORD, SimulatedConnection, SimulatedTransport
from simulation.group import SimulatedGroup
from simulation.loop import VirtualLoop, VirtualTime

E = TypeVar("E", bound=Event)
SETTLES_IN = 30.0  # seconds in which a client that was closed, and its brokers, come to rest


class SimulatedClient:
    """One client.

    Args:
        seed: of its chances.
        window: publishes without an outcome at the most.
        asked: puts the transport into one that asks for credentials.
    """

    def __init__(
        self,
        cluster: SimulatedCluster,
        group: SimulatedGroup,
        *,
        seed: int = 0,
        spread: Spread = "leader",
        site: str | None = None,
        window: int = 1000,
        password: str = PASSWORD,
        asked: Callable[[Transport], Transport] = lambda transport: transport,
        telemetry: Iterable[Telemetry] = (),
    ) -> None:
        self.time = cluster.time
        self.loop = VirtualLoop(self.time)
        self.transport = SimulatedTransport(cluster, self.loop)
        self.events: list[Event] = []
        self._listeners: list[Callable[[Event], object]] = []
        self.observed = Observed(telemetry, "orders", "simulated")
        self.engine = assemble(
            asked(self.transport),
            Access("app", password),
            name="simulated",
            spread=spread,
            site=site,
            random=Random(seed),
            emit=self.emit,
        )
        self._window = window
        self.window = Window(window, 64 << 20)
        self.publishing = self.observed.publishing(
            self.engine, self.window, future_type=PublishFuture, now=self.loop.now
        )
        self.observed.begin(self.status, self._listeners.append)
        self.futures: list[PublishFuture] = []
        self._names = 0
        self.engine.view(group.targets)
        group.watchers.append(self.engine.view)

    def emit(self, event: Event) -> None:
        self.events.append(event)
        for listener in self._listeners:
            listener(event)

    def status(self) -> Status:
        return status_of(
            self.engine.snapshot,
            self.engine.consumers,
            unconfirmed=self.publishing.unconfirmed,
            zookeeper=True,
        )

    # -- what users do

    def publish(
        self,
        exchange: str = "",
        routing_key: str = "orders",
        body: bytes | None = None,
        *,
        timeout: float = 30.0,
        mandatory: bool = True,
    ) -> PublishFuture:
        """Publish a message; the test must leave room in the window."""
        assert self.publishing.unconfirmed < self._window, "the window is full: this would wait"
        self._names += 1
        text = b"message %d" % self._names if body is None else body
        future = self.publishing.publish(exchange, routing_key, text, None, mandatory, timeout)
        self.futures.append(future)
        return future

    def publish_some(
        self, count: int, exchange: str = "", routing_key: str = "orders"
    ) -> list[PublishFuture]:
        """Publish ``count`` messages to one place."""
        return [self.publish(exchange, routing_key) for _ in range(count)]

    def declare(self, *entities: Entity, timeout: float = 30.0) -> None:
        """Declare all of them, and let time pass until they are.

        Raises:
            RabbitKeeperError: one was refused.
        """
        for entity in entities:
            future = self.engine.declare(entity, timeout)
            self.time.run_until(future.done, timeout + 1.0)
            future.result(0)

    def subscribe(
        self,
        name: str = "orders",
        prefetch: int = 100,
        dedupe: int = 0,
        offset: int | str | datetime | None = None,
        options: ConsumerOptions = DEFAULT,
    ) -> Subscription:
        return self.engine.subscribe(name, prefetch, dedupe, offset, options)

    def get(self, name: str = "orders", timeout: float = 10.0, *, no_ack: bool = False) -> Message | None:
        """One message, for which time passes.

        Raises:
            RabbitKeeperError: there was no answer.
        """
        asked = self.engine.getting.ask(name, timeout, no_ack=no_ack)
        self.time.run_until(asked.done, timeout + 1.0)
        return asked.result(0)

    def take(self, subscription: Subscription) -> list[Message]:
        """Everything that can be taken at this moment.

        Raises:
            RabbitKeeperError: why nothing more will come.
        """
        messages: list[Message] = []
        while True:
            try:
                message = subscription.get(0)
            except queue.Empty:
                return messages
            except RabbitKeeperError:
                if messages:
                    return messages
                raise
            if message is None:
                return messages
            messages.append(message)

    # -- what is there to see

    @property
    def phase(self) -> Phase:
        return self.engine.snapshot.phase

    @property
    def member(self) -> str | None:
        """Where the client is."""
        target = self.engine.snapshot.target
        return None if target is None else target.member

    def is_live_at(self, member: str) -> bool:
        return self.phase is Phase.LIVE and self.member == member

    @property
    def places(self) -> list[str]:
        """Where its connections that publish go, open or being opened."""
        return [connection.node for connection in self.transport.open if not connection.consumes]

    @property
    def consuming_places(self) -> list[str]:
        """The same, of those that consumers have."""
        return [connection.node for connection in self.transport.open if connection.consumes]

    def connection(self, *, consuming: bool) -> SimulatedConnection:
        """Its only one for consumers, or the only one that publishes."""
        (one,) = [one for one in self.transport.open if one.consumes == consuming]
        return one

    def seen(self, kind: type[E]) -> list[E]:
        """The events of one kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    # -- time

    def become_live(self, member: str | None = None, limit: float = 10.0) -> float:
        """Until the client is live (at ``member``); seconds that it took."""
        return self.time.run_until(lambda: self.phase is Phase.LIVE and member in (None, self.member), limit)

    def all_done(self, limit: float = 60.0) -> float:
        """Until every publish has its outcome; seconds that it took."""
        return self.time.run_until(lambda: all(future.done() for future in self.futures), limit)

    # -- the end

    def close(self) -> None:
        """End it at once; see :meth:`come_to_rest`."""
        if not self.loop.is_stopped:
            self.engine.close()
            self.run_to_the_end()

    def run_to_the_end(self) -> None:
        """As its thread does: until the loop is stopped, or something has failed."""
        self.engine.run()


class Simulation:
    """Time, three brokers, what ZooKeeper says of them, and a client that has just been started."""

    def __init__(
        self,
        names: str = "abc",
        *,
        leader: str | None = "a",
        seed: int = 0,
        spread: Spread = "leader",
        window: int = 1000,
        password: str = PASSWORD,
        asked: Callable[[Transport], Transport] = lambda transport: transport,
        telemetry: Iterable[Telemetry] = (),
        prepare: Callable[[SimulatedCluster, SimulatedGroup], None] = lambda cluster, group: None,
    ) -> None:
        self.spread = spread
        self.time = VirtualTime()
        self.cluster = SimulatedCluster(self.time, names, seed)
        self.journal = self.cluster.journal
        self.group = SimulatedGroup(names, leader)
        prepare(self.cluster, self.group)
        self.client = SimulatedClient(
            self.cluster,
            self.group,
            seed=seed,
            spread=spread,
            window=window,
            password=password,
            asked=asked,
            telemetry=telemetry,
        )

    def run(self, seconds: float) -> None:
        self.time.advance(seconds)

    def until(self, condition: Callable[[], object], limit: float = 60.0) -> float:
        return self.time.run_until(condition, limit)

    def started(self, *queues: str) -> "Simulation":
        """Live at the leader, with quorum queues of these names declared."""
        self.client.become_live()
        self.client.declare(*(Queue(name) for name in queues or ("orders",)))
        return self

    def fanout(self, exchange: str, *queues: str) -> None:
        """Declare an exchange and bind ``queues`` to it."""
        self.client.declare(Exchange(exchange, "fanout"), *(Binding(exchange, queue) for queue in queues))

    def close_connection(self, code: int = 320, text: str = "CONNECTION_FORCED", *, consuming: bool) -> None:
        """The broker ends the client's connection for consumers, or the one that publishes; no other."""
        end = self.client.connection(consuming=consuming).end
        assert end is not None
        end.close_by_broker(code, text)

    def published(self, count: int, queue: str = "orders") -> list[str]:
        """Publish ``count`` messages and have them confirmed; their ids."""
        futures = self.client.publish_some(count, routing_key=queue)
        self.client.all_done()
        return [future.message_id for future in futures]

    def stored(self, queue: str = "orders") -> list[str]:
        """Ids of the messages that ``queue`` took, in order, duplicates too."""
        return self.journal.stored[queue]

    def first_stored(self, queue: str = "orders") -> list[str]:
        """As :meth:`stored`, of each message the first."""
        return list(dict.fromkeys(self.stored(queue)))

    def lost(self) -> set[str]:
        """Ids that were confirmed, were routed to a queue, and are nowhere."""
        done = set(self.journal.acked) | set(self.journal.rejected) | set(self.journal.returned)
        return self.journal.confirmed - done - self.cluster.kept

    def come_to_rest(self) -> None:
        """Close the client and look that nothing is left: no connection, no timer, no publish without end.

        The brokers are well then, for a hung one does not notice that a client has gone.
        """
        self.client.close()
        self.cluster.heal()
        assert all(future.done() for future in self.client.futures)
        assert self.client.loop.pending == []
        self.time.advance(SETTLES_IN)
        assert self.client.transport.open == []
        assert self.cluster.connections == []
        assert self.journal.misuses == []

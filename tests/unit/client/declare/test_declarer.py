"""Declaring everything again: what is locked, what is refused, and who is told. Virtual time, no sockets."""

from collections.abc import Callable
from random import Random
from typing import Any, cast

from rabbitkeeper.client.amqp.transport import ChannelLost, Connection
from rabbitkeeper.client.declare.declarer import Declarer
from rabbitkeeper.client.declare.refusals import SLOW_RETRY
from rabbitkeeper.client.model.events import DeclarationFailed, Event
from rabbitkeeper.client.model.topology import Entity, Exchange, Queue, Topology

LOCKED = ChannelLost(405, "RESOURCE_LOCKED")


class Broker:
    """A link, its channel, and the time: refuses what it is told to."""

    is_open = True

    def __init__(self) -> None:
        self.now = 0.0
        self.refused: dict[str, ChannelLost] = {}
        self.declared: list[str] = []
        self.tries = 0
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def channel(self, on_open: Callable[[Any], None], on_lost: Callable[[Any, ChannelLost], None]) -> object:
        channel = Channel(self, on_lost)
        self.soon(lambda: on_open(channel))
        return channel

    def soon(self, callback: Callable[[], None], delay: float = 0.0) -> None:
        self.timers.append((self.now + delay, callback))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [timer for timer in self.timers if timer[0] <= end]:
            first = min(due, key=lambda timer: timer[0])
            self.timers.remove(first)
            self.now = max(self.now, first[0])
            first[1]()
        self.now = end


class Channel:
    def __init__(self, broker: Broker, on_lost: Callable[[Any, ChannelLost], None]) -> None:
        self.broker, self.on_lost, self.is_closed = broker, on_lost, False

    def declare(self, entity: Entity, _resolve: object, on_done: Callable[[str | None], None] | None) -> None:
        assert isinstance(entity, Exchange | Queue)
        if self.is_closed:
            return
        self.broker.tries += 1
        why = self.broker.refused.get(entity.name)
        if why is not None:
            self.is_closed = True
            self.broker.soon(lambda: self.on_lost(self, why))
            return
        self.broker.declared.append(entity.name)
        if on_done is not None:
            report = on_done
            self.broker.soon(lambda: report(entity.name))

    def close(self) -> None: ...


class Client:
    """A declarer that has to restore ``entities``, on a broker that refuses some of them."""

    def __init__(self, *entities: Entity, **refused: ChannelLost) -> None:
        self.broker = Broker()
        self.broker.refused = refused
        self.events: list[Event] = []
        self.queues: list[str] = []
        self.restored = 0
        topology = Topology()
        for entity in entities:
            topology.record(entity)
        self.declarer = Declarer(
            topology,
            now=lambda: self.broker.now,
            call_later=lambda delay, callback: self.broker.soon(callback, delay),
            random=Random(1),
            emit=self.events.append,
            on_queue=self.queues.append,
        )
        self.declarer.attach(cast("Connection", self.broker), self.count)

    def count(self) -> None:
        self.restored += 1


def test_one_refusal_is_told_once_and_stops_nothing_else() -> None:
    client = Client(Exchange("other"), Queue("after"), other=ChannelLost(406, "PRECONDITION_FAILED"))
    client.broker.run(60)
    assert client.events == [DeclarationFailed("exchange 'other'", "PRECONDITION_FAILED", True)]
    assert client.broker.declared == client.queues == ["after"]
    assert client.restored == 1


def test_a_locked_queue_keeps_nobody_waiting_and_goes_on_being_tried() -> None:
    client = Client(Queue("mine", exclusive=True), Queue("after"), mine=LOCKED)
    client.broker.run(0.01)
    assert client.restored == 1
    assert client.queues == ["after"]
    client.broker.run(30)
    assert client.events == [DeclarationFailed("queue 'mine'", "RESOURCE_LOCKED", False)]
    assert client.declarer.is_pending("mine")
    del client.broker.refused["mine"]
    client.broker.run(SLOW_RETRY)
    assert client.queues == ["after", "mine"], "its consumer is told"


def test_what_a_connection_has_locked_is_tried_at_once_when_that_has_ended() -> None:
    client = Client(Queue("mine", exclusive=True), mine=LOCKED)
    client.broker.run(30)
    tried = client.broker.tries
    client.declarer.hurry()
    assert client.broker.tries == tried + 1
    client.broker.run(0.2)
    assert client.broker.tries > tried + 2, "and soon again: the broker takes a moment to see it"
    del client.broker.refused["mine"]
    client.broker.run(1.0)
    assert client.queues == ["mine"]


def test_an_exchange_that_goes_while_its_declaration_is_unanswered_is_declared_once_more() -> None:
    client = Client(Exchange("news", "fanout", auto_delete=True), Queue("after"))
    while "news" not in client.broker.declared:  # sent, with what is behind it; the answer is on its way
        client.broker.run(0.0)
    assert client.declarer.declare_exchange_again("news")
    client.broker.run(1.0)
    assert client.broker.declared == ["news", "after", "news"]

"""What goes wrong in one place stays there; and what ends the client ends everything that waits."""

import queue
from concurrent.futures import Future
from typing import Any

import pytest
from simulation.broker.channel import SimulatedChannel
from simulation.broker.transport import SimulatedConnection
from simulation.client import Simulation

from rabbitkeeper.client.consume.subscription import Subscription
from rabbitkeeper.client.declare.declarer import Declarer
from rabbitkeeper.client.engine.connections import Connections
from rabbitkeeper.client.engine.executor import SwitchExecutor
from rabbitkeeper.client.engine.subscriptions import Subscriptions
from rabbitkeeper.client.model.errors import Closed, RabbitKeeperError, TopologyError
from rabbitkeeper.client.model.events import ClientClosed
from rabbitkeeper.client.model.topology import Exchange, Queue
from rabbitkeeper.client.publish.future import Futures
from rabbitkeeper.client.publish.ledger import Ledger
from rabbitkeeper.client.publish.publisher import Publisher
from rabbitkeeper.client.publishing import Publishing
from rabbitkeeper.client.routing.switch import Phase, Switch


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_what_a_callback_raises_ends_nothing(error: type[BaseException]) -> None:
    simulation = Simulation().started()
    called: list[Future[Any]] = []

    def fail(_future: Future[Any]) -> None:
        raise error("a user's")

    future = simulation.client.publish()
    future.add_done_callback(fail)
    future.add_done_callback(called.append)
    simulation.client.all_done()
    assert called == [future]
    simulation.published(3)
    simulation.come_to_rest()


def test_without_a_free_channel_one_job_fails_and_the_client_lives() -> None:
    simulation = Simulation(prepare=lambda cluster, _group: setattr(cluster, "channel_max", 2)).started()
    subscriptions = [simulation.client.subscribe() for _ in range(2)]
    simulation.run(1.0)
    assert all(one.active for one in subscriptions)
    subscription = simulation.client.subscribe(prefetch=1)
    simulation.run(1.0)
    assert not subscription.active
    simulation.client.engine.drop(subscriptions.pop())
    simulation.client.engine.drop(subscriptions.pop())
    simulation.published(1)
    simulation.until(lambda: subscription.active, limit=2.0)
    simulation.run(0.1)
    assert len(simulation.client.take(subscription)) == 1
    simulation.come_to_rest()


def test_a_declaration_that_gets_no_channel_says_so_at_its_deadline() -> None:
    simulation = Simulation(prepare=lambda cluster, _group: setattr(cluster, "channel_max", 1))
    simulation.client.become_live()
    with pytest.raises(TopologyError, match="no channel is free"):
        simulation.client.declare(Queue("orders"), timeout=2.0)
    simulation.cluster.channel_max = 2
    simulation.client.declare(Queue("orders"), timeout=2.0)
    simulation.published(1)
    simulation.come_to_rest()


def test_a_declaration_that_cannot_be_encoded_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    simulation = Simulation().started()
    right = SimulatedChannel.declare

    def declare(channel: SimulatedChannel, entity: Any, *more: Any) -> None:
        if entity.name == "bad":
            raise TypeError("not to be encoded")
        right(channel, entity, *more)

    monkeypatch.setattr(SimulatedChannel, "declare", declare)
    bad = simulation.client.engine.declare(Exchange("bad"), 5.0)
    good = simulation.client.engine.declare(Queue("good"), 5.0)
    simulation.until(lambda: bad.done() and good.done(), limit=1.0)
    assert isinstance(bad.exception(0), TopologyError)
    assert "not to be encoded" in str(bad.exception(0))
    assert good.exception(0) is None
    simulation.come_to_rest()


PARTS = [
    (SwitchExecutor, "abandon"),
    (Switch, "close"),
    (Connections, "abandon"),
    (SimulatedConnection, "abort"),
    (SimulatedChannel, "close"),
    (Declarer, "close"),
    (Declarer, "detach"),
    (Publisher, "close"),
    (Publisher, "add"),
    (Ledger, "close"),
    (Futures, "settle"),
    (Publishing, "_explain"),
    (Subscriptions, "end"),
    (Subscription, "flush"),
]


@pytest.mark.parametrize("error", [RuntimeError, SystemExit])
@pytest.mark.parametrize(("owner", "name"), PARTS, ids=lambda value: getattr(value, "__name__", value))
def test_a_client_that_fails_ends_all_that_waits_even_if_its_clean_up_fails(
    owner: type, name: str, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    simulation = Simulation().started("orders", "more")
    engine = simulation.client.engine
    consumers = [simulation.client.subscribe("orders"), simulation.client.subscribe("more")]
    simulation.run(0.1)
    assert all(one.active for one in consumers)
    simulation.cluster.hold_confirms()
    futures = simulation.client.publish_some(3)
    simulation.run(0.1)
    simulation.cluster.silent_declarations.add("new")
    declared = engine.declare(Queue("new"), 10.0)
    simulation.run(0.1)

    def broken(*_given: object, **_named: object) -> None:
        raise error("a fault in the clean-up")

    def fail() -> None:
        monkeypatch.setattr(owner, name, broken)
        raise ZeroDivisionError("a fault of ours")

    futures += simulation.client.publish_some(2)  # handed over and not taken yet
    engine.post(fail)
    simulation.client.run_to_the_end()
    monkeypatch.undo()

    assert "a fault of ours" in str(engine.failure)
    assert simulation.client.phase is Phase.CLOSED
    assert "a fault of ours" in str(engine.snapshot.error)
    assert (engine.consumers.active, engine.consumers.wanted) == (0, 0)
    assert [event.why for event in simulation.client.seen(ClientClosed)] == [str(engine.failure)]
    assert declared.done() or (owner, name) == (Declarer, "close")  # then its caller waits until its deadline
    for one in consumers:
        with pytest.raises(RabbitKeeperError, match="a fault of ours"):
            take_to_the_end(one)
    assert all(future.done() for future in futures)
    assert simulation.client.publishing.unconfirmed == 0


def take_to_the_end(subscription: Subscription) -> None:
    for _ in range(10):
        try:
            assert subscription.get(0) is not None
        except queue.Empty:
            return


def test_a_client_that_fails_while_it_waits_to_move_says_why() -> None:
    simulation = Simulation().started()
    simulation.published(1)
    simulation.cluster.hold_confirms()
    simulation.client.publish()
    simulation.run(0.002)
    simulation.group.lead("b")
    simulation.run(0.01)
    assert len(simulation.client.transport.open) == 2

    def fail() -> None:
        raise ZeroDivisionError("a fault of ours")

    simulation.client.engine.post(fail)
    simulation.client.run_to_the_end()
    assert simulation.client.phase is Phase.CLOSED
    assert "a fault of ours" in str(simulation.client.engine.snapshot.error)


def test_what_is_asked_of_a_client_that_has_ended_is_answered_at_once() -> None:
    simulation = Simulation().started()
    simulation.client.close()
    engine = simulation.client.engine
    assert isinstance(engine.declare(Queue("late"), 10.0).exception(0), Closed)
    assert engine.drain(0.0).result(0) == []
    subscription = engine.subscribe("orders", 10, 0)
    assert subscription.get(0) is None
    assert engine.finish(subscription, 0.0).result(0) == 0

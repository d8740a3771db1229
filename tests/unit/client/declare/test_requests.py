"""Deleting, unbinding, purging and looking: done once, and what is deleted is not declared again."""

from concurrent.futures import Future

import pytest
from simulation.client import Simulation

from rabbitkeeper.client.amqp.transport import ChannelLost
from rabbitkeeper.client.declaring import Declaring
from rabbitkeeper.client.model.errors import InvalidArgument, TopologyError
from rabbitkeeper.client.model.requests import DeleteEntity, PassiveDeclare, Purge, Request, Unbind
from rabbitkeeper.client.model.topology import Binding, Exchange, ExchangeBinding, Queue, Topology, key_of

EVENTS, NEWS = Exchange("events", "fanout"), Exchange("news", "fanout")
BINDING, BETWEEN = Binding("events", "orders"), ExchangeBinding("news", "events")


def ask(simulation: Simulation, request: Request) -> int:
    result: Future[int] = simulation.client.engine.declare(request, 5.0)
    simulation.until(result.done, limit=6.0)
    return result.result(0)


def switched(simulation: Simulation) -> list[str]:
    """What is declared again on another member."""
    before = simulation.client.member
    assert before is not None
    simulation.journal.declared.clear()
    simulation.cluster.kill(before)
    simulation.until(lambda: simulation.client.member not in (before, None))
    simulation.run(1.0)
    return simulation.journal.declared


def started() -> Simulation:
    simulation = Simulation().started("orders", "bills")
    simulation.client.declare(EVENTS, NEWS, BINDING, BETWEEN)
    return simulation


def test_exchanges_are_bound_to_exchanges_and_again_after_a_switch() -> None:
    simulation = started()
    first = simulation.client.publish("news", "")
    simulation.client.all_done()
    assert simulation.stored() == [first.message_id]
    assert switched(simulation)[-2:] == ["events > orders", "news >> events"]
    simulation.come_to_rest()


def test_a_deleted_queue_is_gone_with_its_bindings_and_stays_so() -> None:
    simulation = started()
    simulation.published(3)
    assert ask(simulation, DeleteEntity(Queue("orders"))) == 3
    assert "orders" not in simulation.cluster.queues
    assert ask(simulation, DeleteEntity(Queue("orders"))) == 0, "that it is not there is no error"
    assert switched(simulation) == ["events", "news", "bills", "news >> events"]
    simulation.client.declare(Queue("orders"))
    assert "orders" in switched(simulation)
    simulation.come_to_rest()


def test_a_deleted_exchange_is_gone_with_its_bindings_and_stays_so() -> None:
    simulation = started()
    assert ask(simulation, DeleteEntity(EVENTS)) == 0
    assert switched(simulation) == ["news", "orders", "bills"]
    simulation.come_to_rest()


@pytest.mark.parametrize(
    ("binding", "left"),
    [(BINDING, "news >> events"), (BETWEEN, "events > orders")],
    ids=["of a queue", "of an exchange"],
)
def test_a_binding_that_was_unbound_is_not_bound_again(binding: Binding | ExchangeBinding, left: str) -> None:
    simulation = started()
    ask(simulation, Unbind(binding))
    assert switched(simulation) == ["events", "news", "orders", "bills", left]
    simulation.come_to_rest()


def test_a_purge_tells_how_many_there_were_and_a_look_how_many_there_are() -> None:
    simulation = started()
    simulation.published(4)
    assert ask(simulation, PassiveDeclare(Queue("orders"))) == 4
    assert ask(simulation, Purge("orders")) == 4
    assert ask(simulation, PassiveDeclare(Queue("orders"))) == 0
    assert ask(simulation, PassiveDeclare(Exchange("events"))) == 0
    simulation.come_to_rest()


@pytest.mark.parametrize(
    "request_",
    [Purge("missing"), PassiveDeclare(Queue("missing")), PassiveDeclare(Exchange("missing"))],
    ids=["purge", "queue", "exchange"],
)
def test_what_is_not_there_is_an_error_that_names_it(request_: Request) -> None:
    simulation = started()
    with pytest.raises(TopologyError, match="missing"):
        ask(simulation, request_)
    simulation.come_to_rest()


def test_a_server_named_queue_is_meant_by_its_own_name() -> None:
    simulation = started()
    mine = Queue("", exclusive=True)
    simulation.client.declare(mine)
    assert ask(simulation, Purge(mine.name)) == 0
    assert ask(simulation, DeleteEntity(mine)) == 0
    assert set(simulation.cluster.queues) == {"orders", "bills"}
    simulation.come_to_rest()


def test_what_is_deleted_while_it_is_yet_to_be_declared_again_is_not() -> None:
    simulation = started()
    simulation.cluster.refusals["orders"] = ChannelLost(405, "RESOURCE_LOCKED")
    switched(simulation)
    ask(simulation, DeleteEntity(Queue("orders")))
    simulation.cluster.answer_again()
    simulation.journal.declared.clear()
    simulation.run(20.0)
    assert "orders" not in simulation.journal.declared
    simulation.come_to_rest()


def test_a_request_that_is_lost_with_its_connection_is_made_over_the_next() -> None:
    simulation = started()
    result = simulation.client.engine.declare(DeleteEntity(Queue("orders")), 5.0)
    simulation.cluster.kill("a")
    simulation.until(result.done)
    assert result.exception(0) is None
    assert "orders" not in simulation.cluster.queues
    simulation.come_to_rest()


def test_the_topology_forgets_bindings_with_what_they_bind() -> None:
    topology = Topology()
    for entity in (EVENTS, NEWS, Queue("orders"), BINDING, BETWEEN):
        topology.record(entity)
    topology.forget(EVENTS)
    assert list(topology) == [NEWS, Queue("orders")]
    assert not topology.has(key_of(BINDING))


@pytest.mark.parametrize("what", [Binding("e", "q"), "orders", None])
def test_what_cannot_be_deleted_is_refused_at_once(what: object) -> None:
    declaring = Declaring()
    with pytest.raises(InvalidArgument, match="use Exchange or Queue"):
        declaring.delete(what)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="use Exchange or Queue"):
        declaring.check(what)  # type: ignore[arg-type]

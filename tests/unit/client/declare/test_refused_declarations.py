"""A declaration that the broker refuses is one error; what ends connections is told once, and not
repeated."""

import pytest
from simulation.broker.cluster import CONNECTION_LIMIT, CREDENTIALS, SimulatedCluster
from simulation.client import Simulation
from simulation.group import SimulatedGroup

from rabbitkeeper.client.amqp.transport import ChannelLost
from rabbitkeeper.client.engine.engine import Engine
from rabbitkeeper.client.model.errors import TopologyError
from rabbitkeeper.client.model.events import DeclarationFailed
from rabbitkeeper.client.model.topology import Binding, Exchange, Queue
from rabbitkeeper.client.routing.switch import Phase

UNKNOWN_TYPE = Exchange("odd", "no-such-type")
INTERNAL = ChannelLost(541, "INTERNAL_ERROR - it failed")


def let_nobody_in(cluster: SimulatedCluster, _: SimulatedGroup) -> None:
    for node in cluster.nodes.values():
        node.refusal = CONNECTION_LIMIT


def opened(simulation: Simulation) -> int:
    return len(simulation.journal.opened)


def test_an_exchange_type_that_the_broker_does_not_know_is_one_error_with_its_text() -> None:
    simulation = Simulation().started()
    before = opened(simulation)
    declared = simulation.client.engine.declare(UNKNOWN_TYPE, 30.0)
    assert simulation.until(declared.done) < 0.1
    with pytest.raises(TopologyError, match="503 COMMAND_INVALID - unknown exchange type 'no-such-type'"):
        declared.result(0)
    simulation.run(10.0)
    assert opened(simulation) - before <= 2
    future = simulation.client.publish()
    assert simulation.until(future.done) < 0.1
    simulation.come_to_rest()


def test_an_internal_error_is_tried_once_more_and_told_once() -> None:
    simulation = Simulation().started()
    simulation.cluster.refusals["bad"] = INTERNAL
    before = opened(simulation)
    declared = simulation.client.engine.declare(Queue("bad"), 30.0)
    simulation.until(declared.done, limit=5.0)
    with pytest.raises(TopologyError, match="541 INTERNAL_ERROR"):
        declared.result(0)
    simulation.run(17.0)
    assert opened(simulation) - before <= 4
    simulation.come_to_rest()


@pytest.mark.parametrize("code", [503, 541])
def test_what_ends_connections_while_it_is_restored_is_told_once_and_left_out(code: int) -> None:
    names = [f"q{number}" for number in range(50)]
    simulation = Simulation().started("orders", *names)
    simulation.cluster.refusals["q20"] = ChannelLost(code, "it is odd")
    before = opened(simulation)
    simulation.cluster.kill("a")
    simulation.run(20.0)
    assert opened(simulation) - before <= 10
    told = simulation.client.seen(DeclarationFailed)
    assert [event.entity for event in told if isinstance(event, DeclarationFailed)] == ["queue 'q20'"]
    assert set(simulation.journal.declared) >= {"orders", *names} - {"q20"}
    future = simulation.client.publish()
    assert simulation.until(future.done) < 0.1
    simulation.cluster.answer_again()
    simulation.client.declare(Queue("q20"))  # the user asks for it again
    simulation.come_to_rest()


def test_a_broker_that_ends_each_connection_is_tried_with_growing_pauses_also_when_it_leads() -> None:
    simulation = Simulation().started()
    node = simulation.cluster.nodes["a"]
    node.ends_connections = True
    simulation.cluster.close_connections("a", 541, "INTERNAL_ERROR")
    before = opened(simulation)
    simulation.run(60.0)
    assert [name for _, name in simulation.journal.opened[before:]].count("a") < 30
    assert simulation.client.member != "a"
    node.ends_connections = False
    simulation.client.become_live("a", limit=40.0)
    simulation.come_to_rest()


def test_a_wrong_password_while_reconnecting_slows_down() -> None:
    simulation = Simulation().started()
    for node in simulation.cluster.nodes.values():
        node.refusal = CREDENTIALS
    simulation.cluster.close_connections("a")
    before = opened(simulation)
    simulation.run(60.0)
    assert simulation.client.phase is Phase.SWITCHING
    assert opened(simulation) - before < 80  # of three members
    simulation.cluster.heal()
    simulation.client.become_live(limit=40.0)
    simulation.come_to_rest()


def test_a_connection_limit_is_waited_for_and_is_no_lack_of_rights() -> None:
    simulation = Simulation(prepare=let_nobody_in)
    simulation.run(2.0)
    assert simulation.client.engine.failure is None
    assert "limit (0) is reached" in str(simulation.client.engine.snapshot.error)
    simulation.cluster.heal()
    simulation.client.become_live()
    simulation.come_to_rest()


def test_a_classic_queue_whose_node_restarts_is_waited_for_within_the_timeout() -> None:
    simulation = Simulation().started()
    simulation.client.declare(Queue("old", type="classic"))
    home = simulation.cluster.queues["old"].leader
    assert home is not None
    simulation.cluster.kill(home)
    simulation.client.become_live()
    simulation.until(lambda: simulation.client.member not in (home, None))
    declared = simulation.client.engine.declare(Queue("old", type="classic"), 10.0)
    simulation.run(3.0)
    assert not declared.done()
    simulation.cluster.start(home)
    assert simulation.until(declared.done) < 1.5
    assert declared.exception(0) is None
    simulation.come_to_rest()


def test_a_classic_queue_whose_node_stays_away_is_told_of_at_the_deadline() -> None:
    simulation = Simulation().started()
    simulation.client.declare(Queue("old", type="classic"))
    simulation.cluster.kill("a")
    simulation.until(lambda: simulation.client.member not in ("a", None))
    declared = simulation.client.engine.declare(Queue("old", type="classic"), 3.0)
    assert simulation.until(declared.done) < 3.1
    with pytest.raises(TopologyError, match="is down or inaccessible"):
        declared.result(0)
    simulation.come_to_rest()


# -- restoring ends


def test_a_thousand_queues_a_dead_leader_a_new_one_and_an_unroutable_message() -> None:
    names = [f"q{number}" for number in range(1_000)]
    simulation = Simulation().started("orders", *names)
    simulation.cluster.kill("a")
    simulation.run(0.2)
    simulation.group.lead("c")
    simulation.client.publish(routing_key="nowhere", timeout=60.0)
    after = simulation.client.publish()
    assert simulation.until(after.done) < 1.0
    assert after.exception(0) is None
    assert simulation.client.all_done() < 5.0
    simulation.client.become_live("c")
    simulation.come_to_rest()


def test_what_is_declared_again_is_sent_in_batches() -> None:
    names = [f"q{number}" for number in range(1_000)]
    simulation = Simulation().started("orders")
    simulation.client.declare(Exchange("events", "topic"))
    for name in names:
        simulation.client.declare(Queue(name), Binding("events", name, name))
    simulation.journal.declared.clear()
    simulation.cluster.latency = lambda: 0.01
    simulation.cluster.kill("a")
    simulation.run(0.03)
    took = simulation.until(lambda: len(simulation.journal.declared) == 2_002, limit=10.0)
    assert took < 2_002 * 0.02 / 20, "each of them took a round trip"
    simulation.come_to_rest()


def calls(count: int) -> int:
    """Calls of Python functions that restoring so many queues takes the declarer."""
    simulation = Simulation().started("orders", *(f"q{number}" for number in range(count)))
    before = simulation.time.calls
    simulation.cluster.kill("a")
    simulation.until(lambda: simulation.client.member not in ("a", None))
    simulation.run(2.0)
    return simulation.time.calls - before


def test_what_restoring_costs_grows_with_what_is_declared_and_no_faster() -> None:
    few, many = calls(100), calls(1_000)
    assert many < 10 * few


def test_declarations_end_though_the_declarer_cannot_be_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    simulation = Simulation().started()
    simulation.cluster.silent_declarations.add("bills")
    declared = simulation.client.engine.declare(Queue("bills"), 100.0)
    simulation.run(0.1)
    monkeypatch.setattr(simulation.client.engine._declarations, "close", _fail)
    simulation.client.engine.post(_fail)
    simulation.client.run_to_the_end()
    assert declared.done()
    assert isinstance(simulation.client.engine, Engine)


def _fail(*_: object) -> None:
    raise RuntimeError("it does not work")

"""The topology: declared for users, and again on each new connection, whatever the broker says to it."""

from concurrent.futures import Future
from random import Random

import pytest
from simulation.client import Simulation

from rabbitkeeper.client.amqp.transport import ChannelLost
from rabbitkeeper.client.declare.jobs import FEW, AskedJobs, Job
from rabbitkeeper.client.declare.refusals import SLOW_RETRY
from rabbitkeeper.client.model.errors import (
    NoLeader,
    NotAuthorized,
    RabbitKeeperError,
    TopologyError,
    Unroutable,
)
from rabbitkeeper.client.model.events import DeclarationFailed, Disconnected, QueueRenamed
from rabbitkeeper.client.model.retry import Retry
from rabbitkeeper.client.model.topology import Binding, Entity, Exchange, Queue
from rabbitkeeper.coordinator.model.records import MemberStatus

LOCKED = ChannelLost(405, "RESOURCE_LOCKED - cannot obtain exclusive access")
REFUSED = ChannelLost(406, "PRECONDITION_FAILED - inequivalent arg")


def switched(simulation: Simulation) -> None:
    """Have the client lose its broker and reach another, which has another's topology."""
    before = simulation.client.member
    assert before is not None
    simulation.journal.declared.clear()
    simulation.cluster.kill(before)
    simulation.until(lambda: simulation.client.member not in (before, None))


def test_everything_is_declared_again_exchanges_first() -> None:
    simulation = Simulation().started("orders", "bills")
    simulation.fanout("events", "orders")
    switched(simulation)
    simulation.run(1.0)
    assert simulation.journal.declared == ["events", "orders", "bills", "events > orders"]
    simulation.come_to_rest()


def test_one_that_is_locked_one_refused_and_one_without_answer_do_not_stop_the_rest() -> None:
    simulation = Simulation().started("locked", "refused", "silent", "orders")
    simulation.fanout("events", "orders")
    simulation.cluster.refusals = {"locked": LOCKED, "refused": REFUSED}
    switched(simulation)
    simulation.run(1.0)
    declared = list(dict.fromkeys(simulation.journal.declared))
    assert declared == ["events", "silent", "orders", "events > orders"]
    assert simulation.client.seen(DeclarationFailed) == [
        DeclarationFailed("queue 'refused'", REFUSED.why, True)
    ]
    simulation.run(5.0)  # it is told that it is still locked, and that it goes on being tried
    assert DeclarationFailed("queue 'locked'", LOCKED.why, False) in simulation.client.events
    del simulation.cluster.refusals["locked"]
    simulation.until(lambda: "locked" in simulation.journal.declared, limit=SLOW_RETRY)
    simulation.come_to_rest()


def test_a_declaration_without_an_answer_leaves_publishing_alone() -> None:
    simulation = Simulation().started("silent", "orders")
    simulation.cluster.silent_declarations.add("silent")
    switched(simulation)
    future = simulation.client.publish()
    assert simulation.client.all_done() < 1.0
    assert future.exception(0) is None
    simulation.cluster.silent_declarations.clear()
    simulation.cluster.look()
    simulation.until(lambda: "orders" in simulation.journal.declared)
    simulation.come_to_rest()


def test_queues_that_are_not_durable_are_there_again_though_they_go_some_time_after_their_node() -> None:
    simulation = Simulation().started()
    transient = [Queue(f"t{number}", type="classic", durable=False) for number in range(3)]
    simulation.client.declare(
        Exchange("events", "fanout"), *transient, *(Binding("events", queue.name) for queue in transient)
    )
    switched(simulation)
    simulation.run(1.0)
    assert {"t0", "t1", "t2"} <= set(simulation.journal.declared), "they are taken for what is there still"
    simulation.run(30.0)
    assert {"t0", "t1", "t2"} <= set(simulation.cluster.queues)
    future = simulation.client.publish("events")
    simulation.client.all_done()
    assert future.exception(0) is None
    assert all(len(simulation.cluster.queues[queue.name].ready) == 1 for queue in transient)
    simulation.come_to_rest()


def test_a_queue_that_is_not_durable_is_there_again_though_another_node_than_the_clients_was_lost() -> None:
    simulation = Simulation().started()
    simulation.client.declare(Queue("transient", type="classic", durable=False))
    first = simulation.client.member
    assert first is not None
    simulation.cluster.kill(first)
    simulation.until(lambda: simulation.client.member not in (first, None))
    simulation.run(30.0)
    home = simulation.cluster.queues["transient"].leader
    assert home == simulation.client.member
    simulation.cluster.start(first)
    simulation.group.lead(first)
    simulation.until(lambda: simulation.client.member == first, limit=120.0)
    simulation.cluster.kill(home or "")
    simulation.group.says(home or "", MemberStatus.STOPPED)
    simulation.run(30.0)
    assert simulation.cluster.queues["transient"].leader == first
    simulation.come_to_rest()


def test_what_comes_back_while_restoring_is_sent_again_when_everything_is_there() -> None:
    simulation = Simulation().started()
    simulation.client.declare(
        Exchange("events", "fanout"),
        Queue("mine", exclusive=True),
        Binding("events", "mine"),
    )
    switched(simulation)  # the exclusive queue has gone with its connection
    future = simulation.client.publish("events", "")
    simulation.client.all_done()
    assert future.exception(0) is None
    assert simulation.cluster.queues["mine"].holds == {future.message_id}
    simulation.run(1.0)
    astray = simulation.client.publish("events", "")
    simulation.cluster.delete_queue("mine")
    simulation.client.all_done()
    assert isinstance(astray.exception(0), Unroutable)  # now it is a verdict
    simulation.come_to_rest()


def test_a_queue_that_the_broker_names_has_another_name_after_a_switch() -> None:
    simulation = Simulation().started()
    queue = Queue("", exclusive=True)
    simulation.client.declare(Exchange("events", "fanout"), queue, Binding("events", queue.name))
    first = simulation.client.engine.topology.resolve(queue.name)
    switched(simulation)
    simulation.until(lambda: simulation.client.seen(QueueRenamed))
    second = simulation.client.engine.topology.resolve(queue.name)
    assert simulation.client.seen(QueueRenamed) == [QueueRenamed(queue.name, first, second)]
    future = simulation.client.publish("events", "")
    simulation.client.all_done()
    assert simulation.cluster.queues[second].holds == {future.message_id}
    simulation.come_to_rest()


def test_an_exclusive_queue_that_the_old_connection_holds_is_taken_when_that_is_gone() -> None:
    simulation = Simulation().started()
    simulation.client.declare(Queue("mine", exclusive=True))
    simulation.group.lead("b")
    simulation.client.become_live("b")
    simulation.until(
        lambda: (
            "mine" in simulation.cluster.queues
            and simulation.cluster.queues["mine"].owner in simulation.cluster.nodes["b"].connections
        ),
        limit=1.0,
    )
    simulation.come_to_rest()


# -- for users


@pytest.mark.parametrize(
    ("entity", "error", "words"),
    [
        (Binding("missing", "orders"), TopologyError, "no exchange 'missing'"),
        (Binding("events", "missing"), TopologyError, "no queue 'missing'"),
        (Queue("orders", arguments={"x-max-length": 3}), TopologyError, "inequivalent arg"),
        (Exchange("events", "direct"), TopologyError, "inequivalent arg"),
        (Queue("theirs"), NotAuthorized, "ACCESS_REFUSED"),
    ],
)
def test_what_is_wrong_is_told_at_once_and_the_next_is_declared(
    entity: Entity, error: type[RabbitKeeperError], words: str
) -> None:
    simulation = Simulation().started()
    simulation.fanout("events")
    simulation.cluster.refusals["theirs"] = ChannelLost(403, "ACCESS_REFUSED - not yours")
    began = simulation.time.now
    with pytest.raises(error, match=words):
        simulation.client.declare(entity)
    assert simulation.time.now - began < 0.01
    simulation.client.declare(Queue("more"))
    simulation.come_to_rest()


def test_a_queue_that_another_connection_has_is_waited_for() -> None:
    simulation = Simulation().started()
    simulation.cluster.refusals["mine"] = LOCKED
    future = simulation.client.engine.declare(Queue("mine", exclusive=True), 10.0)
    simulation.run(3.0)
    assert not future.done()
    simulation.cluster.refusals.clear()
    simulation.until(future.done, limit=2.0)
    assert future.exception(0) is None
    simulation.come_to_rest()


def test_a_declaration_ends_by_its_deadline_with_what_it_waited_for() -> None:
    simulation = Simulation().started()
    simulation.cluster.refusals["mine"] = LOCKED
    simulation.cluster.silent_declarations.add("silent")
    locked = simulation.client.engine.declare(Queue("mine", exclusive=True), 2.0)
    silent = simulation.client.engine.declare(Queue("silent"), 2.0)
    simulation.run(2.01)
    assert "cannot obtain exclusive access" in str(locked.exception(0))
    assert "no answer from the broker" in str(silent.exception(0))
    simulation.cluster.kill("a", "b", "c")
    simulation.run(0.1)
    nowhere = simulation.client.engine.declare(Queue("more"), 2.0)
    simulation.run(2.01)
    assert isinstance(nowhere.exception(0), NoLeader)
    simulation.come_to_rest()


def test_a_declaration_survives_a_switch() -> None:
    simulation = Simulation().started()
    simulation.cluster.silent_declarations.add("more")
    future = simulation.client.engine.declare(Queue("more"), 10.0)
    simulation.run(0.5)
    switched(simulation)
    simulation.cluster.silent_declarations.clear()
    simulation.cluster.look()
    simulation.until(future.done, limit=2.0)
    assert future.exception(0) is None
    simulation.come_to_rest()


def test_a_declaration_while_a_move_is_under_way_is_done() -> None:
    simulation = Simulation().started()
    simulation.group.lead("b")
    simulation.client.declare(Queue("more"))
    simulation.client.become_live("b")
    simulation.come_to_rest()


def declare_and_lose(count: int) -> int:
    """Declare so many queues, and again at another member; calls that client and brokers have made."""
    simulation = Simulation().started()
    asked = [simulation.client.engine.declare(Queue(f"q{number}"), 100.0) for number in range(count)]
    simulation.until(asked[-1].done)
    assert all(one.exception(0) is None for one in asked)
    simulation.journal.declared.clear()
    simulation.close_connection(consuming=False)
    simulation.until(lambda: simulation.client.seen(Disconnected))
    simulation.client.become_live()
    took = simulation.until(lambda: not simulation.client.engine._declarations.shared.is_busy)
    assert len(set(simulation.journal.declared)) == count + 1
    assert took < count / 5_000, "in batches"
    simulation.come_to_rest()
    return simulation.time.calls


def test_thousands_are_declared_and_declared_again_at_a_cost_that_grows_with_their_number() -> None:
    assert declare_and_lose(5_000) < 6 * declare_and_lose(1_000)


def test_looking_for_what_is_late_costs_the_same_however_much_is_asked_for() -> None:
    asked = AskedJobs()
    jobs = [Job(Queue(f"q{number}"), Retry(Random(1)), Future(), float(number)) for number in range(5_000)]
    for job in jobs:
        asked.add(job)
        job.succeed()
    assert len(asked._open) <= 2 * FEW, "what is over is kept nowhere"
    late = Job(Queue("late"), Retry(Random(1)), Future(), 7.0)
    asked.add(late)
    assert asked.earliest == 7.0
    assert asked.take_late(6.9) == []
    assert asked.take_late(7.0) == [late]
    assert asked.take_late(8.0) == []

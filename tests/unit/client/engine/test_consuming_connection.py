"""Consumers have a connection of their own: what happens to publishers does not happen to them."""

import pytest
from simulation.broker.cluster import CONNECTION_LIMIT
from simulation.client import Simulation

from rabbitkeeper.client.engine.consuming_connection import DRAIN_PATIENCE, MOST_RETIRED
from rabbitkeeper.client.model.errors import TopologyError
from rabbitkeeper.client.model.events import ConsumerStarted, Disconnected, QueueRenamed, Switched
from rabbitkeeper.client.model.requests import PassiveDeclare
from rabbitkeeper.client.model.topology import Binding, Exchange, Queue
from rabbitkeeper.client.routing.switch import Phase
from rabbitkeeper.coordinator.model.records import MemberStatus

MINE = Queue("mine", exclusive=True)


def test_it_is_opened_when_it_is_first_needed_and_kept() -> None:
    simulation = Simulation().started()
    simulation.published(3)
    assert simulation.client.consuming_places == []
    subscription = simulation.client.subscribe()
    simulation.run(0.1)
    assert (simulation.client.places, simulation.client.consuming_places) == (["a"], ["a"])
    simulation.client.engine.drop(subscription)
    simulation.run(10.0)
    assert simulation.client.consuming_places == ["a"]
    simulation.come_to_rest()


def test_a_program_that_has_published_drains_its_queue_during_an_alarm() -> None:
    simulation = Simulation().started()
    ids = simulation.published(250)
    simulation.cluster.raise_alarm()
    simulation.client.publish(timeout=100.0)
    simulation.run(1.0)
    subscription = simulation.client.subscribe(prefetch=20)
    taken: list[str | None] = []
    for _ in range(100):
        simulation.run(0.05)
        for message in simulation.client.take(subscription):
            taken.append(message.message_id)
            message.ack()
    assert taken == ids
    assert simulation.journal.acked.total() == len(ids)
    stopped = simulation.client.engine.finish(subscription, simulation.time.now + 10.0)
    assert simulation.until(stopped.done) < 0.1
    simulation.cluster.clear_alarm()
    simulation.client.all_done()
    simulation.come_to_rest()


def test_a_program_that_has_published_declares_during_an_alarm() -> None:
    simulation = Simulation().started()
    simulation.published(3)
    simulation.cluster.raise_alarm()
    waiting = simulation.client.publish(timeout=100.0)
    simulation.run(0.1)
    began = simulation.time.now
    simulation.client.declare(Queue("bills"), Exchange("events", "fanout"), Binding("events", "bills"))
    assert simulation.time.now - began < 0.1
    asked = simulation.client.engine.declare(PassiveDeclare(Queue("orders")), 5.0)
    simulation.until(asked.done, limit=0.1)
    assert asked.result(0) == 3
    with pytest.raises(TopologyError):
        simulation.client.declare(Exchange("events", "topic"))
    assert not waiting.done()
    simulation.cluster.clear_alarm()
    simulation.client.all_done()
    consuming = simulation.client.connection(consuming=True)
    assert all(channel.is_over for channel in consuming.channels), "it declares no more"
    simulation.client.declare(Queue("letters"))
    assert simulation.client.phase is Phase.LIVE
    simulation.come_to_rest()


def test_what_is_asked_for_just_when_the_alarm_comes_waits_a_second() -> None:
    simulation = Simulation().started()
    simulation.published(3)
    simulation.cluster.raise_alarm()
    simulation.client.publish(timeout=100.0)
    future = simulation.client.engine.declare(Queue("bills"), 30.0)  # behind it
    assert simulation.until(future.done, limit=5.0) < 1.1
    assert future.exception(0) is None
    simulation.cluster.clear_alarm()
    simulation.client.all_done()
    simulation.come_to_rest()


def test_an_alarm_with_nothing_to_declare_opens_no_other_connection() -> None:
    simulation = Simulation().started()
    simulation.published(3)
    simulation.cluster.raise_alarm()
    simulation.client.publish(timeout=100.0)
    simulation.run(10.0)
    assert simulation.client.consuming_places == []
    simulation.cluster.clear_alarm()
    simulation.client.all_done()
    simulation.come_to_rest()


def test_a_connection_that_ends_over_a_declaration_during_an_alarm_is_lost_once() -> None:
    simulation = Simulation().started()
    subscription = simulation.client.subscribe()
    simulation.published(3)
    simulation.cluster.raise_alarm()
    simulation.client.publish(timeout=100.0)
    simulation.run(0.1)
    with pytest.raises(TopologyError, match="no-such-type"):
        simulation.client.declare(Exchange("odd", "no-such-type"))
    simulation.run(10.0)
    assert len(simulation.journal.ended_over) == 1
    simulation.client.declare(Queue("bills"))
    assert simulation.client.seen(Disconnected) == []
    assert subscription.active
    simulation.cluster.clear_alarm()
    simulation.client.all_done()
    simulation.come_to_rest()


def test_when_it_alone_is_lost_publishing_does_not_notice_and_consumers_come_back() -> None:
    simulation = Simulation().started()
    subscription = simulation.client.subscribe()
    simulation.published(3)
    simulation.run(0.1)
    simulation.close_connection(consuming=True)
    future = simulation.client.publish()
    assert simulation.until(future.done) < 0.01
    simulation.until(lambda: subscription.active, limit=0.1)
    simulation.run(0.1)
    assert simulation.client.seen(Disconnected) == []
    assert len(simulation.client.take(subscription)) == 4
    simulation.come_to_rest()


def test_when_the_other_alone_is_lost_consumers_go_on() -> None:
    simulation = Simulation().started()
    simulation.client.subscribe()
    simulation.run(0.1)
    simulation.close_connection(541, "INTERNAL_ERROR", consuming=False)
    simulation.until(lambda: simulation.client.seen(Switched))
    simulation.client.become_live("a", limit=2.0)
    simulation.run(1.0)
    assert simulation.client.places == simulation.client.consuming_places == ["a"]
    simulation.come_to_rest()


def test_a_broker_that_takes_no_second_connection_is_asked_with_growing_pauses_and_publishing_goes_on() -> (
    None
):
    simulation = Simulation().started()
    simulation.cluster.nodes["a"].refusal = CONNECTION_LIMIT
    subscription = simulation.client.subscribe()
    for _ in range(20):
        future = simulation.client.publish()
        assert simulation.until(future.done) < 0.01
        simulation.run(1.0)
    assert simulation.client.is_live_at("a")
    assert 10 < len(simulation.journal.opened) < 80
    simulation.cluster.nodes["a"].refusal = None
    simulation.until(lambda: subscription.active, limit=1.1)
    simulation.come_to_rest()


def test_a_broker_that_ends_each_connection_of_consumers_is_not_asked_all_the_time() -> None:
    simulation = Simulation().started()
    simulation.cluster.nodes["a"].ends_connections = True
    simulation.client.subscribe()
    simulation.run(20.0)
    assert 20 < len(simulation.journal.opened) < 80
    simulation.cluster.nodes["a"].ends_connections = False
    simulation.until(lambda: simulation.client.seen(ConsumerStarted), limit=2.0)
    simulation.come_to_rest()


def test_a_member_that_does_not_answer_consumers_is_left_with_all() -> None:
    simulation = Simulation().started()
    simulation.published(1)
    simulation.cluster.hang("a")
    subscription = simulation.client.subscribe()
    simulation.until(lambda: simulation.client.member != "a", limit=4.0)
    simulation.until(lambda: subscription.active, limit=10.0)  # when the queue has another leader
    simulation.cluster.wake("a")
    simulation.come_to_rest()


@pytest.mark.parametrize("seconds", [0.0, 0.0005, 0.001, 0.002, 0.003, 0.01, 0.3])
def test_a_leader_that_flaps_leaves_one_connection_for_each_purpose(seconds: float) -> None:
    simulation = Simulation().started()
    subscription = simulation.client.subscribe(prefetch=3)
    simulation.published(30)
    simulation.run(0.1)
    in_hand = simulation.client.take(subscription)
    for name in "bcabacbcacbabcab":
        simulation.group.lead(name)
        simulation.run(seconds)
        in_hand += simulation.client.take(subscription)
        assert len(simulation.client.consuming_places) <= 2 + MOST_RETIRED
    simulation.client.become_live("b")
    simulation.run(2 * DRAIN_PATIENCE + 1.0)
    assert simulation.client.places == simulation.client.consuming_places == ["b"]
    simulation.come_to_rest()


def test_what_is_declared_dead_is_dropped_and_not_waited_for() -> None:
    simulation = Simulation().started()
    subscription = simulation.client.subscribe(prefetch=3)
    simulation.published(3)
    simulation.run(0.1)
    simulation.client.take(subscription)
    simulation.group.lead("b")
    simulation.until(lambda: simulation.client.consuming_places == ["a", "b"])
    simulation.cluster.hang("a")
    simulation.group.says("a", MemberStatus.HUNG)
    simulation.run(0.01)
    assert simulation.client.consuming_places == ["b"]
    simulation.cluster.wake("a")
    simulation.come_to_rest()


# -- exclusive queues


def test_an_exclusive_queue_is_declared_bound_and_consumed_on_it() -> None:
    simulation = Simulation().started()
    simulation.client.declare(Exchange("news", "fanout"), MINE, Binding("news", "mine"))
    assert simulation.client.consuming_places == ["a"]
    subscription = simulation.client.subscribe("mine")
    simulation.client.publish("news", "")
    simulation.client.all_done()
    simulation.run(0.1)
    assert len(simulation.client.take(subscription)) == 1
    simulation.come_to_rest()


@pytest.mark.parametrize("how", ["killed", "moved", "its own connection is lost"])
def test_an_exclusive_queue_is_there_again_afterwards(how: str) -> None:
    simulation = Simulation().started()
    reply = Queue("", exclusive=True)
    simulation.client.declare(Exchange("news", "fanout"), MINE, Binding("news", "mine"), reply)
    subscription = simulation.client.subscribe("mine")
    other = simulation.client.subscribe(reply.name)
    simulation.run(0.1)
    match how:
        case "killed":
            simulation.cluster.kill("a")
        case "moved":
            simulation.group.lead("b")
        case _:
            simulation.close_connection(consuming=True)
    simulation.run(3.0)
    assert subscription.active
    assert other.active
    assert len(simulation.client.seen(QueueRenamed)) == 1
    future = simulation.client.publish("news", "")
    simulation.client.all_done()
    assert future.exception(0) is None
    simulation.run(0.1)
    assert len(simulation.client.take(subscription)) == 1
    simulation.come_to_rest()


def test_what_comes_back_while_an_exclusive_queue_is_not_there_yet_is_sent_again() -> None:
    simulation = Simulation().started()
    simulation.client.declare(Exchange("news", "fanout"), MINE, Binding("news", "mine"))
    simulation.cluster.kill("a")
    future = simulation.client.publish("news", "")
    simulation.client.all_done()
    assert future.exception(0) is None
    simulation.come_to_rest()


def test_a_view_that_is_out_of_date_does_nothing() -> None:
    simulation = Simulation().started()
    simulation.client.subscribe()
    simulation.group.says("a", MemberStatus.HUNG)
    past = simulation.group.targets
    simulation.group.says("a", MemberStatus.RUNNING)
    simulation.group.lead("a")
    simulation.run(10.0)
    assert simulation.client.is_live_at("a")
    opened, events = list(simulation.journal.opened), list(simulation.client.events)
    simulation.group.show(past)
    simulation.run(2.0)
    assert simulation.journal.opened == opened
    assert simulation.client.events == events
    simulation.come_to_rest()


def test_what_comes_back_does_not_wait_for_an_exclusive_queue_that_stays_where_it_is() -> None:
    simulation = Simulation().started()
    subscription = simulation.client.subscribe(prefetch=2)
    simulation.published(30)
    for name in "abcab":  # what is in hand keeps each connection
        simulation.group.lead(name)
        simulation.run(2.0)
        simulation.client.take(subscription)
    assert (simulation.client.places, simulation.client.consuming_places[-1]) == (["b"], "a")
    simulation.client.declare(Exchange("news", "fanout"), MINE, Binding("news", "mine"))
    simulation.close_connection(541, "INTERNAL_ERROR", consuming=False)
    simulation.until(lambda: simulation.client.seen(Disconnected))
    simulation.client.become_live()
    future = simulation.client.publish(routing_key="nowhere")
    simulation.until(future.done, limit=5.0)
    simulation.come_to_rest()

"""Single messages without a consumer: answered, lost and asked for again, whatever brokers do."""

import pytest
from simulation.client import Simulation

from rabbitkeeper.client.amqp.transport import ChannelLost
from rabbitkeeper.client.consuming import Consuming
from rabbitkeeper.client.engine.consuming_connection import DRAIN_PATIENCE
from rabbitkeeper.client.guard import Guard
from rabbitkeeper.client.model.errors import (
    Closed,
    InvalidArgument,
    NoLeader,
    NotAuthorized,
    RabbitKeeperError,
    TopologyError,
)
from rabbitkeeper.client.model.topology import Queue


def channels(simulation: Simulation) -> int:
    """Open ones on the consumers' connections."""
    return sum(
        not channel.is_over
        for connection in simulation.client.transport.open
        if connection.consumes
        for channel in connection.channels
    )


def test_messages_come_one_by_one_and_none_comes_of_an_empty_queue() -> None:
    simulation = Simulation().started()
    ids = simulation.published(2)
    for expected in ids:
        message = simulation.client.get()
        assert message is not None
        assert (message.message_id, message.queue, message.body[:7]) == (expected, "orders", b"message")
        message.ack()
        simulation.run(0.1)
    assert simulation.client.get() is None
    assert simulation.journal.acked == dict.fromkeys(ids, 1)
    assert channels(simulation) == 0
    simulation.come_to_rest()


def test_a_message_in_hand_is_answered_over_its_own_channel() -> None:
    simulation = Simulation().started()
    first, second = simulation.published(2)
    messages = [simulation.client.get(), simulation.client.get()]
    assert simulation.client.engine.consumers.in_hand == 2
    with pytest.raises(TopologyError, match="no queue 'nowhere'"):  # which closes a channel, and no other
        simulation.client.get("nowhere")
    assert messages[0] is not None
    assert messages[1] is not None
    messages[1].ack()
    messages[0].nack()
    simulation.run(0.1)
    again = simulation.client.get()
    assert again is not None
    assert (again.message_id, again.redelivered) == (first, True)
    assert simulation.journal.acked == {second: 1}
    simulation.come_to_rest()


def test_without_an_ack_it_is_done_with_when_it_is_sent() -> None:
    simulation = Simulation().started()
    simulation.published(1)
    message = simulation.client.get(no_ack=True)
    assert message is not None
    message.ack()
    simulation.run(0.1)
    assert simulation.cluster.kept == set()
    assert channels(simulation) == 0
    simulation.come_to_rest()


def test_it_is_asked_for_again_over_the_next_connection() -> None:
    simulation = Simulation().started()
    (name,) = simulation.published(1)
    simulation.client.get("orders")  # so that there is a connection
    simulation.run(0.1)
    asked = simulation.client.engine.getting.ask("orders", 10.0, no_ack=False)
    simulation.cluster.kill("a")
    simulation.until(asked.done, limit=5.0)
    message = asked.result(0)
    assert message is not None
    assert message.message_id == name
    message.ack()
    simulation.run(0.1)
    assert simulation.cluster.kept == set()
    simulation.come_to_rest()


def test_a_planned_move_lets_it_be_answered_over_the_connection_that_is_left() -> None:
    simulation = Simulation().started()
    (name,) = simulation.published(1)
    message = simulation.client.get()
    assert message is not None
    simulation.group.lead("b")
    simulation.client.become_live("b")
    simulation.run(10.0)
    assert simulation.client.consuming_places == ["a", "b"]
    message.ack()
    simulation.until(lambda: simulation.client.consuming_places == ["b"], limit=0.1)
    simulation.run(0.1)
    assert simulation.journal.acked == {name: 1}
    forgotten = simulation.client.get()
    assert forgotten is None
    simulation.come_to_rest()


def test_one_that_nobody_answers_goes_back_when_the_connection_that_was_left_is_closed() -> None:
    simulation = Simulation().started()
    (name,) = simulation.published(1)
    assert simulation.client.get() is not None
    simulation.group.lead("b")
    simulation.client.become_live("b")
    simulation.run(DRAIN_PATIENCE + 1.0)
    again = simulation.client.get()
    assert again is not None
    assert (again.message_id, again.redelivered) == (name, True)
    simulation.come_to_rest()


def test_a_queue_that_does_not_answer_is_asked_again_and_given_up_at_the_deadline() -> None:
    simulation = Simulation().started()
    simulation.published(1)
    simulation.cluster.queues["orders"].lose_leader(3.0)
    message = simulation.client.get("orders", 10.0)
    assert message is not None
    message.nack()
    simulation.cluster.queues["orders"].lose_leader(30.0)
    with pytest.raises(TopologyError, match="nothing was heard of 'orders' in time: no answer"):
        simulation.client.get("orders", 5.0)
    simulation.run(60.0)
    assert len(simulation.cluster.queues["orders"].ready) == 1
    assert channels(simulation) == 0
    simulation.come_to_rest()


@pytest.mark.parametrize(
    ("code", "why", "error"),
    [
        (403, "ACCESS_REFUSED - queue 'orders' in vhost '/' in exclusive use", TopologyError),
        (403, "ACCESS_REFUSED - access to queue 'orders' in vhost '/' refused", NotAuthorized),
        (405, "RESOURCE_LOCKED", None),
    ],
)
def test_a_refusal_is_told_at_once_and_one_that_may_pass_is_asked_again(
    code: int, why: str, error: type[RabbitKeeperError] | None
) -> None:
    simulation = Simulation().started()
    asked = simulation.client.engine.getting.ask("orders", 2.0, no_ack=False)
    simulation.until(lambda: channels(simulation))
    simulation.run(0.0005)
    end = simulation.client.connection(consuming=True).end
    assert end is not None
    for channel in end.channels:
        channel.refuse(ChannelLost(code, why))
    simulation.until(asked.done, limit=0.5)
    if error is None:
        assert asked.result(0) is None
    else:
        with pytest.raises(error, match=why):
            asked.result(0)
    simulation.come_to_rest()


def test_a_stream_of_others_costs_one_connection_and_is_told() -> None:
    simulation = Simulation().started()
    simulation.cluster.declared_by_others(Queue("log", type="stream"))
    with pytest.raises(TopologyError, match="cannot get from 'log': closed by the broker: 540"):
        simulation.client.get("log")
    simulation.run(5.0)
    assert len([one for one in simulation.client.transport.connections if one.consumes]) == 2
    simulation.come_to_rest()


def test_one_that_is_cancelled_gives_the_message_back() -> None:
    simulation = Simulation().started()
    simulation.published(1)
    asked = simulation.client.engine.getting.ask("orders", 10.0, no_ack=False)
    assert asked.cancel()
    simulation.run(1.0)
    assert len(simulation.cluster.queues["orders"].ready) == 1
    assert simulation.client.engine.consumers.in_hand == 0
    simulation.come_to_rest()


def test_without_a_broker_it_says_so_and_a_closed_client_gives_nothing() -> None:
    simulation = Simulation().started()
    simulation.cluster.kill("a", "b", "c")
    simulation.run(1.0)
    with pytest.raises(NoLeader, match="nothing was heard of 'orders' in time"):
        simulation.client.get("orders", 1.0)
    asked = simulation.client.engine.getting.ask("orders", 10.0, no_ack=False)
    simulation.run(0.1)
    simulation.client.close()
    with pytest.raises(Closed):
        asked.result(0)
    with pytest.raises(Closed):
        simulation.client.engine.getting.ask("orders", 10.0, no_ack=False).result(0)


def test_what_means_nothing_is_refused_at_the_call() -> None:
    simulation = Simulation().started()
    simulation.client.declare(Queue("log", type="stream"))
    engine = simulation.client.engine
    consuming = Consuming(engine, Guard(engine), emit=simulation.client.emit, name="test")
    for queue, no_ack, timeout, what in (
        ("log", False, 1.0, "'log' is a stream"),
        ("", False, 1.0, "queue '' is not valid"),
        ("orders", 1, 1.0, "no_ack 1 is not valid"),
        ("orders", False, 0, "timeout 0 is not valid"),
    ):
        with pytest.raises(InvalidArgument, match=what):
            consuming.ask(queue, no_ack, timeout)  # type: ignore[arg-type]
    simulation.come_to_rest()

"""How consumers ask for messages: priorities, exclusive ones, without acks, and arguments of the broker's."""

from typing import Any

import pytest
from simulation.client import Simulation

from rabbitkeeper.client.consume.subscription import Subscription
from rabbitkeeper.client.consuming import Consuming
from rabbitkeeper.client.guard import Guard
from rabbitkeeper.client.model.consumer_options import ConsumerOptions
from rabbitkeeper.client.model.errors import InvalidArgument, TopologyError
from rabbitkeeper.client.model.events import ConsumerStalled
from rabbitkeeper.client.model.topology import Queue

CLASSIC = Queue("classic", type="classic")


def taken(simulation: Simulation, subscription: Subscription) -> list[str]:
    """Take and ack what there is."""
    simulation.run(0.1)
    messages = simulation.client.take(subscription)
    for message in messages:
        message.ack()
    simulation.run(0.1)
    return [str(message.message_id) for message in messages]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"priority": 1.5}, "priority 1.5 is not valid"),
        ({"priority": True}, "priority True is not valid"),
        ({"priority": 2**31}, "priority 2147483648 is not valid"),
        ({"exclusive": 1}, "exclusive 1 is not valid: use True or False"),
        ({"no_ack": "no"}, "no_ack 'no' is not valid: use True or False"),
        ({"arguments": ["x"]}, r"arguments \(of type list\) cannot be sent: use a dict"),
        ({"arguments": {"x": 1.5}}, r"arguments\['x'\] \(of type float\) cannot be sent"),
        ({"arguments": {"x-stream-offset": 1}}, "use offset= instead"),
        ({"arguments": {"x-priority": 1}, "priority": 1}, "use one of them"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(options: dict[str, Any], what: str) -> None:
    with pytest.raises(InvalidArgument, match=what):
        ConsumerOptions(**options)


@pytest.mark.parametrize(
    ("options", "queue", "what"),
    [
        ({"no_ack": True}, Queue("log", type="stream"), "no_ack is not valid with a stream"),
        ({"exclusive": True}, Queue("log", type="stream"), "exclusive is not valid with a stream queue"),
        ({"exclusive": True}, Queue("orders"), "x-single-active-consumer"),
    ],
)
def test_what_a_queue_does_not_do_is_refused_before_the_broker_is_asked(
    options: dict[str, Any], queue: Queue, what: str
) -> None:
    simulation = Simulation().started()
    simulation.client.declare(queue)
    engine = simulation.client.engine
    consuming = Consuming(engine, Guard(engine), emit=simulation.client.emit, name="test")
    for named in (queue, queue.name):
        with pytest.raises(InvalidArgument, match=what):
            consuming.consume(named, 10, 0, None, ConsumerOptions(**options))
    assert engine.consumers.wanted == 0
    simulation.come_to_rest()


def test_arguments_stay_as_they_were_when_they_were_given() -> None:
    arguments: dict[str, Any] = {"x-consumer-timeout": 60_000, "list": [1]}
    options = ConsumerOptions(priority=3, arguments=arguments)
    arguments["list"].append(2)
    assert options.arguments_with({"x-stream-offset": 7}) == {
        "x-consumer-timeout": 60_000,
        "list": [1],
        "x-priority": 3,
        "x-stream-offset": 7,
    }


def test_the_higher_priority_is_fed_first_as_long_as_it_has_room() -> None:
    simulation = Simulation().started()
    low = simulation.client.subscribe()
    high = simulation.client.subscribe(prefetch=3, options=ConsumerOptions(priority=5))
    simulation.run(0.1)
    ids = simulation.published(5)
    simulation.run(0.1)
    first, second = simulation.client.take(high), simulation.client.take(low)
    assert [message.message_id for message in first] == ids[:3]
    assert [message.message_id for message in second] == ids[3:]
    simulation.come_to_rest()


# -- exclusive


def test_an_exclusive_consumer_waits_until_it_is_alone_and_keeps_others_out() -> None:
    simulation = Simulation().started()
    simulation.client.declare(CLASSIC)
    plain = simulation.client.subscribe("classic")
    simulation.run(0.1)
    exclusive = simulation.client.subscribe("classic", options=ConsumerOptions(exclusive=True))
    simulation.run(2.0)
    assert (plain.active, exclusive.active) == (True, False)
    simulation.client.engine.drop(plain)
    simulation.run(2.0)
    assert exclusive.active
    third = simulation.client.subscribe("classic")
    simulation.run(2.0)
    assert not third.active
    ids = simulation.published(3, "classic")
    assert taken(simulation, exclusive) == ids
    simulation.come_to_rest()


@pytest.mark.parametrize("auto_delete", [False, True])
def test_an_exclusive_consumer_is_not_kept_out_by_itself_in_a_planned_move(auto_delete: bool) -> None:
    simulation = Simulation().started()
    simulation.client.declare(Queue("one", type="classic", auto_delete=auto_delete))
    subscription = simulation.client.subscribe("one", options=ConsumerOptions(exclusive=True))
    simulation.run(0.1)
    simulation.group.lead("b")
    simulation.client.become_live("b")
    simulation.run(2.0)
    assert subscription.active
    assert simulation.client.consuming_places == ["b"]
    ids = simulation.published(3, "one")
    assert taken(simulation, subscription) == ids
    simulation.come_to_rest()


def test_an_exclusive_consumer_that_gets_nothing_is_ended_before_another_takes_its_place() -> None:
    simulation = Simulation().started()
    simulation.client.declare(CLASSIC)
    subscription = simulation.client.subscribe("classic", options=ConsumerOptions(exclusive=True))
    simulation.run(0.1)
    simulation.cluster.stall_consumers("classic")
    ids = simulation.published(3, "classic")
    simulation.until(lambda: simulation.client.seen(ConsumerStalled), limit=30.0)
    simulation.run(1.0)
    assert taken(simulation, subscription) == ids
    simulation.come_to_rest()


# -- without acks


def test_without_acks_a_message_is_done_with_when_it_is_sent_and_answers_do_nothing() -> None:
    simulation = Simulation().started()
    subscription = simulation.client.subscribe(prefetch=2, options=ConsumerOptions(no_ack=True))
    ids = simulation.published(10)  # the prefetch limits nothing
    simulation.run(0.1)
    assert simulation.cluster.kept == set()
    messages = simulation.client.take(subscription)
    assert [message.message_id for message in messages] == ids
    for number, message in enumerate(messages):
        message.ack() if number % 2 else message.nack()
    simulation.run(0.1)
    assert simulation.client.engine.consumers.in_hand == 0
    simulation.come_to_rest()


def test_what_came_without_acks_can_be_taken_after_its_connection_and_its_consumer_have_ended() -> None:
    simulation = Simulation().started()
    subscription = simulation.client.subscribe(options=ConsumerOptions(no_ack=True))
    first = simulation.published(3)
    simulation.run(0.1)
    simulation.cluster.kill("a")
    simulation.client.become_live()
    simulation.until(lambda: subscription.active)
    later = simulation.published(2)
    stopped = simulation.client.engine.finish(subscription, simulation.time.now + 1.0)
    simulation.until(stopped.done)
    assert stopped.result(0) == 0
    assert taken(simulation, subscription) == [*first, *later]
    assert subscription.get(0) is None
    simulation.come_to_rest()


def test_a_planned_move_takes_along_what_has_come_without_acks() -> None:
    simulation = Simulation().started()
    subscription = simulation.client.subscribe(options=ConsumerOptions(no_ack=True))
    first = simulation.published(3)
    simulation.group.lead("b")
    simulation.client.become_live("b")
    simulation.until(lambda: simulation.client.consuming_places == ["b"], limit=2.0)
    simulation.until(lambda: subscription.active)
    later = simulation.published(3)
    assert sorted(taken(simulation, subscription)) == sorted([*first, *later])
    simulation.come_to_rest()


def test_a_stream_of_others_consumed_without_acks_costs_one_connection_and_ends_its_consumer() -> None:
    simulation = Simulation().started()
    simulation.cluster.declared_by_others(Queue("log", type="stream"))
    subscription = simulation.client.subscribe("log", options=ConsumerOptions(no_ack=True))
    simulation.run(5.0)
    with pytest.raises(TopologyError, match="without acks: closed by the broker: 540 NOT_IMPLEMENTED"):
        subscription.get(0)
    assert len([one for one in simulation.client.transport.connections if one.consumes]) == 2
    simulation.come_to_rest()

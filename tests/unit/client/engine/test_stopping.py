"""Consumers that are stopped: what is in hand, what goes back, and that others are left alone."""

from simulation.client import Simulation


def test_consumers_that_end_with_their_connection_keep_no_other_from_following() -> None:
    simulation = Simulation().started("first", "second", "other")
    stopping = [simulation.client.subscribe("first"), simulation.client.subscribe("second")]
    staying = simulation.client.subscribe("other")
    simulation.run(1.0)
    for queue in ("first", "second"):
        simulation.client.publish_some(5, routing_key=queue)
    simulation.client.all_done()
    simulation.run(0.1)
    assert [len(simulation.client.take(subscription)) for subscription in stopping] == [5, 5]
    ends = [
        simulation.client.engine.finish(subscription, simulation.time.now + 30.0) for subscription in stopping
    ]
    simulation.run(0.1)
    assert not any(end.done() for end in ends), "five are in hand of each"
    simulation.cluster.kill("a")
    simulation.run(1.0)
    assert [end.result(0) for end in ends] == [0, 0], "answers would reach nobody"
    assert staying.active
    simulation.come_to_rest()


def test_a_stop_ends_with_the_last_answer_and_not_later() -> None:
    simulation = Simulation().started("orders")
    subscription = simulation.client.subscribe("orders")
    simulation.client.publish_some(3)
    simulation.run(1.0)
    messages = simulation.client.take(subscription)
    left = simulation.client.engine.finish(subscription, simulation.time.now + 30.0)
    simulation.run(5.0)
    assert not left.done()
    for message in messages:
        message.ack()
    assert simulation.until(left.done) < 0.02
    assert left.result(0) == 0
    assert simulation.client.take(subscription) == []
    simulation.come_to_rest()


def test_a_stop_with_nothing_in_hand_is_immediate() -> None:
    simulation = Simulation().started("orders")
    subscription = simulation.client.subscribe("orders")
    simulation.run(1.0)
    left = simulation.client.engine.finish(subscription, simulation.time.now + 30.0)
    assert simulation.until(left.done) < 0.01
    simulation.come_to_rest()


def test_a_stop_that_takes_too_long_gives_back_what_is_in_hand() -> None:
    simulation = Simulation().started("orders")
    subscription = simulation.client.subscribe("orders")
    simulation.client.publish_some(2)
    simulation.run(1.0)
    assert len(simulation.client.take(subscription)) == 2
    left = simulation.client.engine.finish(subscription, simulation.time.now + 3.0)
    simulation.run(2.9)
    assert not left.done()
    simulation.run(0.2)
    assert left.result(0) == 2
    other = simulation.client.subscribe("orders")
    simulation.run(1.0)
    assert [message.redelivered for message in simulation.client.take(other)] == [True, True]
    simulation.come_to_rest()


def test_answers_that_are_not_sent_yet_when_the_time_is_up_go_out_with_the_end() -> None:
    simulation = Simulation().started("orders")
    subscription = simulation.client.subscribe("orders")
    simulation.client.publish_some(2)
    simulation.run(1.0)
    messages = simulation.client.take(subscription)
    left = simulation.client.engine.finish(subscription, simulation.time.now + 3.0)
    simulation.run(2.999)
    for message in messages:
        message.ack()
    simulation.run(1.0)
    assert left.result(0) == 2, "as was known then"
    other = simulation.client.subscribe("orders")
    simulation.run(1.0)
    assert simulation.client.take(other) == []
    simulation.come_to_rest()

"""Consumers of streams: each goes on where the one before was, whatever happens to connections."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation.client import Simulation
from support.effort import examples

from rabbitkeeper.client.amqp.decoding import Delivery
from rabbitkeeper.client.amqp.properties import BasicProperties
from rabbitkeeper.client.consume.stream import CLOCKS, StreamPosition, check_offset, offset_of
from rabbitkeeper.client.consume.subscription import Subscription
from rabbitkeeper.client.model.errors import InvalidArgument, TopologyError
from rabbitkeeper.client.model.events import ConsumerStalled
from rabbitkeeper.client.model.topology import Queue

LOG = Queue("log", type="stream")


def with_log(count: int = 0) -> tuple[Simulation, list[str]]:
    simulation = Simulation().started()
    simulation.client.declare(LOG)
    return simulation, simulation.published(count, "log")


def taken(simulation: Simulation, subscription: Subscription, most: int = 1000) -> list[str]:
    """Take and ack what there is, up to ``most``."""
    ids: list[str] = []
    while len(ids) < most:
        messages = simulation.client.take(subscription)
        if not messages:
            simulation.run(0.01)
            messages = simulation.client.take(subscription)
        if not messages:
            break
        for message in messages:
            ids.append(str(message.message_id))
            message.ack()
    return ids


@pytest.mark.parametrize("offset", ["first", 0, 7, datetime(2026, 1, 1, tzinfo=UTC), "1h"])
def test_a_consumer_begins_where_it_is_told(offset: int | str | datetime) -> None:
    simulation, ids = with_log(20)
    subscription = simulation.client.subscribe("log", offset=offset)
    simulation.run(0.1)
    begin = offset if isinstance(offset, int) else 0
    assert taken(simulation, subscription) == ids[begin:]
    simulation.come_to_rest()


def test_without_an_offset_it_begins_with_what_comes_next() -> None:
    simulation, _ = with_log(5)
    subscription = simulation.client.subscribe("log")
    simulation.run(0.1)
    ids = simulation.published(3, "log")
    assert taken(simulation, subscription) == ids
    simulation.come_to_rest()


@pytest.mark.parametrize("how", ["move", "kill", "cancel", "consumers' connection"])
@pytest.mark.parametrize("prefetch", [1, 5, 100])
def test_the_next_consumer_goes_on_behind_what_was_taken(how: str, prefetch: int) -> None:
    simulation, ids = with_log(30)
    subscription = simulation.client.subscribe("log", prefetch, offset="first")
    simulation.run(0.1)
    first = [subscription.get(0)]
    match how:
        case "move":
            simulation.group.lead("b")
        case "kill":
            simulation.cluster.kill("a")
        case "cancel":
            simulation.cluster.queues["log"].consumers[0].cancel_by_broker()
        case _:
            simulation.close_connection(consuming=True)
    simulation.run(3.0)
    got = [str(message.message_id) for message in first if message is not None]
    for message in first:
        assert message is not None
        message.ack()
    for _ in range(40):
        got += taken(simulation, subscription)
    assert got == ids, "each once, and in order"
    simulation.come_to_rest()


def test_a_stream_that_another_has_declared_is_one_by_the_offset_that_is_given() -> None:
    simulation, ids = with_log(10)
    simulation.client.engine.topology._entities.clear()  # this client knows nothing of it
    subscription = simulation.client.subscribe("log", 4, offset="next")
    simulation.run(0.1)
    ids = simulation.published(20, "log")
    simulation.run(0.1)
    got = [str(message.message_id) for message in simulation.client.take(subscription)]
    simulation.cluster.kill("a")
    simulation.run(3.0)
    while len(got) < 20:
        got += taken(simulation, subscription)
    assert got == ids
    simulation.come_to_rest()


def test_what_was_taken_from_streams_and_published_to_a_queue_again_is_not_lost() -> None:
    simulation = Simulation().started()
    ids: list[str] = []
    for offset in (5, 6, 7, 2, 3):
        properties = BasicProperties(headers={"x-stream-offset": offset})
        future = simulation.client.publishing.publish("", "orders", b"", properties, True, 10.0)
        simulation.until(future.done)
        ids.append(future.message_id)
    subscription = simulation.client.subscribe()
    simulation.run(0.1)
    simulation.client.take(subscription)[0].nack()
    simulation.group.lead("b")
    simulation.run(1.0)
    again = [message.message_id for message in simulation.client.take(subscription)]
    assert again == ids[:1]
    assert simulation.journal.acked.total() == 0
    assert subscription.active
    simulation.come_to_rest()


@pytest.mark.parametrize("how", ["move", "cancel"])
def test_what_nobody_had_taken_does_not_hold_what_was_left(how: str) -> None:
    simulation, ids = with_log(30)
    subscription = simulation.client.subscribe("log", 10, offset="first")
    simulation.run(0.1)
    if how == "move":
        simulation.group.lead("b")
    else:
        simulation.cluster.queues["log"].consumers[0].cancel_by_broker()
    simulation.run(1.0)
    assert taken(simulation, subscription) == ids
    assert simulation.client.consuming_places == [simulation.client.member]
    stopped = simulation.client.engine.finish(subscription, simulation.time.now + 10.0)
    assert simulation.until(stopped.done) < 1.0
    simulation.come_to_rest()


def test_what_comes_while_a_consumer_that_has_got_nothing_is_away_is_not_missed() -> None:
    simulation, _ = with_log()
    subscription = simulation.client.subscribe("log", offset="next")
    simulation.run(0.1)
    simulation.close_connection(consuming=True)
    ids = simulation.published(5, "log")
    simulation.run(3.0)
    assert taken(simulation, subscription) == ids
    simulation.come_to_rest()


def test_an_idle_consumer_of_a_stream_is_not_taken_for_a_stalled_one() -> None:
    simulation, ids = with_log(5)
    subscription = simulation.client.subscribe("log", offset="first")
    assert taken(simulation, subscription) == ids
    simulation.run(300.0)
    assert simulation.client.seen(ConsumerStalled) == []
    simulation.come_to_rest()


def test_an_offset_for_a_queue_that_is_no_stream_is_refused() -> None:
    simulation = Simulation().started()
    subscription = simulation.client.subscribe("orders", offset="first")
    simulation.run(1.0)
    with pytest.raises(TopologyError, match="x-stream-offset"):
        subscription.get(0)
    simulation.come_to_rest()


@pytest.mark.parametrize(
    "offset", [-1, 2**63, True, 1.5, "", "third", "0h", "1x", "h1", datetime(2026, 1, 1), b"first", [1]]
)
def test_what_is_no_offset_is_refused_with_what_would_do(offset: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"offset .* is not valid: use 'first'"):
        check_offset(offset)


def test_a_position_without_a_delivery_begins_a_little_before_its_first_consumer() -> None:
    now = datetime(2026, 11, 1, tzinfo=UTC)
    for begin in (None, "next"):
        position = StreamPosition(begin)
        assert position.argument() == begin
        position.was_taken_on(now)
        position.was_taken_on(now.replace(year=2027))
        assert position.argument() == now - CLOCKS
    assert StreamPosition("last").argument() == "last"


def delivery(offset: object) -> Delivery:
    return 1, False, b"", BasicProperties(headers={"x-stream-offset": offset}), b""


def test_a_position_takes_nothing_twice_and_goes_back_to_what_was_given_up() -> None:
    position = StreamPosition("first")
    assert [position.is_new(delivery(offset)) for offset in (4, 5, 4, 6)] == [True, True, False, True]
    position.rewind([delivery(5), delivery(6)])
    assert position.argument() == 5
    position.rewind([])
    assert position.argument() == 5
    assert position.is_new((1, False, b"", b"\x00\x00", b"")), "it has no offset: it cannot be told"
    assert offset_of(delivery("odd")) is None


@settings(max_examples=examples(60), deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 8), st.sampled_from(("", "a", "b", "c", "kill", "cut")), st.booleans()),
        max_size=15,
    ),
    st.sampled_from((1, 3, 50)),
)
def test_whatever_happens_each_message_is_taken_once_and_in_order(
    steps: list[tuple[int, str, bool]], prefetch: int
) -> None:
    simulation, _ = with_log()
    subscription = simulation.client.subscribe("log", prefetch, offset="first")
    got: list[str] = []
    for count, what, takes in steps:
        simulation.client.publish_some(count, routing_key="log")
        if what == "kill" and simulation.client.member is not None:
            simulation.cluster.kill(simulation.client.member)
            simulation.time.after(2.0, simulation.cluster.heal)
        elif what == "cut":
            for end in list(simulation.cluster.connections):
                if any(channel.consumes for channel in end.channels):
                    end.close_by_broker(320, "CONNECTION_FORCED")
        elif what in ("a", "b", "c"):
            simulation.group.lead(what)
        simulation.run(0.02 if takes else 0.7)
        if takes:
            got += taken(simulation, subscription, most=3)
    simulation.cluster.heal()
    simulation.client.all_done()
    for _ in range(400):
        got += taken(simulation, subscription)
        if len(got) >= len(simulation.stored("log")):
            break
        simulation.run(0.1)
    assert got == simulation.stored("log"), "duplicates of the publisher's too, each once"
    simulation.come_to_rest()

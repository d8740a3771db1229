"""What becomes of a publish when the broker does not simply confirm it."""

import pytest
from simulation.client import Simulation

from rabbitkeeper.client.amqp.transport import ChannelLost
from rabbitkeeper.client.model.errors import (
    Blocked,
    Nacked,
    NoLeader,
    PublishUnknown,
    Unroutable,
)
from rabbitkeeper.client.model.events import PublishersBlocked, PublishersUnblocked
from rabbitkeeper.client.model.topology import Binding, Exchange, Queue
from rabbitkeeper.client.publish.refusals import CALM_PATIENCE
from rabbitkeeper.client.publish.silence import SILENCE
from rabbitkeeper.client.routing.switch import Phase
from rabbitkeeper.coordinator.model.records import MemberStatus


def test_a_message_that_no_queue_takes_is_unroutable_and_its_neighbours_are_not() -> None:
    simulation = Simulation().started()
    first, astray, last = [
        simulation.client.publish(routing_key=key) for key in ("orders", "nowhere", "orders")
    ]
    simulation.client.all_done()
    assert isinstance(astray.exception(0), Unroutable)
    assert simulation.stored() == [first.message_id, last.message_id]
    assert first.result().attempts == last.result().attempts == 1
    simulation.come_to_rest()


def test_a_message_that_is_not_mandatory_may_vanish() -> None:
    simulation = Simulation().started()
    future = simulation.client.publish(routing_key="nowhere", mandatory=False)
    simulation.client.all_done()
    assert future.exception(0) is None
    simulation.come_to_rest()


def test_an_exchange_that_does_not_exist_ends_its_messages_and_no_others() -> None:
    simulation = Simulation().started()
    warm = simulation.client.publish()
    simulation.client.all_done()
    mixed = [
        simulation.client.publish("missing" if number % 3 == 1 else "", "orders") for number in range(30)
    ]
    simulation.client.all_done()
    refused = [future for future in mixed if future.exception(0) is not None]
    assert [future for future in mixed if future.exchange == "missing"] == refused
    assert all(isinstance(future.exception(0), Nacked) for future in refused)
    assert "no exchange 'missing'" in str(refused[0].exception(0))
    wanted = [future.message_id for future in (warm, *mixed) if future not in refused]
    assert simulation.first_stored() == wanted
    simulation.come_to_rest()


def test_an_exchange_that_is_not_this_users_is_found_among_many_in_flight() -> None:
    simulation = Simulation().started()
    simulation.client.declare(Exchange("secret", "fanout"))
    simulation.cluster.forbidden.add("secret")
    simulation.client.publish()
    simulation.client.all_done()
    before = simulation.client.publish_some(5)
    (refused,) = [simulation.client.publish("secret", "")]
    after = simulation.client.publish_some(5)
    took = simulation.client.all_done()
    assert isinstance(refused.exception(0), Nacked)
    assert all(future.exception(0) is None for future in (*before, *after))
    assert simulation.first_stored()[1:] == [future.message_id for future in (*before, *after)]
    assert took < 0.5
    simulation.come_to_rest()


@pytest.mark.parametrize("culprit", ["missing", "secret"])
def test_what_closes_a_channel_after_its_deadline_is_blamed_on_nobody_else(culprit: str) -> None:
    simulation = Simulation().started()
    simulation.client.declare(Exchange("secret", "fanout"))
    simulation.cluster.forbidden.add("secret")
    simulation.client.publish()
    simulation.client.all_done()
    simulation.cluster.hang("a")
    late = simulation.client.publish(culprit, "", timeout=0.3)
    innocent = simulation.client.publish()
    simulation.run(0.5)
    assert isinstance(late.exception(0), PublishUnknown)
    simulation.cluster.wake("a")
    simulation.client.all_done()
    assert innocent.exception(0) is None
    simulation.come_to_rest()


def test_a_full_queue_that_rejects_is_believed_after_a_while_and_holds_nobody_up_then() -> None:
    simulation = Simulation().started()
    full = Queue("full", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    simulation.client.declare(full)
    fits = simulation.client.publish(routing_key="full")
    simulation.client.all_done()
    assert fits.exception(0) is None
    refused = simulation.client.publish(routing_key="full")
    took = simulation.client.all_done()
    assert isinstance(refused.exception(0), Nacked)
    assert CALM_PATIENCE <= took < CALM_PATIENCE + 0.2
    well = [simulation.client.publish(routing_key=key) for key in ("full", "orders")][1]
    assert simulation.client.all_done() < 0.1
    assert well.exception(0) is None
    simulation.cluster.queues["full"].ready.clear()  # somebody has taken what was there
    again = simulation.client.publish(routing_key="full")
    simulation.client.all_done()
    assert again.exception(0) is None
    simulation.come_to_rest()


def test_an_alarm_blocks_publishers_and_lets_them_go_on() -> None:
    simulation = Simulation().started()
    simulation.client.publish()
    simulation.client.all_done()
    simulation.cluster.raise_alarm("low on disk")
    simulation.until(lambda: simulation.client.seen(PublishersBlocked))
    assert simulation.client.engine.snapshot.blocked == "low on disk"
    futures = simulation.client.publish_some(10)
    simulation.run(20.0)
    assert not any(future.done() for future in futures)
    assert len(simulation.journal.sent) == 1
    simulation.cluster.clear_alarm()
    simulation.client.all_done()
    assert simulation.client.seen(PublishersUnblocked) == [PublishersUnblocked("a")]
    assert all(future.exception(0) is None for future in futures)
    assert simulation.client.is_live_at("a")  # an alarm is no reason to move: it is everywhere
    simulation.come_to_rest()


def test_an_alarm_that_the_first_message_meets_delays_it() -> None:
    simulation = Simulation().started()
    simulation.cluster.raise_alarm()
    futures = simulation.client.publish_some(3)
    simulation.run(5.0)
    assert simulation.client.engine.snapshot.blocked == "low on memory"
    simulation.cluster.clear_alarm()
    simulation.client.all_done()
    assert simulation.stored() == [future.message_id for future in futures]
    simulation.come_to_rest()


def test_a_broker_that_dies_in_an_alarm_leaves_no_block_behind() -> None:
    simulation = Simulation().started()
    simulation.client.publish()
    simulation.client.all_done()
    simulation.cluster.raise_alarm()
    simulation.run(0.1)
    simulation.client.publish()
    simulation.cluster.kill("a")
    simulation.cluster.alarm = None  # it was that node's alone
    simulation.client.all_done()
    assert simulation.client.engine.snapshot.blocked is None
    assert simulation.lost() == set()
    simulation.come_to_rest()


# -- deadlines


def test_a_deadline_that_passes_before_a_broker_is_reached() -> None:
    simulation = Simulation(prepare=lambda cluster, _: cluster.kill("a", "b", "c"))
    future = simulation.client.publish(timeout=2.0)
    took = simulation.client.all_done()
    assert isinstance(future.exception(0), NoLeader)
    assert 2.0 <= took < 2.01
    assert "connection refused" in str(future.exception(0))
    simulation.come_to_rest()


def test_a_deadline_that_passes_while_publishers_are_blocked() -> None:
    simulation = Simulation().started()
    simulation.client.publish()
    simulation.client.all_done()
    simulation.cluster.raise_alarm("low on disk")
    simulation.run(0.01)
    future = simulation.client.publish(timeout=2.0)
    simulation.client.all_done()
    assert isinstance(future.exception(0), Blocked)
    assert "low on disk" in str(future.exception(0))
    simulation.come_to_rest()


def test_a_deadline_that_passes_without_an_answer() -> None:
    simulation = Simulation().started()
    simulation.cluster.hold_confirms()
    future = simulation.client.publish(timeout=2.0)
    took = simulation.client.all_done()
    assert isinstance(future.exception(0), PublishUnknown)
    assert 2.0 <= took < 2.01
    simulation.cluster.release_confirms()  # the late confirm means nothing any more
    simulation.run(1.0)
    simulation.come_to_rest()


def test_a_deadline_that_passes_while_switching() -> None:
    simulation = Simulation().started()
    simulation.client.publish()
    simulation.client.all_done()
    simulation.cluster.hold_confirms()
    sent = simulation.client.publish(timeout=2.0)
    simulation.run(0.01)
    simulation.cluster.kill("a", "b", "c")
    simulation.run(0.1)
    assert simulation.client.phase is Phase.SWITCHING
    unsent = simulation.client.publish(timeout=1.9)
    simulation.client.all_done()
    assert isinstance(sent.exception(0), PublishUnknown)
    assert isinstance(unsent.exception(0), NoLeader)
    simulation.come_to_rest()


def test_a_deadline_that_passes_while_a_queue_has_no_leader() -> None:
    simulation = Simulation().started()
    simulation.cluster.kill("b", "c")  # no majority: nothing is stored
    simulation.group.says("b", MemberStatus.UNREACHABLE)
    held = simulation.client.publish(timeout=3.0)
    simulation.client.all_done()
    assert isinstance(held.exception(0), PublishUnknown)
    simulation.come_to_rest()


def test_a_deadline_that_passes_while_the_broker_refuses() -> None:
    simulation = Simulation().started()
    full = Queue("full", arguments={"x-max-length": 0, "x-overflow": "reject-publish"})
    simulation.client.declare(full)
    future = simulation.client.publish(routing_key="full", timeout=CALM_PATIENCE / 2 + 0.01)
    simulation.client.all_done()
    assert isinstance(future.exception(0), Nacked)
    simulation.come_to_rest()


# -- cancelled


def test_a_future_that_is_cancelled_in_time_is_never_sent() -> None:
    simulation = Simulation().started()
    simulation.cluster.raise_alarm()
    blocked = simulation.client.publish_some(3)
    simulation.run(1.0)
    assert not blocked[0].cancel()  # it was on its way already
    assert blocked[1].cancel()
    simulation.cluster.clear_alarm()
    simulation.client.all_done()
    assert simulation.stored() == [blocked[0].message_id, blocked[2].message_id]
    assert simulation.client.publishing.unconfirmed == 0
    simulation.come_to_rest()


def test_a_future_cancelled_before_anything_was_taken_over() -> None:
    simulation = Simulation().started()
    first, second = simulation.client.publish_some(2)
    assert first.cancel()
    simulation.client.all_done()
    assert simulation.stored() == [second.message_id]
    simulation.come_to_rest()


# -- the socket


def test_a_socket_that_takes_nothing_holds_what_is_beyond_it_back() -> None:
    simulation = Simulation().started()
    simulation.cluster.hang("a")
    futures = [simulation.client.publish(body=bytes(300_000)) for _ in range(20)]
    simulation.run(SILENCE / 2)
    sent = len(simulation.journal.sent)
    assert sent < 10
    simulation.cluster.wake("a")
    simulation.client.all_done()
    assert simulation.stored() == [future.message_id for future in futures]
    simulation.come_to_rest()


@pytest.mark.parametrize("kind", ["direct", "topic", "fanout"])
def test_an_exchange_that_is_deleted_and_comes_back_takes_messages_again(kind: str) -> None:
    simulation = Simulation().started()
    simulation.client.declare(Exchange("e", kind), Binding("e", "orders", "a.b"))
    good = simulation.client.publish("e", "a.b")
    simulation.client.all_done()
    simulation.cluster.delete_exchange("e")
    bad = simulation.client.publish("e", "a.b")
    simulation.client.all_done()
    simulation.client.declare(Exchange("e", kind), Binding("e", "orders", "a.b"))
    again = simulation.client.publish("e", "a.b")
    simulation.client.all_done()
    assert isinstance(bad.exception(0), Nacked)
    assert simulation.stored() == [good.message_id, again.message_id]
    simulation.come_to_rest()


def test_a_message_that_may_be_there_is_not_reported_as_refused() -> None:
    simulation = Simulation().started()
    simulation.client.declare(Queue("small", arguments={"x-max-length": 1, "x-overflow": "reject-publish"}))
    simulation.cluster.hold_confirms()
    future = simulation.client.publish(routing_key="small")
    simulation.until(lambda: simulation.stored("small"))
    simulation.cluster.kill("a")
    simulation.cluster.release_confirms()
    simulation.client.all_done()
    error = future.exception(0)
    assert isinstance(error, PublishUnknown)
    assert "basic.nack" in str(error)
    assert simulation.stored("small") == [future.message_id]
    simulation.come_to_rest()


def test_a_message_that_comes_back_after_a_time_without_an_answer_may_be_there() -> None:
    simulation = Simulation().started()
    simulation.client.declare(
        Queue("mine", exclusive=True), Exchange("news", "fanout"), Binding("news", "mine")
    )
    simulation.cluster.hold_confirms()
    future = simulation.client.publish("news", "")
    simulation.until(lambda: simulation.stored("mine"))
    simulation.cluster.refusals["mine"] = ChannelLost(406, "PRECONDITION_FAILED")
    simulation.cluster.kill("a")
    simulation.cluster.release_confirms()
    simulation.client.all_done()
    error = future.exception(0)
    assert isinstance(error, PublishUnknown)
    assert "NO_ROUTE" in str(error)
    simulation.come_to_rest()

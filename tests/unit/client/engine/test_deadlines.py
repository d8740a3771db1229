"""Every wait for a broker ends: another channel is tried, then another member, and nobody waits for ever."""

from itertools import pairwise

import pytest
from simulation.broker.cluster import SimulatedCluster
from simulation.client import Simulation
from simulation.group import SimulatedGroup

from rabbitkeeper.client.engine.connections import GIVE_UP, RENEW_PATIENCE
from rabbitkeeper.client.model.errors import Unroutable
from rabbitkeeper.client.model.events import Switched
from rabbitkeeper.client.model.topology import Queue
from rabbitkeeper.client.publish.silence import SILENCE
from rabbitkeeper.client.routing.failures import DOUBT, MOST_PATIENCE
from rabbitkeeper.client.routing.placement import Spread
from rabbitkeeper.client.routing.switch import AFTER_LOSS, CONNECT_TIMEOUT

ERROR = (506, "RESOURCE_ERROR - it happens")


def confirmed(simulation: Simulation) -> bool:
    return all(future.exception(0) is None for future in simulation.client.futures)


def hang_one_and_hide_the_other(cluster: SimulatedCluster, group: SimulatedGroup) -> None:
    cluster.hang("a")
    group.remove("b")


def test_a_probe_that_is_not_answered_is_sent_over_another_channel_then_over_another_member() -> None:
    simulation = Simulation().started()
    simulation.cluster.queues["orders"].is_stale_at.add("a")
    simulation.client.publish()
    took = simulation.client.all_done()
    assert confirmed(simulation)
    assert took < 3 * SILENCE + 0.1
    assert simulation.client.member != "a"
    simulation.run(DOUBT / 2)
    assert simulation.client.member != "a", "the member that did not answer is not gone back to at once"
    simulation.cluster.answer_again()
    simulation.client.become_live("a", limit=DOUBT)
    simulation.come_to_rest()


def test_after_a_failover_a_queue_with_a_stale_record_holds_nobody_up_for_long() -> None:
    simulation = Simulation().started()
    simulation.client.publish()
    simulation.client.all_done()
    simulation.cluster.queues["orders"].is_stale_at |= {"b"}
    simulation.cluster.kill("a")
    simulation.group.remove("a")
    simulation.client.publish()
    assert simulation.client.all_done() < 3 * SILENCE + 0.6
    assert confirmed(simulation)
    simulation.cluster.answer_again()
    simulation.come_to_rest()


def test_a_queue_that_is_stale_everywhere_does_not_send_the_client_round() -> None:
    simulation = Simulation().started()
    simulation.cluster.queues["orders"].is_stale_at |= {"a", "b", "c"}
    opened = len(simulation.journal.opened)
    simulation.client.publish(timeout=100.0)
    simulation.run(60.0)
    assert len(simulation.journal.opened) - opened < 12
    assert len(simulation.journal.sent) < 30
    simulation.cluster.answer_again()
    simulation.client.all_done()
    assert confirmed(simulation)
    simulation.come_to_rest()


def test_a_blocked_connection_is_not_taken_for_one_that_does_not_answer() -> None:
    simulation = Simulation().started()
    simulation.client.publish()
    simulation.client.all_done()
    simulation.cluster.raise_alarm()
    simulation.run(0.01)
    simulation.cluster.close_channels(*ERROR, consuming=False)
    simulation.client.publish(timeout=100.0)
    simulation.run(30.0)
    assert simulation.client.is_live_at("a")
    assert simulation.client.seen(Switched) == []
    simulation.cluster.clear_alarm()
    simulation.client.all_done()
    assert confirmed(simulation)
    simulation.come_to_rest()


def test_a_member_that_opens_no_channel_any_more_is_left_for_another() -> None:
    simulation = Simulation().started()
    simulation.cluster.silent_channels.add("a")
    simulation.cluster.close_channels(*ERROR, consuming=False)
    simulation.client.publish()
    took = simulation.client.all_done()
    assert confirmed(simulation)
    assert took < RENEW_PATIENCE + 0.1
    assert simulation.client.member != "a"
    simulation.cluster.answer_again()
    simulation.come_to_rest()


def test_without_another_member_the_connection_is_made_again_in_the_end() -> None:
    simulation = Simulation("a").started()
    simulation.cluster.silent_channels.add("a")
    simulation.cluster.close_channels(*ERROR, consuming=False)
    simulation.run(GIVE_UP + 0.1)
    simulation.cluster.silent_channels.clear()  # for who asks from now on
    simulation.client.publish()
    assert simulation.client.all_done() < AFTER_LOSS * CONNECT_TIMEOUT + 0.5
    assert confirmed(simulation)
    simulation.come_to_rest()


def test_attempts_to_connect_take_longer_while_they_have_no_answer() -> None:
    simulation = Simulation("a", prepare=lambda cluster, _: cluster.hang("a"))
    simulation.run(60.0)
    began = [at for at, _ in simulation.journal.opened]
    waits = [later - earlier for earlier, later in pairwise(began)]
    assert waits[0] == pytest.approx(CONNECT_TIMEOUT, abs=0.01)
    assert 2 * CONNECT_TIMEOUT <= waits[1] <= 3 * CONNECT_TIMEOUT
    assert max(waits) <= MOST_PATIENCE * CONNECT_TIMEOUT + 1.0
    assert len(began) < 8
    simulation.cluster.wake("a")
    simulation.client.become_live("a", limit=MOST_PATIENCE + 1.0)
    simulation.come_to_rest()


def test_a_member_that_is_well_again_is_not_kept_waiting_by_an_attempt_at_one_that_hangs() -> None:
    simulation = Simulation("ab", prepare=hang_one_and_hide_the_other)
    simulation.run(20.0)
    simulation.group.add("b")
    simulation.client.become_live("b", limit=0.1)
    simulation.cluster.wake("a")
    simulation.come_to_rest()


def test_declarations_that_are_not_answered_hold_nobody_up() -> None:
    simulation = Simulation().started("orders", "bills")
    simulation.cluster.silent_declarations |= {"orders", "bills"}
    simulation.cluster.kill("a")
    lost = simulation.client.publish(routing_key="nowhere")
    simulation.client.publish()
    simulation.until(lost.done, limit=3.0)
    simulation.client.all_done(3.0)
    simulation.cluster.answer_again()
    simulation.run(20.0)
    assert not simulation.client.engine._declarations.is_pending("orders")
    simulation.come_to_rest()


def test_a_declaration_of_a_user_is_asked_for_again_when_it_is_not_answered() -> None:
    simulation = Simulation().started()
    simulation.cluster.silent_declarations.add("bills")
    first = simulation.client.engine.declare(Queue("bills"), 30.0)
    second = simulation.client.engine.declare(Queue("letters"), 30.0)
    simulation.until(second.done, limit=2.0)
    assert not first.done()
    simulation.cluster.silent_declarations.clear()  # for who asks from now on
    simulation.until(first.done, limit=10.0)
    assert first.exception(0) is None
    simulation.come_to_rest()


@pytest.mark.parametrize("exclusive", [False, True])
def test_a_queue_that_the_broker_names_late_holds_up_no_other_declaration(exclusive: bool) -> None:
    simulation = Simulation().started()
    late = Queue("", exclusive=exclusive, auto_delete=not exclusive)
    simulation.cluster.silent_declarations.add(late.name)
    first = simulation.client.engine.declare(late, 30.0)
    second = simulation.client.engine.declare(Queue("letters", type="classic", exclusive=exclusive), 30.0)
    simulation.until(second.done, limit=2.0)
    assert second.exception(0) is None
    simulation.run(8.0)
    assert not first.done()
    simulation.cluster.answer_again()
    simulation.until(first.done, limit=1.0)
    assert first.exception(0) is None
    name = simulation.client.engine.topology.resolve(late.name)
    assert [known for known in simulation.cluster.queues if known.startswith("amq.gen")] == [name], (
        "one of it"
    )
    simulation.come_to_rest()


def test_a_queue_that_the_broker_does_not_name_ends_by_its_deadline() -> None:
    simulation = Simulation().started()
    queue = Queue("", exclusive=True)
    simulation.cluster.silent_declarations.add(queue.name)
    future = simulation.client.engine.declare(queue, 5.0)
    simulation.run(5.01)
    assert "no answer from the broker" in str(future.exception(0))
    simulation.cluster.answer_again()
    simulation.client.declare(Queue("", exclusive=True))
    simulation.come_to_rest()


@pytest.mark.parametrize("spread", ["leader", "members"])
def test_a_member_whose_znode_has_gone_is_left_at_once(spread: Spread) -> None:
    simulation = Simulation(spread=spread).started()
    simulation.client.publish()
    simulation.client.all_done()
    member = simulation.client.member
    assert member is not None
    simulation.cluster.hang(member)  # the host stands still
    futures = simulation.client.publish_some(3)
    simulation.run(1.0)
    if simulation.group.leader == member:
        simulation.group.leader = None
    simulation.group.remove(member)
    took = simulation.until(lambda: simulation.client.member != member, limit=0.1)
    assert took < 0.05
    simulation.cluster.kill(member)
    simulation.client.all_done()
    assert all(future.exception(0) is None for future in futures)
    simulation.come_to_rest()


def test_a_member_whose_agent_alone_has_gone_is_left_without_a_gap() -> None:
    simulation = Simulation(spread="members").started()
    member = simulation.client.member
    assert member is not None
    if simulation.group.leader == member:
        simulation.group.leader = None
    simulation.group.remove(member)
    for _ in range(50):
        future = simulation.client.publish()
        assert simulation.until(future.done) < 0.01
        simulation.run(0.01)
    assert simulation.client.member != member
    simulation.run(10.0)
    assert len(simulation.client.transport.open) == 1
    simulation.come_to_rest()


def test_a_member_that_has_gone_is_kept_while_no_other_can_be_reached() -> None:
    simulation = Simulation(spread="members").started()
    member = simulation.client.member
    assert member is not None
    others = [name for name in "abc" if name != member]
    simulation.cluster.kill(*others)
    if simulation.group.leader == member:
        simulation.group.leader = None
    simulation.group.remove(member)
    simulation.run(20.0)
    assert simulation.client.is_live_at(member)
    attempts = len(simulation.journal.opened)
    assert attempts < 80
    simulation.cluster.start(others[0])
    simulation.client.become_live(others[0], limit=3.0)
    simulation.come_to_rest()


def test_a_move_does_not_wait_for_a_channel_to_declare_over_that_never_opens() -> None:
    simulation = Simulation().started()
    switch = simulation.client.engine._switch
    simulation.group.lead("b")
    simulation.until(lambda: switch.is_moving)
    simulation.cluster.silent_channels.add("b")
    simulation.client.become_live("b", limit=2.0)
    simulation.published(3)
    simulation.cluster.answer_again()
    simulation.client.declare(Queue("later"), timeout=20.0)
    simulation.come_to_rest()


def test_what_comes_back_is_told_of_though_no_channel_to_declare_over_ever_opens() -> None:
    simulation = Simulation().started()
    simulation.cluster.kill("a")
    simulation.until(lambda: simulation.client.seen(Switched))
    simulation.cluster.silent_channels |= {"b", "c"}
    future = simulation.client.publish(routing_key="nowhere")
    simulation.until(future.done, limit=2.0)
    with pytest.raises(Unroutable):
        future.result(0)
    simulation.cluster.answer_again()
    simulation.come_to_rest()

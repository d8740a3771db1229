"""A client starts: where it connects to, and what keeps it from it."""

import threading

import pytest
from simulation.broker.cluster import BOOTING, CREDENTIALS, VIRTUAL_HOST, SimulatedCluster
from simulation.client import Simulation
from simulation.group import SimulatedGroup

from rabbitkeeper.client.amqp.transport import ConnectionLost
from rabbitkeeper.client.model.errors import NotAuthorized, RabbitKeeperError, Unroutable
from rabbitkeeper.client.model.events import ClientClosed, Connected
from rabbitkeeper.client.publish.future import Receipt
from rabbitkeeper.client.routing.failures import MOST_PAUSE
from rabbitkeeper.client.routing.switch import LEADERLESS_GRACE, Phase
from rabbitkeeper.coordinator.model.records import MemberStatus


def test_a_client_goes_to_the_leader_and_publishes() -> None:
    simulation = Simulation().started()
    assert simulation.client.is_live_at("a")
    future = simulation.client.publish()
    simulation.client.all_done()
    assert future.result() == Receipt(future.message_id, 1)
    assert simulation.stored() == [future.message_id]
    assert simulation.client.seen(Connected) == [Connected("a", "a:5672", 1)]
    simulation.come_to_rest()


def test_who_waits_for_a_client_to_be_live_sees_that_it_is() -> None:
    simulation = Simulation()
    seen: list[Phase] = []

    class Live(threading.Event):
        def set(self) -> None:
            seen.append(simulation.client.phase)
            super().set()

    simulation.client.engine.live = Live()
    simulation.client.become_live()
    assert seen == [Phase.LIVE]
    simulation.come_to_rest()


def test_a_group_without_a_leader_is_waited_for_a_while_then_any_member_is_taken() -> None:
    simulation = Simulation(leader=None)
    took = simulation.client.become_live()
    assert LEADERLESS_GRACE <= took < LEADERLESS_GRACE + 0.1
    simulation.come_to_rest()


def test_a_group_without_members_is_waited_for() -> None:
    simulation = Simulation("abc", leader=None, prepare=lambda _, group: group.remove("a", "b", "c"))
    simulation.run(60.0)
    assert simulation.client.phase is Phase.CONNECTING
    assert simulation.journal.opened == []
    assert simulation.client.engine.snapshot.error == "no broker is known"
    for name in "abc":
        simulation.group.add(name)
    simulation.group.lead("b")
    simulation.client.become_live("b")
    simulation.come_to_rest()


@pytest.mark.parametrize("fault", ["kill", "hang"])
def test_a_leader_that_cannot_be_reached_is_passed_over(fault: str) -> None:
    simulation = Simulation(prepare=lambda cluster, _: getattr(cluster, fault)("a"))
    took = simulation.client.become_live()
    assert simulation.client.member in ("b", "c")
    assert took < 1.2  # a hung one is found out by its silence, after a second
    simulation.come_to_rest()


def test_when_no_broker_can_be_reached_they_are_tried_again_with_pauses() -> None:
    simulation = Simulation(prepare=lambda cluster, _: cluster.kill("a", "b", "c"))
    simulation.run(30.0)
    attempts = len(simulation.journal.opened)
    assert 40 < attempts < 300  # each of three about twice a second, once the pauses have grown
    assert simulation.client.engine.snapshot.error is not None
    assert "connection refused" in simulation.client.engine.snapshot.error
    simulation.cluster.start("b")
    simulation.client.become_live("b", limit=3.0)
    simulation.come_to_rest()


@pytest.mark.parametrize("refusal", [CREDENTIALS, VIRTUAL_HOST])
def test_a_client_that_is_refused_ends_with_the_brokers_words(refusal: ConnectionLost) -> None:
    simulation = Simulation(
        prepare=lambda cluster, _: setattr(cluster.nodes["a"], "refusal", refusal),
    )
    future = simulation.client.publish()
    simulation.until(lambda: simulation.client.engine.failure)
    assert isinstance(simulation.client.engine.failure, NotAuthorized)
    assert refusal.why in str(simulation.client.engine.failure)
    assert simulation.client.engine.live.is_set()  # who waits for the start is woken
    simulation.client.run_to_the_end()
    assert isinstance(future.exception(0), RabbitKeeperError)
    (event,) = simulation.client.seen(ClientClosed)
    assert event.why is not None
    simulation.come_to_rest()


def test_a_wrong_password_is_refused_by_every_broker() -> None:
    simulation = Simulation(password="wrong")
    simulation.until(lambda: simulation.client.engine.failure)
    assert "user name or password" in str(simulation.client.engine.failure)
    simulation.client.run_to_the_end()
    simulation.come_to_rest()


def test_a_broker_that_is_still_booting_is_no_refusal() -> None:
    simulation = Simulation(prepare=lambda cluster, _: setattr(cluster.nodes["a"], "refusal", BOOTING))
    simulation.client.become_live()
    assert simulation.client.engine.failure is None
    simulation.come_to_rest()


def test_a_refusal_while_reconnecting_ends_nothing() -> None:
    simulation = Simulation().started()
    for name in "bc":
        simulation.cluster.nodes[name].refusal = CREDENTIALS
    simulation.cluster.kill("a")
    simulation.run(5.0)
    assert simulation.client.engine.failure is None
    assert simulation.client.phase is Phase.SWITCHING
    simulation.cluster.nodes["c"].refusal = None
    simulation.client.become_live("c", limit=MOST_PAUSE + 1.0)  # it is asked less and less often
    simulation.come_to_rest()


def test_members_that_take_nothing_are_not_tried() -> None:
    simulation = Simulation()
    simulation.client.become_live("a")
    simulation.group.says("b", MemberStatus.HUNG)
    simulation.group.says("c", MemberStatus.STARTING)
    simulation.cluster.kill("a")
    simulation.run(5.0)
    assert {node for _, node in simulation.journal.opened} == {"a"}
    simulation.come_to_rest()


def test_publishes_made_before_the_first_connection_go_out_then() -> None:
    simulation = Simulation(prepare=lambda cluster, _: cluster.kill("a", "b", "c"))
    futures = simulation.client.publish_some(3, routing_key="nowhere")
    simulation.run(1.0)
    assert simulation.journal.sent == []
    simulation.cluster.start("c")
    simulation.client.all_done()
    assert [type(future.exception(0)) for future in futures] == [Unroutable] * 3
    simulation.come_to_rest()


def test_a_broker_that_hangs_before_the_publish_channel_is_ready_is_passed_over() -> None:
    simulation = Simulation()
    simulation.until(lambda: any(one.is_open for one in simulation.client.transport.open))
    simulation.cluster.hang("a")
    simulation.client.become_live(limit=3.0)
    simulation.come_to_rest()


@pytest.mark.parametrize("status", [MemberStatus.HUNG, MemberStatus.STARTING, MemberStatus.RUNNING])
def test_a_client_that_finds_nobody_rests_between_its_attempts(status: MemberStatus) -> None:
    def nobody_is_there(cluster: SimulatedCluster, group: SimulatedGroup) -> None:
        cluster.kill("a", "b", "c")
        for name in "abc":
            group.says(name, status)

    simulation = Simulation(leader=None, prepare=nobody_is_there)
    simulation.run(20.0)
    assert simulation.time.calls < 500
    for name in "abc":
        simulation.cluster.start(name)
        simulation.group.says(name, MemberStatus.RUNNING)
    simulation.client.become_live(limit=1.1)
    simulation.come_to_rest()

"""The main job, end to end: three ZooKeepers, three brokers with agents, a producer and a consumer.

Nothing here asserts how fast something was; ``bench/`` measures that. What is asserted is that nothing
confirmed is lost, that every publish ends, that leaders follow one another by epoch and a former one does
nothing any more, and that everything comes back by itself.
"""

import time
from collections.abc import Iterator

import pytest
from support.demo.group import nothing_is_lost, reasons, state, the_history_agrees, whole
from support.waiting import wait_for
from support.zookeeper.session_thief import end_session

from rabbitkeeper.compose.demo.local_faults import (
    HANG_AGENT,
    HANG_BROKER,
    KILL_AGENT,
    KILL_BROKER,
    KILL_NODE,
    LocalStage,
)
from rabbitkeeper.compose.demo.local_traffic import LocalTraffic
from rabbitkeeper.compose.demo.observer import Observer
from rabbitkeeper.compose.demo.scenario import Fault, Scenario
from rabbitkeeper.compose.local import Local
from rabbitkeeper.coordinator.model.records import MemberStatus

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq, pytest.mark.timeout(600)]

OUTAGE = 60.0  # seconds without ZooKeeper; ten times the session timeout


@pytest.fixture(scope="module")
def local() -> Iterator[Local]:
    with Local(zookeepers=3, members=3, group="main-job") as local:
        local.wait_ready(180)
        yield local


@pytest.fixture(scope="module")
def observer(local: Local) -> Iterator[Observer]:
    observer = Observer(local.zookeeper_hosts, local.group, local.members)
    observer.start()
    yield observer
    observer.stop()


@pytest.fixture
def load(local: Local) -> Iterator[LocalTraffic]:
    load = LocalTraffic(local.zookeeper_hosts, local.group, local.credentials)
    load.start()
    yield load
    load.close()


@pytest.mark.parametrize(
    "fault", [KILL_BROKER, KILL_NODE, HANG_BROKER, KILL_AGENT, HANG_AGENT], ids=lambda fault: fault.name
)
def test_the_leader_is_broken_and_its_clients_go_on(
    local: Local, observer: Observer, load: LocalTraffic, fault: Fault[LocalStage]
) -> None:
    said: list[str] = []
    led = whole(observer)
    brokers = {name: local.broker_pid(name) for name in local.members}
    scenario = Scenario(LocalStage(local), load, observer, said.append)
    (result,) = scenario.run([fault])
    assert (result.role, result.target) == ("leader", led.member)
    assert result.whole is not None, said
    new = [seen for seen in observer.leaders if seen.epoch > led.epoch]
    assert new, "a new leader was announced"
    assert new[0].member != led.member
    if fault in (KILL_AGENT, HANG_AGENT):
        # One that is back deletes no other's znode: the new lead would have ended and have been taken again.
        assert len(new) == 1, new
        assert {name: local.broker_pid(name) for name in local.members} == brokers, "a broker was restarted"
    the_history_agrees(local, observer)
    nothing_is_lost(load)


@pytest.mark.parametrize(
    ("alarm", "clear"),
    [
        (("set_vm_memory_high_watermark", "0.00001"), ("set_vm_memory_high_watermark", "absolute", "512MiB")),
        (("set_disk_free_limit", "900000GB"), ("set_disk_free_limit", "50MB")),
    ],
    ids=["memory", "disk"],
)
def test_an_alarm_is_reported_and_moves_nobody(
    local: Local, observer: Observer, load: LocalTraffic, alarm: tuple[str, ...], clear: tuple[str, ...]
) -> None:
    """It blocks publishers on every node, so there is nowhere to move to; what they sent waits."""
    led = whole(observer)
    ctl = local.ctl(led.member)
    ctl._run(*alarm)
    try:
        wait_for(lambda: state(observer, led.member) is MemberStatus.ALARMED, "the alarm is reported")
        assert "low on" in reasons(observer, led.member)
        time.sleep(2)
    finally:
        ctl._run(*clear)
    cleared = time.monotonic()
    wait_for(lambda: load.last_confirm() > cleared, "publishing goes on")
    assert whole(observer) == led
    nothing_is_lost(load)


def test_a_session_that_is_ended_by_force_is_followed_by_a_clean_election(
    local: Local, observer: Observer, load: LocalTraffic
) -> None:
    led = whole(observer)
    view = observer.view
    assert view is not None
    assert view.leader is not None
    brokers = {name: local.broker_pid(name) for name in local.members}
    end_session(local.zookeeper_hosts, view.leader.owner)
    wait_for(lambda: observer.leaders[-1].epoch > led.epoch, "the lead is taken again")
    whole(observer)
    now = observer.view
    assert now is not None
    assert now.members[led.member].owner != view.leader.owner
    assert {name: local.broker_pid(name) for name in local.members} == brokers, "a broker was restarted"
    the_history_agrees(local, observer)
    nothing_is_lost(load)


def test_one_zookeeper_of_three_is_killed_and_nothing_changes(
    local: Local, observer: Observer, load: LocalTraffic
) -> None:
    led = whole(observer)
    for number in range(3):  # one of them leads the ensemble
        local.kill_zookeeper(number)
        time.sleep(2)
        local.start_zookeeper(number)
    time.sleep(6)  # a session that was lost would have ended by now
    assert whole(observer) == led, "the lead has moved without a cause"
    nothing_is_lost(load)


def test_zookeepers_majority_is_away_for_a_minute_and_nothing_changes(
    local: Local, observer: Observer, load: LocalTraffic
) -> None:
    led = whole(observer)
    brokers = {name: local.broker_pid(name) for name in local.members}
    for number in (0, 1):
        local.kill_zookeeper(number)
    end = time.monotonic() + OUTAGE
    while time.monotonic() < end:
        started = time.monotonic()
        wait_for(lambda: load.last_confirm() > started, "publishing goes on without ZooKeeper", 10)  # noqa: B023
        time.sleep(1)
    local.zookeeper.start([0, 1])
    wait_for(lambda: observer.view is not None and observer.view.read_at > end, "the group is read again")
    whole(observer)
    time.sleep(3)  # a late change of the lead would come now, after the old sessions' end
    assert observer.leaders[-1].member == led.member, "the lead has moved without a cause"
    assert {name: local.broker_pid(name) for name in local.members} == brokers, "a broker was restarted"
    the_history_agrees(local, observer)
    nothing_is_lost(load)

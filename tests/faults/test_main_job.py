"""The main job, end to end: real ZooKeeper, three real brokers with real agents, a producer and a consumer.

Nothing here asserts how fast something was; ``bench/`` measures that. What is asserted is that nothing
confirmed is lost, that every publish ends, and that everything comes back by itself.
"""

import time
from collections.abc import Callable, Iterator

import pytest

from rabbitkeeper.compose.demo.load import Load
from rabbitkeeper.compose.demo.local_faults import HANG_BROKER, KILL_BROKER, KILL_NODE, LocalStage
from rabbitkeeper.compose.demo.observer import Observer
from rabbitkeeper.compose.demo.scenario import Fault, Scenario
from rabbitkeeper.compose.local import Local

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq, pytest.mark.timeout(600)]

OUTAGE = 60.0  # seconds without ZooKeeper; ten times the session timeout


@pytest.fixture(scope="module")
def local() -> Iterator[Local]:
    with Local(zookeepers=1, members=3, group="main-job") as local:
        local.wait_ready(180)
        yield local


@pytest.fixture(scope="module")
def observer(local: Local) -> Iterator[Observer]:
    observer = Observer(local.zookeeper_hosts, local.group, local.members)
    observer.start()
    yield observer
    observer.stop()


@pytest.fixture
def load(local: Local) -> Iterator[Load]:
    load = Load(local.zookeeper_hosts, local.group, local.credentials)
    load.start()
    yield load
    load.close()


def wait_for(condition: Callable[[], bool], what: str, timeout: float = 60.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not in {timeout} s: {what}"
        time.sleep(0.02)


def nothing_is_lost(load: Load) -> None:
    assert load.finish(60) == frozenset()
    load.check()
    totals = load.totals()
    assert load.failures == ()
    assert totals.confirmed == totals.published == totals.delivered


@pytest.mark.parametrize("fault", [KILL_BROKER, KILL_NODE, HANG_BROKER], ids=lambda fault: fault.name)
def test_the_leader_is_broken_and_its_clients_go_on(
    local: Local, observer: Observer, load: Load, fault: Fault[LocalStage]
) -> None:
    said: list[str] = []
    wait_for(observer.is_whole, "the group is whole")
    led = observer.leader
    epochs = len(observer.leaders)
    scenario = Scenario(LocalStage(local), load, observer, said.append)
    (result,) = scenario.run([fault])
    assert (result.role, result.target) == ("leader", led)
    assert result.whole is not None, said
    new = observer.leaders[epochs:]
    assert new, "a new leader was announced"
    assert new[0].member != led
    assert [seen.epoch for seen in observer.leaders] == sorted({seen.epoch for seen in observer.leaders})
    nothing_is_lost(load)


def test_an_outage_of_zookeeper_changes_nothing(local: Local, observer: Observer, load: Load) -> None:
    wait_for(observer.is_whole, "the group is whole")
    before = observer.leaders[-1]
    brokers = {name: local.broker_pid(name) for name in local.members}
    local.stop_zookeeper()
    end = time.monotonic() + OUTAGE
    while time.monotonic() < end:
        started = time.monotonic()
        wait_for(lambda: load.last_confirm() > started, "publishing goes on without ZooKeeper", 10)  # noqa: B023
        time.sleep(1)
    local.start_zookeeper()
    wait_for(lambda: observer.view is not None and observer.view.read_at > end, "the group is read again")
    wait_for(observer.is_whole, "all agents are registered again", 30)
    time.sleep(3)  # a late change of the lead would come now, after the old sessions' end
    assert observer.leaders[-1] == before, "the lead has moved without a cause"
    assert {name: local.broker_pid(name) for name in local.members} == brokers, "a broker was restarted"
    nothing_is_lost(load)

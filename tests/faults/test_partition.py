"""A node that is cut off: three members, each in a network of its own, a producer and a consumer."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from support.demo.group import nothing_is_lost, the_history_agrees, whole

from rabbitkeeper.compose.demo.local_faults import CUT_FROM_ZOOKEEPER, CUT_NODE, LocalStage
from rabbitkeeper.compose.demo.local_traffic import LocalTraffic
from rabbitkeeper.compose.demo.observer import Observer
from rabbitkeeper.compose.demo.scenario import Fault, Scenario
from rabbitkeeper.compose.local import Local, network

# From 3.12 on RabbitMQ first tries to reach each node that is gone, 7 s each, and pauses then. One that is
# connected again before that does not pause at all, and is left split.
CUT_UNTIL_IT_PAUSES = replace(CUT_NODE, absence=30.0)
DID_NOT_PAUSE = "inconsistent_database"  # Mnesia's word, in the broker's log

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def local() -> Iterator[Local]:
    reason = network.why_not()
    if reason is not None:
        pytest.skip(reason)
    with Local(zookeepers=1, members=3, group="partition", networks=True) as local:
        local.wait_ready(180)
        yield local


def did_not_pause(local: Local, member: str) -> bool:
    return any(DID_NOT_PAUSE in log.read_text() for log in local.logs(member).glob("rabbit*@*.log"))


@pytest.mark.parametrize("fault", [CUT_UNTIL_IT_PAUSES, CUT_FROM_ZOOKEEPER], ids=lambda fault: fault.name)
def test_the_leader_is_cut_off_and_its_clients_go_on(local: Local, fault: Fault[LocalStage]) -> None:
    observer = Observer(local.zookeeper_hosts, local.group, local.members)
    observer.start()
    load = LocalTraffic(local.zookeeper_hosts, local.group, local.credentials)
    load.start()
    said: list[str] = []
    try:
        led = whole(observer)
        brokers = {name: local.broker_pid(name) for name in local.members}
        (result,) = Scenario(LocalStage(local), load, observer, said.append).run([fault])
        assert (result.role, result.target) == ("leader", led.member)
        assert result.whole is not None, said
        assert result.gap < fault.absence, "clients went on before the cut was healed"
        new = [seen for seen in observer.leaders if seen.epoch > led.epoch]
        assert new
        assert led.member not in {seen.member for seen in new}
        ended = {name for name, pid in brokers.items() if local.broker_pid(name) != pid}
        if did_not_pause(local, led.member):
            ended.discard(led.member)  # was to be started again
        assert not ended, "no process was ended that had paused, or was not cut off"
        for name in local.members:
            status = local.ctl(name).cluster_status()
            assert status.partitions == frozenset()
            assert len(status.running) == 3
        dropped = "and the broker has dropped it"
        logs = {name: (local.logs(name) / "agent.log").read_text() for name in local.members}
        if fault is CUT_UNTIL_IT_PAUSES:
            assert all(dropped in log for log in logs.values())
        else:
            assert "still answers the broker, and is left alone" in logs[led.member]
        the_history_agrees(local, observer)
        nothing_is_lost(load)
    finally:
        load.close()
        observer.stop()

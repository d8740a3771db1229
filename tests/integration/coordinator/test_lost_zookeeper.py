"""A real group under load whose ZooKeeper loses all its data: it goes on, and nothing confirmed is lost."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from support.group_watch import Watch, leader_of, states
from support.waiting import wait_for

from rabbitkeeper.client import Client, Queue
from rabbitkeeper.compose.local import Local
from rabbitkeeper.coordinator.model.records import MemberStatus
from rabbitkeeper.coordinator.model.view import GroupView

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq, pytest.mark.timeout(300)]

MEMBERS = ("node1", "node2", "node3")
RUNNING = dict.fromkeys(MEMBERS, MemberStatus.RUNNING)
GROUP = "lost"


@pytest.fixture
def local() -> Iterator[Local]:
    with Local(zookeepers=1, members=3, group=GROUP) as local:
        local.wait_ready(180)
        yield local


def is_whole(view: GroupView) -> bool:
    recorded = view.cluster is not None and len(view.cluster.record.nodes) == len(MEMBERS)
    return states(view) == RUNNING and view.leader is not None and recorded


class Producer:
    """Publishes one message after the other until it is stopped; keeps what was confirmed."""

    def __init__(self, client: Client) -> None:
        self.confirmed: list[bytes] = []
        self._client = client
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        number = 0
        while not self._stopped.is_set():
            body = b"%d" % number
            self._client.publish("", "kept", body, timeout=60.0)
            self.confirmed.append(body)
            number += 1

    def grows(self) -> None:
        """A publish after this moment is confirmed."""
        before = len(self.confirmed)
        wait_for(lambda: len(self.confirmed) > before + 1, "publishes are confirmed")

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(90)


def test_a_group_goes_on_when_zookeeper_loses_its_data(
    local: Local, record_property: Callable[[str, object], None]
) -> None:
    with closing(Watch(local.zookeeper_hosts, local.group)) as watch:
        record_property("whole_again_after", goes_on(local, watch))


def goes_on(local: Local, watch: Watch) -> float:
    """Seconds from ZooKeeper's return until the group is whole."""
    first, _ = watch.until(is_whole, "all three run, are recorded, and one leads", 90)
    pids = {name: local.broker_pid(name) for name in MEMBERS}
    with Client(local.zookeeper_hosts, GROUP, local.credentials) as client:
        client.declare(Queue("kept"))
        producer = Producer(client)
        try:
            producer.grows()
            local.zookeeper.wipe(0)
            producer.grows()
            local.start_zookeeper()
            again, took = watch.until(
                lambda view: is_whole(view) and view.incarnation > first.incarnation,
                "the group is whole again",
                120,
            )
            assert {name: local.broker_pid(name) for name in MEMBERS} == pids, "no broker was restarted"
            wait_for(lambda: client.status().zookeeper and client.status().leader == leader_of(again))
            producer.grows()
            led = leader_of(again)
            assert led is not None
            local.kill_broker(led)
            watch.until(lambda view: is_whole(view) and leader_of(view) != led, "another leads", 120)
            wait_for(lambda: client.status().leader not in (None, led), "the client follows")
            producer.grows()
        finally:
            producer.stop()
        confirmed = list(producer.confirmed)
        assert len(confirmed) > 10
        missing = set(confirmed)
        with client.consume("kept", prefetch=1000) as consumer:
            while missing:
                message = consumer.get(20)
                assert message is not None, f"{len(missing)} of {len(confirmed)} confirmed messages are lost"
                missing.discard(message.body)
                message.ack()
    return took

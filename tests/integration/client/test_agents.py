"""A client that asks the agents instead of ZooKeeper, on a real group: it sees the same and loses nothing."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future

import pytest
from support.waiting import PATIENCE, wait_for

from rabbitkeeper.client import Client, Queue, Receipt
from rabbitkeeper.client.events import AgentsBack, AgentsLost, Event
from rabbitkeeper.compose.local import Local

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq]

LONG = 180.0  # seconds; a broker boots within them, also on a busy machine


@pytest.fixture(scope="module")
def local() -> Iterator[Local]:
    with Local(zookeepers=1, members=3, api=True) as local:
        local.wait_ready(LONG)
        yield local


class Steady:
    """Publishes all the time, to a queue of its own."""

    def __init__(self, client: Client, queue: str) -> None:
        self._client = client
        self._queue = queue
        client.declare(Queue(queue))
        self.futures: list[Future[Receipt]] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Publish no more; every message is confirmed."""
        self._stopping.set()
        self._thread.join()
        for future in self.futures:
            future.result(PATIENCE)

    def _run(self) -> None:
        while not self._stopping.wait(0.01):
            self.futures.append(self._client.publish_nowait("", self._queue, b"x", timeout=120.0))


def by_agents(local: Local) -> Client:
    agents = [local.api(name) for name in local.members]
    return Client(agents=agents, group=local.group, credentials=local.credentials, timeout=PATIENCE)


def test_it_follows_the_lead_like_a_client_of_zookeeper(local: Local) -> None:
    other = Client(local.zookeeper_hosts, local.group, local.credentials, timeout=PATIENCE)
    with by_agents(local) as client, other:
        assert client.status().zookeeper
        steady = Steady(client, "by-agents")
        leader = client.leader.member
        assert other.leader == client.leader
        local.kill_broker(leader)
        wait_for(lambda: _leader(client) not in (None, leader), "another leads", LONG)
        wait_for(lambda: _leader(other) == _leader(client), "both see the same leader", LONG)
        assert other.status().epoch == client.status().epoch
        wait_for(lambda: client.status().member == _leader(client), "the client is there", LONG)
        steady.stop()
    local.wait_ready(LONG)


def test_it_leaves_a_broker_that_hangs_at_the_agents_word(local: Local) -> None:
    with by_agents(local) as client:
        steady = Steady(client, "by-agents")
        wait_for(lambda: client.status().member == _leader(client), "it is where the leader is", LONG)
        leader = client.leader.member
        local.stop_broker(leader)
        wait_for(lambda: client.status().member not in (None, leader), "the client has left", LONG)
        wait_for(lambda: _leader(client) not in (None, leader), "another leads", LONG)
        steady.stop()
    local.wait_ready(LONG)


def test_without_any_agent_it_goes_on_and_fails_over_by_what_it_knew(local: Local) -> None:
    events: list[Event] = []
    with by_agents(local) as client:
        client.on_event(events.append)
        steady = Steady(client, "by-agents")
        for name in local.members:
            local.kill_agent(name)
        wait_for(lambda: any(isinstance(event, AgentsLost) for event in events), "no agent is there", LONG)
        assert not client.status().zookeeper
        at = client.status().member
        assert at is not None
        local.kill_broker(at)
        wait_for(lambda: client.status().member not in (None, at), "it has gone elsewhere", LONG)
        for name in local.members:
            local.start_agent(name)
        wait_for(lambda: any(isinstance(event, AgentsBack) for event in events), "agents are back", LONG)
        wait_for(lambda: client.status().zookeeper, "one is asked again", LONG)
        steady.stop()
    local.wait_ready(LONG)


def _leader(client: Client) -> str | None:
    return client.status().leader

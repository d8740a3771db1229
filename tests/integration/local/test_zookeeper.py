"""ZooKeeper servers as child processes."""

import pytest
from kazoo.client import KazooClient

from rabbitkeeper.compose.local import Local

pytestmark = pytest.mark.zookeeper


def connected(hosts: str) -> KazooClient:
    client = KazooClient(hosts, timeout=5.0)
    client.start(10)
    return client


def test_the_shared_server_serves(zookeeper: str) -> None:
    client = connected(zookeeper)
    client.create("/test-zookeeper", b"here", ephemeral=True)
    assert client.get("/test-zookeeper")[0] == b"here"
    client.stop()
    client.close()


def test_an_ensemble_outlives_the_kill_of_one_and_keeps_its_data() -> None:
    with Local(zookeepers=3, members=0) as local:
        client = connected(local.zookeeper_hosts)
        client.create("/kept", b"yes")
        local.kill_zookeeper(2)
        assert client.retry(client.get, "/kept")[0] == b"yes"
        client.stop()
        client.close()
        local.start_zookeeper(2)
        only = connected(local.zookeeper.address(2))
        only.sync("/kept")
        assert only.get("/kept")[0] == b"yes"
        only.stop()
        only.close()

"""A real RabbitMQ cluster and a real ZooKeeper, with the group's znodes written by the test.

The client is tested against the protocol alone here, so that a test can say at any moment who leads; agents
that do that by themselves are in the tests of the whole.
"""

from collections.abc import Iterator

import pytest
from support.announcer import Announcer

from rabbitkeeper.client import Client
from rabbitkeeper.compose.local import Local


@pytest.fixture(scope="package")
def announcer() -> Iterator[Announcer]:
    with Local(zookeepers=1, members=3, agents=False) as local:
        announcer = Announcer(local)
        yield announcer
        announcer.session.close()


@pytest.fixture
def client(announcer: Announcer) -> Iterator[Client]:
    with announcer.client() as client:
        yield client

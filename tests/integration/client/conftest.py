"""A real RabbitMQ cluster and a real ZooKeeper, with the group's znodes written by the test.

The client is tested against the protocol alone here, so that a test can say at any moment who leads; agents
that do that by themselves are in the tests of the whole.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.announcer import Announcer

from rabbitkeeper.client import Client
from rabbitkeeper.compose.local import Local

CERTIFICATES = Path(__file__).parents[3] / "examples" / "tls" / "make-certificates"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority, and a certificate for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("certificates")
    subprocess.run([CERTIFICATES, folder, "127.0.0.1"], check=True)
    return folder


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

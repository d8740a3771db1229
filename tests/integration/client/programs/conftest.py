"""Programs of ``examples/`` on the announced group, and the lead that moves under them."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from support.announcer import GROUP, Announcer
from support.client.programs import EXAMPLES, Program, Run, running


@pytest.fixture
def run(announcer: Announcer, tmp_path: Path) -> Run:
    """Starts one, and gives it in its environment all that says where the group is."""
    user, password = announcer.local.credentials
    zookeeper = announcer.local.zookeeper_hosts
    environment = {
        "RABBITKEEPER_ZOOKEEPER": zookeeper,
        "RABBITKEEPER_GROUP": GROUP,
        "RABBITKEEPER_USER": user,
        "RABBITKEEPER_PASSWORD": password,
        "RABBITKEEPER_URL": f"rabbitkeeper://{user}:{password}@{zookeeper}/{GROUP}",
        "AMQP_URLS": ",".join(
            f"amqp://{user}:{password}@{announcer.address(name)}/%2F" for name in announcer.members
        ),
    }

    def run(*command: str, folder: str = "recipes") -> AbstractContextManager[Program]:
        output = tmp_path / f"{' '.join(command)}.txt"
        return running([sys.executable, *command], output, environment, EXAMPLES / folder)

    return run


@pytest.fixture
def moved(announcer: Announcer) -> Iterator[Callable[[], None]]:
    """Call it: the leader ends all its connections, and another leads. Afterwards all is as before."""

    def moved() -> None:
        announcer.close_connections("node1")
        announcer.lead("node2")

    yield moved
    announcer.lead("node1")

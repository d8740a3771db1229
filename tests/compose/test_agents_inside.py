"""The other variant: each agent in its broker's container, which it runs as its child."""

from collections.abc import Iterator

import pytest
from support.demo.containers import Running, running

from rabbitkeeper.compose.containers.stage import AGENT_KILLED, BROKER_KILLED, BROKER_PAUSED

pytestmark = pytest.mark.timeout(900)  # the first test has the images built, if they are not there


@pytest.fixture(scope="module")
def demo(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running("inside", tmp_path_factory.mktemp("inside")) as demo:
        yield demo


def test_each_fault_ends_with_the_group_whole_and_nothing_lost(demo: Running) -> None:
    results = demo.strike(BROKER_KILLED, BROKER_PAUSED, AGENT_KILLED)
    assert all(result.new_leader is not None for result in results)
    assert demo.not_delivered() == ""
    assert demo.traffic.failures == ()


def test_no_container_can_write_to_its_own_files(demo: Running) -> None:
    for container in demo.project.containers().values():
        assert container.attrs["HostConfig"]["ReadonlyRootfs"], container.name


def test_an_agents_container_has_no_part_of_the_engines_socket(demo: Running) -> None:
    for container in demo.project.containers().values():
        assert not [mount for mount in container.attrs["Mounts"] if "docker" in mount["Destination"]]

"""What is left of the demo when it is taken down. The engine is a stand-in that answers as one of 20.10."""

from dataclasses import dataclass, field
from typing import Any

import docker.errors
import pytest

from rabbitkeeper.compose.containers import project
from rabbitkeeper.compose.containers.project import Project


class Refusal(docker.errors.APIError):  # type: ignore[misc]
    def __init__(self, status: int) -> None:
        super().__init__("has active endpoints")
        self.status = status

    @property
    def status_code(self) -> int:
        return self.status


@dataclass
class Network:
    refusals: list[int]
    attrs: dict[str, Any] = field(default_factory=lambda: {"Containers": {}})
    removed: bool = False

    def remove(self) -> None:
        if self.refusals:
            raise Refusal(self.refusals.pop(0))
        self.removed = True

    def reload(self) -> None:
        """Nothing is new."""


@dataclass
class Kind:
    found: list[Any]

    def list(self, **_: object) -> list[Any]:
        return self.found


@dataclass
class Engine:
    networks: Kind
    containers: Kind = field(default_factory=lambda: Kind([]))
    volumes: Kind = field(default_factory=lambda: Kind([]))


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project, "_DETACHED", 0.5)


def test_a_network_is_removed_when_the_engine_has_taken_the_last_container_off_it() -> None:
    network = Network([403])
    Project("rabbitkeeper-test", client=Engine(Kind([network]))).down()
    assert network.removed


def test_a_network_on_which_a_container_is_counted_for_ever_is_left_and_is_no_demo() -> None:
    network = Network([403] * 100)
    demo = Project("rabbitkeeper-test", client=Engine(Kind([network])))
    demo.down()
    assert not demo.exists()


@pytest.mark.parametrize(
    "network",
    [Network([500]), Network([403] * 100, {"Containers": {"1f2e": {"Name": "of-somebody"}}})],
    ids=["another refusal", "somebody's container is on it"],
)
def test_what_else_is_in_the_way_is_told(network: Network) -> None:
    with pytest.raises(docker.errors.APIError):
        Project("rabbitkeeper-test", client=Engine(Kind([network]))).down()

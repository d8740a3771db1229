"""ZooKeeper keeps what every backend must."""

import time
from collections.abc import Callable

import pytest
from support.waiting import wait_for
from support.zookeeper.backend_contract import BackendContract, Lab

from rabbitkeeper.coordinator.backend.interface import Backend

pytestmark = pytest.mark.zookeeper

TIMEOUT = 2.0  # seconds, of a session


def _nobody() -> None:
    """Nobody is to be woken."""


class ZooKeeperLab:
    """The shared ZooKeeper."""

    def __init__(self, connect: Callable[..., Backend], root: str) -> None:
        self._connect = connect
        self.root = root
        self.connect().ensure_path(root)

    def connect(self, wake: Callable[[], None] = _nobody) -> Backend:
        return self._connect(timeout=TIMEOUT, wake=wake)

    def now(self) -> float:
        return time.monotonic()

    def until(
        self, condition: Callable[[], object], tick: Callable[[], object] = _nobody, timeout: float = 20.0
    ) -> None:
        wait_for(condition, timeout=timeout, tick=tick)


@pytest.fixture
def lab(connect: Callable[..., Backend], group: str) -> Lab:
    return ZooKeeperLab(connect, f"/test/{group}")


class TestZooKeeperBackend(BackendContract):
    pass

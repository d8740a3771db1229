"""The simulated backend keeps what every backend must: what is tested on it can be trusted."""

from collections.abc import Callable

import pytest
from simulation.backend import STEP, SimulatedBackend
from simulation.world import World
from simulation.zookeeper import SimulatedZooKeeper
from support.zookeeper.backend_contract import BackendContract, Lab

from rabbitkeeper.coordinator.backend.interface import Backend

TIMEOUT = 6.0  # seconds, of a session


def _nobody() -> None:
    """Nobody is to be woken."""


class SimulatedLab:
    """A ZooKeeper in virtual time, one of whose servers does not lag behind the others."""

    root = "/test"

    def __init__(self) -> None:
        self._world = World(1)
        self._zookeeper = SimulatedZooKeeper(self._world)
        self._zookeeper.lags = (0.0,)
        self.connect().ensure_path(self.root)

    def connect(self, wake: Callable[[], None] = _nobody) -> Backend:
        backend = SimulatedBackend(self._zookeeper, TIMEOUT, wake)
        backend.start()
        return backend

    def now(self) -> float:
        return self._world.now

    def until(
        self, condition: Callable[[], object], tick: Callable[[], object] = _nobody, timeout: float = 20.0
    ) -> None:
        deadline = self._world.now + timeout
        while not condition():
            assert self._world.now < deadline, f"not within {timeout:g} s"
            tick()
            self._world.advance(self._world.now + STEP)


@pytest.fixture
def lab() -> Lab:
    return SimulatedLab()


class TestSimulatedBackend(BackendContract):
    pass

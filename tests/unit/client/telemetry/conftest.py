"""A simulated client, and what OpenTelemetry's SDK was given of it."""

from collections.abc import Iterator

import pytest
from simulation.client import Simulation
from support.client.recorded_telemetry import Recorded


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


@pytest.fixture
def simulation(recorded: Recorded) -> Iterator[Simulation]:
    simulation = Simulation(telemetry=[recorded.telemetry]).started()
    yield simulation
    simulation.come_to_rest()

"""Without telemetry nothing of it runs and no library is imported; what is none is refused."""

import subprocess
import sys
from typing import Any

import pytest
from simulation.client import Simulation

from rabbitkeeper.client import Client, InvalidArgument
from rabbitkeeper.client.consume.consumer import Consumer
from rabbitkeeper.client.consuming import Consuming
from rabbitkeeper.client.guard import Guard
from rabbitkeeper.client.publish.future import Futures
from rabbitkeeper.client.publishing import Publishing
from rabbitkeeper.client.telemetry.observer import ClientObserver, Telemetry, Tracer


class Of:
    """Telemetry that makes observers of one kind."""

    def __init__(self, kind: type[ClientObserver]) -> None:
        self._kind = kind

    def observer(self, group: str, name: str) -> ClientObserver:
        return self._kind()


def test_nothing_is_imported_for_a_client_without_it() -> None:
    code = (
        "import sys; import rabbitkeeper.client, rabbitkeeper.client.telemetry.observed; "
        "print([n for n in sys.modules if n.split('.')[0] in ('opentelemetry', 'prometheus_client')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_halves_are_the_plain_ones() -> None:
    simulation = Simulation().started()
    client = simulation.client
    assert type(client.publishing) is Publishing
    assert type(client.publishing.futures) is Futures
    half = client.observed.consuming(client.engine, Guard(client.engine), emit=client.emit, name="x")
    assert type(half) is Consuming
    assert type(half.consume("orders", 10, 0)) is Consumer
    simulation.come_to_rest()


def test_an_observer_that_does_nothing_changes_nothing() -> None:
    telemetry: Telemetry = Of(ClientObserver)
    simulation = Simulation(telemetry=[telemetry]).started()
    ids = simulation.published(20)
    assert simulation.stored() == ids
    simulation.come_to_rest()


@pytest.mark.parametrize("given", [3, [3], ["opentelemetry"], [Of(Tracer), Of(Tracer)], [Of(object)]])  # type: ignore[arg-type]
def test_what_is_no_telemetry_is_refused_before_anything_is_touched(given: Any) -> None:
    with pytest.raises(InvalidArgument, match="telemetry"):
        Client("zk.invalid:1", "orders", ("app", "secret"), telemetry=given)

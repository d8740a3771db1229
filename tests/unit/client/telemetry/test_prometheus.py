"""What Prometheus reads of a simulated client, with the real library."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from simulation.client import Simulation

from rabbitkeeper.client.model.events import ClientClosed
from rabbitkeeper.client.telemetry.prometheus import Prometheus

LABELS = {"group": "orders", "client": "simulated"}


class Scene:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.prometheus = Prometheus(self.registry)
        self.simulation = Simulation(telemetry=[self.prometheus]).started()

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"rabbitkeeper_client_{name}", {**LABELS, **labels})


def test_outcomes_and_what_is_under_way() -> None:
    scene = Scene()
    simulation = scene.simulation
    simulation.published(5)
    simulation.client.publish(routing_key="nowhere")
    simulation.client.all_done()
    assert scene.value("published_messages_total", outcome="confirmed") == 5
    assert scene.value("published_messages_total", outcome="unroutable") == 1
    simulation.cluster.hold_confirms()
    simulation.client.publish_some(3)
    simulation.run(0.1)
    assert scene.value("unconfirmed_messages") == 3
    simulation.cluster.release_confirms()
    simulation.client.all_done()
    assert scene.value("unconfirmed_messages") == 0
    assert scene.value("connected_clients") == scene.value("clients") == 1
    simulation.come_to_rest()


def test_a_failover_is_a_gap_and_messages_sent_again() -> None:
    scene = Scene()
    simulation = scene.simulation
    futures = simulation.client.publish_some(100)
    simulation.run(0.0022)
    simulation.cluster.kill("a")
    simulation.client.all_done()
    again = sum(future.result().attempts - 1 for future in futures)
    assert scene.value("republished_messages_total") == again > 0
    assert scene.value("switches_total", planned="no") == 1
    assert scene.value("switch_gap_seconds_count") == 1
    gap = scene.value("switch_gap_seconds_sum")
    assert gap is not None
    assert 0 < gap < 0.1
    assert scene.value("switch_gap_seconds_bucket", le="0.1") == 1
    simulation.come_to_rest()


def test_time_for_which_it_is_blocked_counts_while_it_lasts() -> None:
    scene = Scene()
    scene.simulation.cluster.raise_alarm()
    scene.simulation.client.publish()  # brokers block those who publish
    scene.simulation.until(lambda: scene.value("blocked") == 1)
    during = scene.value("blocked_seconds_total")
    scene.simulation.cluster.clear_alarm()
    scene.simulation.run(0.5)
    after = scene.value("blocked_seconds_total")
    assert scene.value("blocked") == 0
    assert during is not None
    assert after is not None
    assert 0 < during <= after == scene.value("blocked_seconds_total")
    scene.simulation.come_to_rest()


def test_clients_of_one_name_are_added_up_and_totals_outlive_them() -> None:
    scene = Scene()
    scene.simulation.published(2)
    other = Simulation(telemetry=[scene.prometheus]).started()
    other.published(3)
    assert scene.value("clients") == 2
    assert scene.value("published_messages_total", outcome="confirmed") == 5
    other.client.emit(ClientClosed(None))
    other.come_to_rest()
    assert scene.value("clients") == 1
    assert scene.value("published_messages_total", outcome="confirmed") == 5
    scene.simulation.come_to_rest()


def test_it_is_registered_once_and_exposed_as_text() -> None:
    registry = CollectorRegistry()
    Prometheus(registry)
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        Prometheus(registry)
    text = generate_latest(registry).decode()
    assert "# TYPE rabbitkeeper_client_switch_gap_seconds histogram" in text

"""What a caller passes is refused at the call, by name, before anything is made or handed over."""

from typing import Any

import pytest
from simulation.client import Simulation

from rabbitkeeper.client.client import Client
from rabbitkeeper.client.consume.consumer import Consumer
from rabbitkeeper.client.consuming import Consuming
from rabbitkeeper.client.guard import Guard
from rabbitkeeper.client.model.checks import TIMEOUT_MAX
from rabbitkeeper.client.model.errors import InvalidArgument
from rabbitkeeper.coordinator.model.errors import ConfigurationError


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("virtual_host", None),
        ("virtual_host", "v" * 256),
        ("virtual_host", "\ud800"),
        ("session_timeout", "6"),
        ("session_timeout", None),
        ("session_timeout", 0),
        ("connect_timeout", 0),
        ("connect_timeout", "1"),
        ("shared", 1),
        ("heartbeat", -1),
        ("heartbeat", 2.5),
        ("heartbeat", 65536),
        ("timeout", float("inf")),
        ("timeout", float("nan")),
        ("timeout", "5"),
        ("timeout", True),
        ("name", 7),
        ("name", "\ud800"),
        ("window", float("inf")),
        ("window", 0.5),
        ("window", 0),
        ("window_bytes", None),
        ("zookeeper", None),
    ],
)
def test_options_of_a_client(key: str, value: Any) -> None:
    options: dict[str, Any] = {"zookeeper": "127.0.0.1:1", key: value}
    with pytest.raises(InvalidArgument, match=key):
        Client(group="orders", credentials=("app", "secret"), **options)


@pytest.mark.parametrize(
    ("options", "about"),
    [
        ({"agents": []}, "agents is empty"),
        ({"agents": "https://mq1"}, "agents of type str"),
        ({"agents": ["mq1:8008"]}, "agents has 'mq1:8008'"),
        ({"agents": ["https://mq1"], "token": "geheim\n"}, "token is not valid"),
        ({"agents": ["https://mq1"], "zookeeper": "zk1:2181"}, "both given"),
        ({"agents": ["https://mq1"], "ca": "/nowhere/ca.pem"}, r"agents\.ca"),
        ({"agents": ["https://mq1"], "ca": 7}, "ca 7 is not valid"),
        ({"token": "geheim", "zookeeper": "zk1:2181"}, "token is given without agents"),
        ({"ca": "/nowhere/ca.pem", "zookeeper": "zk1:2181"}, "ca is given without agents"),
    ],
)
def test_how_the_agents_are_reached(options: dict[str, Any], about: str) -> None:
    with pytest.raises(ConfigurationError, match=about) as caught:
        Client(group="orders", credentials=("app", "secret"), **options)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("missing", ["group", "credentials", "zookeeper"])
def test_what_a_client_cannot_do_without(missing: str) -> None:
    options: dict[str, Any] = {"zookeeper": "zk1", "group": "orders", "credentials": ("app", "secret")}
    del options[missing]
    with pytest.raises(InvalidArgument, match=missing):
        Client(**options)


@pytest.mark.parametrize("pair", [("\ud800", "x"), ("x", "\ud800"), ("x", None), "ab"])
def test_credentials_are_refused_and_a_password_not_shown(pair: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"user name|password") as caught:
        Client("127.0.0.1:1", "orders", pair)
    assert "\\ud800" not in str(caught.value) or pair[0] == "\ud800"


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan"), 1e12, None, "5", True])
def test_a_publish_with_a_timeout_that_is_none_is_refused_and_not_counted(timeout: Any) -> None:
    client = Simulation().client
    with pytest.raises(InvalidArgument, match=r"timeout .* is not valid: use seconds above 0"):
        client.publish(timeout=timeout)
    assert client.publishing.unconfirmed == 0


def test_a_publish_with_the_longest_timeout_is_confirmed() -> None:
    simulation = Simulation().started()
    future = simulation.client.publish(timeout=TIMEOUT_MAX)
    simulation.client.all_done()
    assert future.result(0).attempts == 1
    simulation.come_to_rest()


@pytest.mark.parametrize("queue", ["", "q" * 256, "\ud800", None, 7])
def test_a_queue_that_cannot_be_named(queue: Any) -> None:
    simulation = Simulation().started()
    engine = simulation.client.engine
    consuming = Consuming(engine, Guard(engine), emit=lambda _event: None, name="test")
    with pytest.raises(InvalidArgument, match=r"queue .* is not valid"):
        consuming.consume(queue, 10, 0)
    simulation.come_to_rest()


@pytest.mark.parametrize("timeout", [-1, float("inf"), float("nan"), 1e12, "5"])
def test_times_of_a_consumer(timeout: Any) -> None:
    simulation = Simulation().started()
    consumer = Consumer(simulation.client.subscribe(), lambda *_: lambda _: 0, lambda _: None)
    with pytest.raises(InvalidArgument, match="timeout"):
        consumer.get(timeout)
    with pytest.raises(InvalidArgument, match="timeout"):
        consumer.stop(timeout)
    simulation.come_to_rest()

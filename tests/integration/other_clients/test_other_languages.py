"""The recipe for other languages: a program of Node's behind HAProxy, while the leader's broker dies."""

import os
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support.client.leading import leader_of
from support.client.programs import EXAMPLES, Program, running
from support.waiting import wait_for

from rabbitkeeper.compose.local import Local

RECIPES = EXAMPLES / "recipes"
HAPROXY = os.environ.get("HAPROXY") or shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
NODE = shutil.which("node")

pytestmark = [
    pytest.mark.zookeeper,
    pytest.mark.rabbitmq,
    pytest.mark.skipif(HAPROXY is None, reason="needs haproxy"),
    pytest.mark.skipif(
        NODE is None or not (RECIPES / "node" / "node_modules" / "amqplib").exists(),
        reason="needs Node and amqplib, which ./dev test integration installs",
    ),
]


def configuration(local: Local, port: int) -> str:
    """That of the recipe, with this group's addresses."""
    text = (RECIPES / "haproxy.cfg").read_text()
    replaced = {"bind :5672": f"bind 127.0.0.1:{port}"}
    for number, name in enumerate(local.members, 1):
        host, amqp = local.amqp(name)
        api = urlsplit(local.api(name)).port
        replaced[f"mq{number} mq{number}:5672 port 8008"] = f"{name} {host}:{amqp} port {api}"
    for written, meant in replaced.items():
        assert written in text
        text = text.replace(written, meant)
    return text


@pytest.fixture
def url(local: Local, tmp_path: Path) -> Iterator[str]:
    """Where HAProxy listens."""
    assert HAPROXY is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    file = tmp_path / "haproxy.cfg"
    file.write_text(configuration(local, port))
    with running([HAPROXY, "-db", "-f", file], tmp_path / "haproxy.txt", {}):
        user, password = local.credentials
        yield f"amqp://{user}:{password}@127.0.0.1:{port}"


def test_a_node_program_goes_on_when_the_leaders_broker_dies(local: Local, url: str, tmp_path: Path) -> None:
    def program(*command: str) -> AbstractContextManager[Program]:
        assert NODE is not None
        return running(
            [NODE, "orders.js", *command],
            tmp_path / f"{command[0]}.txt",
            {"AMQP_URL": url},
            RECIPES / "node",
        )

    orders = {f"order {number}" for number in range(1, 101)}
    with program("consume") as consumer, program("publish", "1", "100") as publisher:
        wait_for(lambda: len(consumer.said("received")) >= 10, "orders come")
        leader = leader_of(local)
        local.kill_broker(leader)
        wait_for(lambda: set(publisher.said("confirmed")) == orders, "each is confirmed")
        wait_for(lambda: set(consumer.said("received")) == orders, "each is received")
        assert publisher.ended() == 0
        consumer.ended(signal.SIGTERM)
        assert leader_of(local) != leader
    local.wait_ready()

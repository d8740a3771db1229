"""What an agent says over HTTP that waits for ZooKeeper and has not begun."""

import socket
from pathlib import Path

import httpx
import pytest

from rabbitkeeper.agent.api import answers
from rabbitkeeper.agent.config import AgentConfig
from rabbitkeeper.agent.group.await_zookeeper import await_zookeeper
from rabbitkeeper.agent.model.state import Board
from rabbitkeeper.agent.waiting import waiting_api
from rabbitkeeper.coordinator.model.errors import ZooKeeperUnreachable

PATIENCE = 20.0  # seconds; not waited for when things work


def config(port: int) -> AgentConfig:
    return AgentConfig.model_validate(
        {
            "group": "orders",
            "name": "node1",
            "zookeeper": {"hosts": "nowhere:2181"},
            "http": {"listen": f"127.0.0.1:{port}"},
            "broker": {"driver": "external", "node": "rabbit@h", "amqp": {"username": "u", "password": "x"}},
        },
        context={"directory": Path("/nowhere")},
    )


def test_the_reason_is_told_over_http_until_zookeeper_is_there(port: int) -> None:
    answered = iter([ZooKeeperUnreachable("no server of zk1:2181 answered"), None])
    seen: list[tuple[int, str]] = []

    def ask() -> None:
        failure = next(answered)
        if failure is not None:
            raise failure
        for path in ("health", "ready", "leader", "live"):
            reply = httpx.get(f"http://127.0.0.1:{port}/{path}", timeout=PATIENCE)
            seen.append((reply.status_code, reply.json().get("reason", "")))

    with waiting_api(config(port)) as tell:
        await_zookeeper(ask, tell=tell)
    why = "waiting for ZooKeeper: no server of zk1:2181 answered"
    assert seen == [(503, why), (503, why), (503, why), (200, "")]
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/live", timeout=PATIENCE)


def test_a_port_that_is_taken_meanwhile_is_had_when_it_is_free(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[int] = []
    with waiting_api(config(port)) as tell:
        with socket.create_server(("127.0.0.1", port)):
            tell("waiting for ZooKeeper: it is away")
            tell("waiting for ZooKeeper: it is away")
        tell("waiting for ZooKeeper: it is away")
        seen.append(httpx.get(f"http://127.0.0.1:{port}/health", timeout=PATIENCE).status_code)
    assert seen == [503]
    said = [record.message for record in caplog.records if "nobody can ask" in record.message]
    assert len(said) == 1, "told once"


def test_an_agent_that_does_not_wait_takes_no_port_before_its_time(port: int) -> None:
    with waiting_api(config(port)) as tell:
        await_zookeeper(lambda: None, tell=tell)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{port}/live", timeout=PATIENCE)


def test_a_loop_that_waits_does_not_hang() -> None:
    now = 0.0
    board = Board(lambda: now)
    board.wait_for("waiting for ZooKeeper: it is away")
    now = 1000.0
    assert answers.live(board.silent)[0] == 200
    board.wait_for(None)
    assert board.silent == 0.0
    now = 2000.0
    assert answers.live(board.silent)[0] == 503

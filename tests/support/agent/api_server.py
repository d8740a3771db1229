"""An agent's HTTP API without the agent: on a real socket, with a board that only a test puts states on."""

from collections.abc import Callable, Mapping
from pathlib import Path

from rabbitkeeper.agent.api import ApiServer
from rabbitkeeper.agent.config import AgentConfig, HttpConfig
from rabbitkeeper.agent.group.announcement import Announcer
from rabbitkeeper.agent.model.state import Board
from rabbitkeeper.coordinator.model.errors import ZooKeeperUnreachable
from rabbitkeeper.coordinator.store.store import Store


def _announcer() -> Announcer:
    config = AgentConfig.model_validate(
        {
            "group": "orders",
            "name": "node1",
            "zookeeper": {"hosts": "nowhere:2181"},
            "broker": {
                "driver": "process",
                "node": "rabbit@node1",
                "amqp": {"username": "rk", "password": "x"},
                "process": {"directory": "/nowhere"},
            },
        },
        context={"directory": Path("/nowhere")},
    )
    return Announcer(config, instance="run1")


def _no_zookeeper() -> Store:
    raise ZooKeeperUnreachable("ZooKeeper is away")


def server(store: Callable[[], Store] = _no_zookeeper, /, **http: object) -> ApiServer:
    return _server(Board(lambda: 0.0), store, http)


def server_of(board: Board, **http: object) -> ApiServer:
    """One that tells of what is put up on ``board``."""
    return _server(board, _no_zookeeper, http)


def _server(board: Board, store: Callable[[], Store], http: Mapping[str, object]) -> ApiServer:
    settings = {key: str(value) for key, value in http.items()}
    config = HttpConfig.model_validate(settings, context={"directory": Path()})
    return ApiServer(config, board, store=store, announcer=_announcer(), hooks={})

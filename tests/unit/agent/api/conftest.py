"""The API on a real loopback socket, for the tests of its server."""

import socket
from collections.abc import Callable, Iterator

import pytest
from support.agent.api_server import server

from rabbitkeeper.agent.api import ApiServer
from rabbitkeeper.coordinator.store.store import Store


@pytest.fixture
def start() -> Iterator[Callable[..., None]]:
    """Starts a server with what is given of ``http``, and of its store; it is stopped at the end."""
    started: list[ApiServer] = []

    def begin(store: Callable[[], Store] | None = None, **http: object) -> None:
        one = server(**http) if store is None else server(store, **http)
        one.listen()
        one.start()
        started.append(one)

    yield begin
    for one in started:
        one.stop()


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])

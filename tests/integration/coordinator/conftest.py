"""Sessions with a real ZooKeeper, ended after each test; and a ZooKeeper of one's own to break."""

import itertools
from collections.abc import Callable, Iterator

import pytest
from support.zookeeper.proxy import Proxy

from rabbitkeeper.compose.local import Local
from rabbitkeeper.coordinator.backend.access import ANYBODY, BackendAccess
from rabbitkeeper.coordinator.backend.interface import Backend
from rabbitkeeper.coordinator.connect import backend_at
from rabbitkeeper.coordinator.model.records import GroupConfig
from rabbitkeeper.coordinator.store.store import Store

_numbers = itertools.count(1)


@pytest.fixture
def group() -> str:
    """A group name that no other test uses."""
    return f"coordinator-{next(_numbers)}"


@pytest.fixture
def connect(zookeeper: str) -> Iterator[Callable[..., Backend]]:
    """Makes started sessions with the shared ZooKeeper."""
    yield from _connect(zookeeper)


@pytest.fixture
def root(connect: Callable[..., Backend], group: str) -> str:
    """A path of this test's own."""
    connect().ensure_path(f"/test/{group}")
    return f"/test/{group}"


@pytest.fixture
def stores(connect: Callable[..., Backend], group: str) -> Callable[..., Store]:
    """Makes stores of the test's group, which is created, each with a session of its own."""

    def make(**options: object) -> Store:
        store = Store(connect(**options), group)
        store.create_group(GroupConfig())
        return store

    return make


@pytest.fixture
def breakable() -> Iterator[Local]:
    """A ZooKeeper server of this test's own."""
    with Local(zookeepers=1, members=0) as local:
        yield local


@pytest.fixture
def connect_breakable(breakable: Local) -> Iterator[Callable[..., Backend]]:
    """Makes started sessions with the breakable ZooKeeper."""
    yield from _connect(breakable.zookeeper_hosts)


@pytest.fixture
def proxy(zookeeper: str) -> Iterator[Proxy]:
    """A way to the shared ZooKeeper that can be cut."""
    with Proxy(zookeeper) as proxy:
        yield proxy


def _connect(hosts: str) -> Iterator[Callable[..., Backend]]:
    opened: list[Backend] = []

    def connect(
        *,
        timeout: float = 6.0,
        margin: float | None = None,
        wake: Callable[[], None] = lambda: None,
        access: BackendAccess = ANYBODY,
        name: str = "test",
    ) -> Backend:
        session = backend_at(hosts, timeout=timeout, margin=margin, wake=wake, access=access, name=name)
        opened.append(session)
        session.start(20.0)
        return session

    yield connect
    for session in opened:
        session.close()

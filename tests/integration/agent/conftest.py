"""Fixtures of the agents' integration tests."""

from collections.abc import Callable, Iterator

import pytest
from support.group_watch import Watch

from rabbitkeeper.compose.local import Local


@pytest.fixture
def watching() -> Iterator[Callable[[Local], Watch]]:
    watches: list[Watch] = []

    def watch(local: Local) -> Watch:
        watches.append(Watch(local.zookeeper_hosts, local.group))
        return watches[-1]

    yield watch
    for one in watches:
        one.close()

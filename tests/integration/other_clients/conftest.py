"""A whole group with its agents, for other clients: Celery, and other languages behind HAProxy."""

from collections.abc import Iterator

import pytest

from rabbitkeeper.compose.local import Local


@pytest.fixture(scope="package")
def local() -> Iterator[Local]:
    with Local(zookeepers=1, members=3, api=True) as local:
        local.wait_ready()
        yield local

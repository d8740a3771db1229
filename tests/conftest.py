"""Servers for tests, started once a session and as few as possible.

A test that breaks a server starts its own; these are shared, so leave them as they were found and use
names (groups, queues) of your own.
"""

import signal
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from rabbitkeeper.compose.local import Local, saved_logs

# What they assert is shown as well as a test's own.
pytest.register_assert_rewrite("support", "simulation")

# An example may be slow because the machine is busy: that says nothing about the code.
settings.register_profile("rabbitkeeper", deadline=None)
settings.load_profile("rabbitkeeper")

# A shell has what it starts in the background ignore Ctrl-C, and whatever that starts inherits it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep the logs of the servers that still run when a test fails; those that have ended kept theirs."""
    report = yield
    if report.failed:
        for folder in Path(tempfile.gettempdir()).glob("rabbitkeeper-*"):
            saved_logs.save(folder, item.nodeid)
    return report


@pytest.fixture(scope="session")
def zookeeper() -> Iterator[str]:
    """One ZooKeeper server, shared; its connection string."""
    with Local(zookeepers=1, members=0) as local:
        yield local.zookeeper_hosts


@pytest.fixture(scope="session")
def broker() -> Iterator[Local]:
    """One broker without an agent and without ZooKeeper, shared: ``amqp("node1")``, ``credentials``."""
    with Local(zookeepers=0, members=1, agents=False) as local:
        yield local

"""The session with a real ZooKeeper that has forgotten what it knew, or that is another one now."""

import logging
import time
from collections.abc import Callable

import pytest
from support.waiting import wait_for

from rabbitkeeper.compose.local import Local
from rabbitkeeper.coordinator.backend.access import ANYBODY
from rabbitkeeper.coordinator.backend.interface import Backend
from rabbitkeeper.coordinator.model.errors import ConfigurationError
from rabbitkeeper.coordinator.zookeeper.rollback import newest_zxid

pytestmark = pytest.mark.zookeeper

Connect = Callable[..., Backend]


def has_lease(session: Backend) -> bool:
    return session.lease.valid(time.monotonic())


def grow(session: Backend) -> None:
    for number in range(20):
        session.create(f"/grown{number}", b"")
    session.sync()


def there(session: Backend, path: str) -> bool:
    return session.stat(path, timeout=20.0) is not None


@pytest.fixture
def other() -> Local:
    """Another ZooKeeper."""
    return Local(zookeepers=1, members=0)


def test_a_zookeeper_whose_data_were_deleted_gets_a_new_session(
    breakable: Local, connect_breakable: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    session = connect_breakable(timeout=60.0)  # refused for its zxid, long before it could expire
    grow(session)
    session.create("/mine", b"", ephemeral=True)
    number = session.session_id
    breakable.zookeeper.wipe(0)
    breakable.start_zookeeper()
    with caplog.at_level(logging.WARNING):
        wait_for(lambda: session.generation == 2 and has_lease(session), tick=session.renew)
    assert session.session_id != number
    assert session.rollbacks == 1
    assert not there(session, "/mine")
    assert session.create("/mine", b"", ephemeral=True).owner == session.session_id
    (line,) = [one for one in caplog.messages if "has forgotten what it knew" in one]
    assert breakable.zookeeper_hosts in line


def test_a_session_that_expired_before_finds_out_as_well(
    breakable: Local, connect_breakable: Connect
) -> None:
    session = connect_breakable(timeout=6.0)
    grow(session)
    breakable.stop_zookeeper()
    session.close()
    breakable.zookeeper.wipe(0)
    breakable.start_zookeeper()
    session.start(20.0)
    session.sync()
    assert session.rollbacks == 1


def test_a_zookeeper_that_boots_again_has_forgotten_nothing(
    breakable: Local, connect_breakable: Connect
) -> None:
    session = connect_breakable(timeout=60.0)
    grow(session)
    number = session.session_id
    breakable.stop_zookeeper()
    wait_for(lambda: not session.connected, tick=session.renew)
    assert newest_zxid(breakable.zookeeper_hosts, ANYBODY, timeout=0.5) is None
    breakable.start_zookeeper()
    wait_for(lambda: session.connected and has_lease(session), tick=session.renew)
    assert (session.session_id, session.rollbacks) == (number, 0)
    assert there(session, "/grown0")


def test_a_session_moves_to_other_servers(breakable: Local, connect_breakable: Connect, other: Local) -> None:
    session = connect_breakable(timeout=60.0)
    grow(session)
    with other:
        session.move(other.zookeeper_hosts)
        wait_for(lambda: session.generation == 2 and has_lease(session), tick=session.renew)
        assert session.hosts == other.zookeeper_hosts
        assert session.rollbacks == 1
        assert not there(session, "/grown0")


def test_a_session_whose_servers_get_another_address_goes_on(
    breakable: Local, connect_breakable: Connect
) -> None:
    session = connect_breakable(timeout=60.0)
    number, port = session.session_id, breakable.zookeeper_hosts.rpartition(":")[2]
    session.move(f"localhost:{port}")
    wait_for(lambda: session.connections == 2 and has_lease(session), tick=session.renew)
    assert (session.session_id, session.rollbacks) == (number, 0)
    with pytest.raises(ConfigurationError):
        session.move("nonsense:")
    assert session.hosts == f"localhost:{port}"

"""The session with a real ZooKeeper: what is certain stays true, and everything ends by its deadline."""

import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from support.waiting import wait_for
from support.zookeeper.proxy import Proxy

from rabbitkeeper.compose.local import Local
from rabbitkeeper.coordinator.backend.access import BackendAccess
from rabbitkeeper.coordinator.backend.interface import Backend
from rabbitkeeper.coordinator.backend.node import Create
from rabbitkeeper.coordinator.connect import backend_at
from rabbitkeeper.coordinator.model.errors import (
    ConfigurationError,
    SessionLost,
    ZooKeeperUnreachable,
)
from rabbitkeeper.coordinator.zookeeper.backend import ZooKeeperBackend

pytestmark = pytest.mark.zookeeper

Connect = Callable[..., Backend]


def gone(session: Backend, path: str) -> bool:
    return session.stat(path) is None


# -- the lease


@pytest.mark.parametrize(("asked", "granted"), [(0.1, 0.5), (6.0, 6.0), (600.0, 120.0)])
def test_the_lease_lasts_as_long_as_the_server_grants(connect: Connect, asked: float, granted: float) -> None:
    session = connect(timeout=asked, margin=0.0)
    assert session.timeout == granted
    assert session.lease.timeout == granted


def test_the_lease_counts_from_when_the_request_was_sent(
    breakable: Local, connect_breakable: Connect
) -> None:
    session = connect_breakable(timeout=6.0, margin=0.0)
    breakable.zookeeper.freeze(0)
    sent = time.monotonic()
    session.renew()
    after = time.monotonic()
    threading.Event().wait(1.0)  # the server's answer takes this long
    breakable.zookeeper.thaw(0)
    wait_for(lambda: session.lease.renewed is not None and session.lease.renewed >= sent)
    assert session.lease.renewed is not None
    assert session.lease.renewed <= after


def test_a_loop_that_does_not_renew_loses_the_lease_although_the_session_lives(connect: Connect) -> None:
    session = connect(timeout=1.0)
    number = session.session_id
    wait_for(lambda: not session.lease.valid(time.monotonic()))
    assert session.connected
    session.sync()
    assert session.session_id == number
    session.renew()
    wait_for(lambda: session.lease.valid(time.monotonic()))


def test_of_a_session_that_is_cut_off_the_lease_ends_before_its_ephemerals_go(
    connect: Connect, proxy: Proxy, root: str
) -> None:
    lonely = backend_at(proxy.address, timeout=2.0)
    lonely.start()
    path = f"{root}/leader"
    lonely.create(path, b"", ephemeral=True)
    other = connect()
    lonely.renew()
    wait_for(lambda: lonely.lease.valid(time.monotonic()))
    proxy.silence()
    ended: list[float] = []

    def tick() -> None:
        lonely.renew()
        if not ended and not lonely.lease.valid(time.monotonic()):
            ended.append(time.monotonic())

    wait_for(lambda: gone(other, path), tick=tick)
    assert ended, "the ephemeral went while the lease was still held"
    proxy.mend()
    wait_for(lambda: lonely.generation == 2, tick=lonely.renew)
    wait_for(lambda: lonely.lease.valid(time.monotonic()), tick=lonely.renew)
    assert lonely.read([path]) == {path: None}
    lonely.close()


# -- connections


def test_an_outage_keeps_the_session_and_its_ephemerals(breakable: Local, connect_breakable: Connect) -> None:
    woken = threading.Event()
    session = connect_breakable(timeout=6.0, wake=woken.set)
    number, first = session.session_id, session.connected_since
    session.create("/mine", b"", ephemeral=True)
    breakable.kill_zookeeper()
    wait_for(lambda: not session.connected, tick=session.renew)
    assert session.disconnected_since is not None
    assert session.connected_since is None
    assert session.session_id == number, "nothing is known about the session, so nothing is said"
    with pytest.raises(ZooKeeperUnreachable, match="no connection to ZooKeeper at"):
        session.read(["/mine"], timeout=3600.0)  # an operation without a connection does not wait for one
    threading.Event().wait(8.0)  # longer than the session's timeout
    assert not session.lease.valid(time.monotonic())
    woken.clear()
    breakable.start_zookeeper()
    wait_for(lambda: session.connected, tick=session.renew)
    assert woken.is_set()
    assert (session.session_id, session.generation, session.connections) == (number, 1, 2)
    assert session.connected_since is not None
    assert first is not None
    assert session.connected_since > first
    assert session.disconnected_since is None
    wait_for(lambda: session.lease.valid(time.monotonic()), tick=session.renew)
    mine = session.stat("/mine")
    assert mine is not None
    assert mine.owner == number


def test_it_is_back_soon_after_zookeeper(breakable: Local, connect_breakable: Connect) -> None:
    """Whatever the outage lasted; here long enough for the library's own backoff to have grown."""
    session = connect_breakable(timeout=20.0)
    breakable.kill_zookeeper()
    wait_for(lambda: not session.connected, tick=session.renew)
    threading.Event().wait(8.0)
    breakable.start_zookeeper()  # returns when it has given a session to somebody
    # It tries each half a second; the library by itself would pause for six by now.
    assert wait_for(lambda: session.connected, tick=session.renew) < 4.0


def test_connections_that_a_booting_server_swallows_do_not_cost_the_session(proxy: Proxy) -> None:
    session = backend_at(proxy.address, timeout=6.0)
    session.start()
    number = session.session_id
    proxy.swallow(2)
    proxy.cut()
    wait_for(lambda: not session.connected)
    proxy.mend()
    took = wait_for(lambda: session.connected)
    assert took > 0.5, "nothing was swallowed"
    assert (session.session_id, session.generation) == (number, 1)
    session.close()


def test_a_hung_connection_is_left_for_another_server(connect: Connect, zookeeper: str, proxy: Proxy) -> None:
    """Requests go on being sent all the time, which by itself would hide that nothing is answered."""
    session = backend_at(f"{proxy.address},{zookeeper}", timeout=6.0)
    for _ in range(20):  # the server is chosen by chance
        session.start()
        if proxy.carries:
            break
        session.close()
    assert proxy.carries
    number, generation, connections = session.session_id, session.generation, session.connections
    proxy.silence()

    def ask() -> None:
        session.renew()
        with suppress(ZooKeeperUnreachable):
            session.stat("/", timeout=0.1)

    took = wait_for(lambda: session.connections > connections, tick=ask)
    assert took > 1.5
    assert (session.session_id, session.generation) == (number, generation)
    session.close()


def test_a_hung_connection_is_noticed_by_the_operations_too(proxy: Proxy) -> None:
    session = backend_at(proxy.address, timeout=3.0)
    session.start()
    proxy.silence()
    with pytest.raises(ZooKeeperUnreachable):  # of the operation, or of what kazoo notices by then
        session.read(["/x"], timeout=1.5)
    wait_for(lambda: not session.connected)
    proxy.mend()
    wait_for(lambda: session.connected)
    assert session.read(["/x"]) == {"/x": None}
    session.close()


def test_a_lost_session_is_a_new_generation_without_ephemerals(
    connect: Connect, proxy: Proxy, root: str
) -> None:
    session = backend_at(proxy.address, timeout=1.0)
    session.start()
    number, path = session.session_id, f"{root}/mine"
    session.create(path, b"", ephemeral=True)
    proxy.cut()
    other = connect()
    wait_for(lambda: gone(other, path))
    proxy.mend()
    wait_for(lambda: session.generation == 2 and session.connected)
    assert session.session_id not in (0, number)
    with pytest.raises(SessionLost, match="is no more"):
        session.transaction([Create(path, b"", ephemeral=True)], in_session=number)
    assert gone(other, path)
    session.create(path, b"", ephemeral=True, in_session=session.session_id)
    session.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_when_kazoo_gives_up_the_next_renewal_starts_anew(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = connect(timeout=6.0)
    assert isinstance(session, ZooKeeperBackend)
    assert session._handler is not None

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("not foreseen")

    monkeypatch.setattr(session._handler, "select", broken)
    wait_for(lambda: session.generation == 2 and session.connected, tick=session.renew)
    session.sync()


@pytest.mark.timeout(180)
def test_an_ensemble_loses_a_server_and_the_session_goes_on() -> None:
    with Local(zookeepers=3, members=0) as local:
        session = backend_at(local.zookeeper_hosts, timeout=6.0)
        session.start(30.0)
        number = session.session_id
        session.create("/mine", b"", ephemeral=True)
        for server in range(3):
            local.kill_zookeeper(server)
            wait_for(lambda: session.connected and works(session), timeout=30.0, tick=session.renew)
            local.start_zookeeper(server)
            assert (session.session_id, session.generation) == (number, 1)
        assert session.stat("/mine") is not None
        session.close()


def works(session: Backend) -> bool:
    try:
        session.sync(timeout=1.0)
    except ZooKeeperUnreachable:
        return False
    return True


# -- start and close


def test_an_address_where_nobody_listens_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    session = backend_at(f"127.0.0.1:{port}")
    began = time.monotonic()
    with pytest.raises(ZooKeeperUnreachable, match=f"no ZooKeeper server of 127.0.0.1:{port} answered"):
        session.start(0.7)
    assert time.monotonic() - began < 20.0


def test_a_port_that_accepts_and_is_silent_is_not_a_zookeeper() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        session = backend_at(f"127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(ZooKeeperUnreachable, match="answered within"):
            session.start(0.7)
        assert time.monotonic() - began < 20.0


def test_a_session_that_could_not_start_can_start_later(breakable: Local) -> None:
    breakable.kill_zookeeper()
    session = backend_at(breakable.zookeeper_hosts)
    with pytest.raises(ZooKeeperUnreachable):
        session.start(0.3)
    breakable.start_zookeeper()
    session.start()
    assert session.generation == 1
    session.close()


@pytest.mark.parametrize(
    "hosts", ["", "zk1:x", "zk1:2181,,zk2", "http://zk1:2181", "zk1:70000", "zk1/", "zk 1:a"]
)
def test_hosts_that_cannot_be_are_refused(hosts: str) -> None:
    with pytest.raises(ConfigurationError, match="use host:port"):
        backend_at(hosts)


def test_close_ends_the_session_at_once(connect: Connect, root: str) -> None:
    session, other = connect(timeout=60.0), connect()
    session.create(f"{root}/mine", b"", ephemeral=True)
    session.close()
    assert gone(other, f"{root}/mine")
    assert (session.connected, session.session_id) == (False, 0)
    assert not session.lease.valid(time.monotonic())
    session.close()
    with pytest.raises(ZooKeeperUnreachable, match="not started"):
        session.sync()


@pytest.mark.parametrize("how", ["frozen", "killed"])
def test_close_does_not_wait_for_a_zookeeper_that_is_away(
    breakable: Local, connect_breakable: Connect, how: str
) -> None:
    session = connect_breakable(timeout=30.0)
    if how == "frozen":
        breakable.zookeeper.freeze(0)
    else:
        breakable.kill_zookeeper()
        wait_for(lambda: not session.connected)
    began = time.monotonic()
    session.close()
    assert time.monotonic() - began < 15.0, "less than the session's timeout"


# -- the log


def test_operators_get_one_line_a_change_and_no_secret(
    breakable: Local, connect_breakable: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    session = connect_breakable(name="node1", access=BackendAccess(("agent", "hunter2")))
    breakable.kill_zookeeper()
    wait_for(lambda: not session.connected)
    threading.Event().wait(2.0)
    breakable.start_zookeeper()
    wait_for(lambda: session.connected)
    session.close()
    lines = [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.INFO and record.name.startswith(("rabbitkeeper.coordinator", "kazoo"))
    ]
    assert len(lines) == 3, lines
    assert lines[0].startswith("node1: connected to ZooKeeper at 127.0.0.1:")
    assert lines[0].endswith("(generation 1), timeout 6 s")
    assert lines[1].startswith("node1: the connection to ZooKeeper")
    assert "again connected" in lines[2]
    assert "hunter2" not in caplog.text

"""The API's server on real loopback sockets while strangers hold connections to it."""

import contextlib
import logging
import socket
import threading
from collections.abc import Callable

import pytest
from support.agent.flood import HALF, Checks, Flood
from support.waiting import wait_for

from rabbitkeeper.agent.api import admission, connections
from rabbitkeeper.agent.api import server as api_server
from rabbitkeeper.agent.api import stream as streaming
from rabbitkeeper.coordinator.model.errors import ZooKeeperUnreachable
from rabbitkeeper.coordinator.store.store import Store

PATIENCE = 20.0  # seconds; not waited for when things work
ENOUGH = 20  # checks


@pytest.fixture
def address(port: int, start: Callable[..., None]) -> tuple[str, int]:
    start(listen=f"127.0.0.1:{port}")
    return "127.0.0.1", port


def read_to(connection: socket.socket, end: bytes, times: int = 1) -> bytes:
    """What comes until ``end`` has come so often: an answer is more than one packet."""
    received = b""
    while received.count(end) < times:
        part = connection.recv(65536)
        assert part, received
        received += part
    return received


@pytest.mark.parametrize("hosts", [0, 30], ids=["its own address", "many addresses"])
def test_checks_are_answered_whoever_holds_connections(address: tuple[str, int], hosts: int) -> None:
    most = admission.CONNECTIONS if hosts else admission.CONNECTIONS // 4
    with Flood(address, silent=most, half=most, hosts=hosts) as flood:
        wait_for(lambda: flood.opened >= 2 * most, "all strangers have come")
        with Checks(address, "/live", interval=0.0, timeout=PATIENCE) as checks:
            wait_for(lambda: sum(checks.answers.values()) >= ENOUGH, "some checks")
    assert set(checks.answers) == {"200"}


def test_as_many_dashboards_as_may_listen_come_through_one_proxy(
    port: int, start: Callable[..., None]
) -> None:
    hangs, answers = threading.Event(), threading.Event()

    def store() -> Store:
        hangs.set()
        answers.wait(PATIENCE)
        raise ZooKeeperUnreachable("it has answered nothing")

    start(store, listen=f"127.0.0.1:{port}")
    with contextlib.ExitStack() as proxy:

        def ask(path: str) -> socket.socket:
            connection = proxy.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: agent\r\n\r\n".encode())
            return connection

        try:
            listening = [ask("/events") for _ in range(streaming.MOST)]
            assert all(b"event: hello" in read_to(one, b"\n\n", 1) for one in listening)
            asked = [ask("/operations") for _ in listening]
            assert hangs.wait(PATIENCE)
            # A check is answered beside them, and whoever comes with one request more is told so.
            assert read_to(ask("/live"), b"}").startswith(b"HTTP/1.1 200 ")
            wait_for(lambda: b"too many requests" in read_to(ask("/group"), b"}"), "one is refused")
        finally:
            answers.set()
        assert all(b"it has answered nothing" in read_to(one, b"}") for one in asked)


def test_half_a_request_ends_at_its_deadline_and_a_trickle_does_not_help(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "HEAD_TIMEOUT", 0.2)
    monkeypatch.setattr(connections, "_LOOK_EVERY", 0.05)
    with socket.create_connection(address) as half:
        half.settimeout(0.02)
        half.sendall(HALF)
        answer = b""

        def answered() -> bool:
            nonlocal answer
            try:
                half.sendall(b"x")
                answer += half.recv(4096)
            except TimeoutError:
                return False
            except OSError:
                return True
            return bool(answer)

        wait_for(answered, "an end of the half request")
        assert answer.startswith(b"HTTP/1.1 408 ")


def test_who_says_nothing_is_closed_too(
    port: int, start: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "HEAD_TIMEOUT", 0.2)
    monkeypatch.setattr(api_server, "_DEFER", 0)
    start(listen=f"127.0.0.1:{port}")
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as silent:
        assert silent.recv(1) == b""


def test_a_kept_connection_serves_on_and_is_no_way_around_the_deadline(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_connection(address, PATIENCE) as kept:
        for _ in range(3):
            kept.sendall(b"GET /live HTTP/1.1\r\nHost: check\r\n\r\n")
            assert read_to(kept, b"}").startswith(b"HTTP/1.1 200 ")
        monkeypatch.setattr(admission, "HEAD_TIMEOUT", 0.1)
        kept.sendall(HALF)
        assert kept.recv(4096).startswith(b"HTTP/1.1 408 ")


def test_requests_in_one_packet_are_all_answered(address: tuple[str, int]) -> None:
    with socket.create_connection(address, PATIENCE) as kept:
        kept.sendall(b"GET /live HTTP/1.1\r\nHost: check\r\n\r\n" * 5)
        assert read_to(kept, b"}", 5).count(b"HTTP/1.1 200 ") == 5


def test_what_strangers_do_is_logged_and_does_not_fill_the_log(
    address: tuple[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with Flood(address, silent=0, half=400) as flood:
        wait_for(lambda: flood.opened >= 400, "all strangers have come")
        wait_for(lambda: caplog.records, "a line")
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(lines) == 1
    assert lines[0].startswith("a connection of 127.0.0.1 gives its place to a newer one of 127.0.0.1: ")

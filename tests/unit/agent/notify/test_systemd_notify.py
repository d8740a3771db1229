"""What systemd is told, over real datagram sockets."""

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support import agent_states as hand_made

from rabbitkeeper.agent.notify.systemd_notify import SystemdNotify

STATE = hand_made.state(view=hand_made.view(hand_made.leader("node2")))


class Systemd:
    """The socket that systemd listens on."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.setblocking(False)
        self.environ = {"NOTIFY_SOCKET": address}
        self.now = 100.0

    def watches(self, seconds: float, pid: int | None = None) -> None:
        self.environ["WATCHDOG_USEC"] = str(int(seconds * 1e6))
        self.environ["WATCHDOG_PID"] = str(pid or os.getpid())

    def notify(self) -> SystemdNotify:
        return SystemdNotify(self.environ, clock=lambda: self.now)

    def told(self) -> list[str]:
        messages = []
        while True:
            try:
                messages.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return messages


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@rabbitkeeper-test-{os.getpid()}"
    made = Systemd(address)
    yield made
    made.socket.close()


def test_it_is_ready_when_it_is_registered_and_says_how_it_is(systemd: Systemd) -> None:
    notify = systemd.notify()
    session = replace(STATE.session, registered=False)
    notify.receive(replace(STATE, session=session, sentence="the broker is starting; waits"), ())
    assert systemd.told() == ["STATUS=the broker is starting; waits"]
    notify.receive(STATE, ())
    assert systemd.told() == ["READY=1", f"STATUS={STATE.sentence}"]
    notify.receive(STATE, ())
    assert systemd.told() == []


def test_seconds_that_grow_are_no_news(systemd: Systemd) -> None:
    notify = systemd.notify()
    notify.receive(replace(STATE, sentence="away for 1.0 s"), ())
    notify.receive(replace(STATE, sentence="away for 2.0 s"), ())
    assert systemd.told() == ["READY=1", "STATUS=away for 1.0 s"]


def test_the_watchdog_is_told_at_half_of_its_time(systemd: Systemd) -> None:
    systemd.watches(4.0)
    notify = systemd.notify()
    notify.beat()
    for _ in range(3):
        systemd.now += 0.5
        notify.beat()
    assert systemd.told() == ["WATCHDOG=1"]
    systemd.now += 0.5
    notify.beat()
    assert systemd.told() == ["WATCHDOG=1"]


def test_a_watchdog_for_another_process_is_not_ours(systemd: Systemd) -> None:
    systemd.watches(4.0, pid=1)
    notify = systemd.notify()
    notify.beat()
    assert systemd.told() == []


def test_when_it_stops_it_says_so_and_has_time_for_it(systemd: Systemd) -> None:
    systemd.watches(4.0)
    systemd.notify().stopping()
    assert systemd.told() == ["STOPPING=1\nWATCHDOG_USEC=120000000"]


def test_no_child_inherits_what_is_meant_for_this_process(systemd: Systemd) -> None:
    systemd.watches(4.0)
    systemd.environ["PATH"] = "/bin"
    systemd.notify()
    assert systemd.environ == {"PATH": "/bin"}


def test_a_systemd_that_does_not_read_keeps_nobody_waiting(systemd: Systemd) -> None:
    systemd.watches(0.000002)
    notify = systemd.notify()
    for number in range(5000):  # far more than a socket's queue holds
        systemd.now = 100.0 + number
        notify.beat()
    assert 0 < len(systemd.told()) < 5000


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}])
def test_without_systemd_nothing_is_told(environ: dict[str, str]) -> None:
    notify = SystemdNotify(environ)
    assert not notify.listens
    notify.beat()
    notify.receive(STATE, ())
    notify.stopping()


def test_a_socket_that_is_gone_is_no_error(tmp_path: Path) -> None:
    notify = SystemdNotify({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    notify.receive(STATE, ())
    notify.stopping()

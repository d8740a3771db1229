"""The probe against ports where no broker is: real sockets, and waits that end by a condition."""

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from rabbitkeeper.agent.health.connection import ProbeSettings
from rabbitkeeper.agent.health.probe import Probe
from rabbitkeeper.agent.model.observation import ConnectFailure, ConnectionFacts

LONG = 10.0  # seconds; never waited for when things work


class Probed:
    def __init__(self, port: int, connect_timeout: float = 1.0, hung_after: float = 2.0) -> None:
        self._bell = threading.Event()
        self.probe = Probe(
            ProbeSettings(
                "127.0.0.1",
                port,
                "user",
                "secret",
                "vhost",
                "node1",
                connect_timeout=connect_timeout,
                hung_after=hung_after,
            ),
            wake=self._bell.set,
        )
        self.probe.start()

    def until(self, condition: Callable[[ConnectionFacts], bool]) -> ConnectionFacts:
        deadline = time.monotonic() + LONG
        while not condition(self.probe.facts):
            assert time.monotonic() < deadline, self.probe.facts
            self._bell.wait(0.05)
            self._bell.clear()
        return self.probe.facts


@pytest.fixture
def probed() -> Iterator[Callable[..., Probed]]:
    started: list[Probed] = []

    def start(port: int, connect_timeout: float = 1.0, hung_after: float = 2.0) -> Probed:
        started.append(Probed(port, connect_timeout, hung_after))
        return started[-1]

    yield start
    for one in started:
        one.probe.stop()


@pytest.fixture
def mute() -> Iterator[int]:
    """A port that accepts connections, as the kernel does for a process that hangs, and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        yield listener.getsockname()[1]


def test_where_nothing_listens_it_is_refused_at_once(probed: Callable[..., Probed]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        facts = probed(unused.getsockname()[1]).until(lambda facts: facts.failures > 0)
    assert facts.failure is ConnectFailure.REFUSED
    assert facts.error == "cannot connect: Connection refused"
    assert facts.silent == 0.0
    assert not facts.answers


def test_silence_at_the_door_is_told_from_refusal_and_adds_up(
    probed: Callable[..., Probed], mute: int
) -> None:
    one = probed(mute, connect_timeout=0.1, hung_after=0.4)
    facts = one.until(lambda facts: facts.failures > 0)
    assert facts.failure is ConnectFailure.SILENT
    facts = one.until(lambda facts: facts.silent >= 0.4)
    assert facts.up_since is None


def test_a_name_that_takes_too_long_to_look_up_is_looked_up_again(
    probed: Callable[..., Probed], mute: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A mock: a resolver that does not answer, as while the network is cut off, cannot be made for one test.
    asked: list[object] = []
    network_is_back = threading.Event()
    look_up = socket.getaddrinfo

    def unanswered(host: str, port: int, *options: int, **more: int) -> object:
        asked.append(more)
        if len(asked) == 1:
            network_is_back.wait(LONG * 3)
        return look_up(host, port, *options, **more)

    monkeypatch.setattr(socket, "getaddrinfo", unanswered)
    try:
        one = probed(mute, connect_timeout=0.1)
        facts = one.until(lambda facts: facts.failures > 0)
        assert facts.failure is ConnectFailure.REFUSED
        assert facts.error == "the host 127.0.0.1 is not found: looking it up takes too long"
        one.until(lambda facts: facts.failure is ConnectFailure.SILENT)  # it has got there
    finally:
        network_is_back.set()


def test_a_peer_that_hangs_up_is_no_broker(probed: Callable[..., Probed]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        hang_up = threading.Thread(target=lambda: listener.accept()[0].close(), daemon=True)
        hang_up.start()
        facts = probed(listener.getsockname()[1]).until(lambda facts: facts.failures > 0)
    assert facts.failure is ConnectFailure.BROKEN


def test_a_majority_canary_without_a_connection_ends_by_its_deadline(
    probed: Callable[..., Probed], mute: int
) -> None:
    one = probed(mute)
    request = one.probe.confirm_majority(0.1)
    one.until(lambda _: request.result is not None)
    assert request.result is not None
    assert not request.result.confirmed
    assert request.result.error == "no connection to the broker"


def test_stopping_it_ends_its_thread(probed: Callable[..., Probed], mute: int) -> None:
    one = probed(mute)
    one.probe.stop()
    assert not one.probe._thread.is_alive()
    one.probe.stop()


def test_the_password_is_not_shown() -> None:
    assert "secret" not in repr(ProbeSettings("h", 1, "user", "secret", "vhost", "node1"))

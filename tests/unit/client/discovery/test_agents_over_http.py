"""Agents over real connections: the API that they have, and what else may be at an address of one."""

import contextlib
import gc
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support import agent_states
from support.agent.api import until
from support.agent.api_server import server_of
from support.client.certificates import self_signed
from support.client.hostile_agent import Answer, HostileAgent, nothing, raw, says, without_end

from rabbitkeeper.agent.api import ApiServer
from rabbitkeeper.agent.model.state import AgentState, Board
from rabbitkeeper.client.discovery.agent_address import AgentAddress, check_agents
from rabbitkeeper.client.discovery.agent_connection import AgentFailed, HttpConnection
from rabbitkeeper.client.discovery.agent_watch import AgentWatch, agent_watch
from rabbitkeeper.client.discovery.event_stream import LARGEST
from rabbitkeeper.client.discovery.timed_socket import Interrupted, Interrupter
from rabbitkeeper.client.model.errors import NotAuthorized
from rabbitkeeper.client.routing.listener import Listener
from rabbitkeeper.client.routing.placement import Targets
from rabbitkeeper.coordinator.model.errors import ConfigurationError, UnknownGroup
from rabbitkeeper.coordinator.model.view import GroupView
from rabbitkeeper.coordinator.tls import client_context

PATIENCE = 60.0  # seconds; not waited for when things work
SECRET = "a-token-that-nobody-may-see"
JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
WELL = b'{"group": "orders", "members": [], "incarnation": 1}'


@pytest.fixture
def interrupter() -> Iterator[Interrupter]:
    one = Interrupter()
    yield one
    one.close()


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of ``localhost`` signed by itself, and its key: its own authority."""
    return self_signed(tmp_path_factory.mktemp("pem"), "DNS:localhost")


def connection(port: int, interrupter: Interrupter) -> HttpConnection:
    address = AgentAddress(False, "127.0.0.1", port)
    return HttpConnection(address, token=SECRET, tls=ssl.create_default_context(), interrupter=interrupter)


def soon() -> float:
    return time.monotonic() + PATIENCE


# -- what else may be there


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (says("200 OK", b"<html>Welcome</html>", kind="text/html"), "answers with text/html instead"),
        (says("301 Moved\r\nLocation: http://elsewhere/"), "redirect (301), which is not followed"),
        (says("302 Found\r\nLocation: /login"), "redirect (302)"),
        (says("401 Unauthorized"), "another token"),
        (says("403 Forbidden"), "another token"),
        (says("503 Busy", b'{"reason": "starting\\u001b[2J"}'), "503: starting\\x1b[2J"),
        (says("503 Busy", b'{"reason": 7}'), "503"),
        (says("500 Oops", b"[" * 4000), "500"),
        (says("200 OK", b"x" * (LARGEST + 1)), "more than 4 MiB"),
        (says("200 OK\r\nContent-Encoding: gzip", b"x"), "instead of application/json"),
        (without_end(JSON_HEAD + b"\r\n", b"x" * 65536), "4 MiB"),
        (without_end(b"HTTP/1.1 200 OK\r\n", b"x" * 65536), "does not speak HTTP"),
        (without_end(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"), "does not speak HTTP"),
        (without_end(b"HTTP/1.1 100 Continue\r\n\r\n", b"X: y\r\n"), "does not speak HTTP"),
        (raw(b"SSH-2.0-OpenSSH_9.2\r\n"), "does not speak HTTP"),
        (raw(b"AMQP\x00\x00\x09\x01"), "does not speak HTTP"),
        (raw(b""), "cannot be reached: Remote end closed"),
        (raw(JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"), "does not speak HTTP"),
    ],
)  # fmt: skip
def test_what_is_no_agent_is_told_in_a_sentence(answer: Answer, why: str, interrupter: Interrupter) -> None:
    with HostileAgent(answer) as hostile:
        one = connection(hostile.port, interrupter)
        with pytest.raises(AgentFailed) as caught:
            one.group(soon())
        assert why in str(caught.value)
        assert SECRET not in str(caught.value)
        one.close()


def test_a_redirect_gets_no_token(interrupter: Interrupter) -> None:
    with HostileAgent(says("200 OK", WELL)) as elsewhere:
        to = f"307 Temporary\r\nLocation: http://127.0.0.1:{elsewhere.port}/group"
        with HostileAgent(says(to)) as hostile:
            with pytest.raises(AgentFailed, match="redirect"):
                connection(hostile.port, interrupter).group(soon())
            assert f"Authorization: Bearer {SECRET}\r\n".encode() in hostile.heard[0]
        assert elsewhere.heard == []


def test_what_does_not_answer_is_given_up_at_the_deadline(interrupter: Interrupter) -> None:
    with HostileAgent(nothing) as hostile, pytest.raises(AgentFailed, match="does not answer in time"):
        connection(hostile.port, interrupter).group(time.monotonic() + 0.05)


def test_one_that_answers_a_byte_at_a_time_is_given_up_too(interrupter: Interrupter) -> None:
    """Each byte comes in time, and all of them never do."""
    moments = (number / 100 for number in range(1_000_000))  # a hundredth of a second passes at each look
    with HostileAgent(without_end(JSON_HEAD + b"Content-Length: 1000000\r\n\r\n", b"x")) as hostile:
        address = AgentAddress(False, "127.0.0.1", hostile.port)
        one = HttpConnection(
            address,
            token=None,
            tls=ssl.create_default_context(),
            interrupter=interrupter,
            now=lambda: next(moments),
        )
        with pytest.raises(AgentFailed):
            one.group(1.0)


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CHUNKED = JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"


@pytest.mark.parametrize("answer", [without_end(CONTINUE, CONTINUE), without_end(CHUNKED, b"X: y\r\n")])
def test_one_that_never_comes_to_its_end_is_given_up_too(answer: Answer, interrupter: Interrupter) -> None:
    """There is always something to read."""
    with HostileAgent(answer) as hostile, pytest.raises(AgentFailed, match="does not answer in time"):
        connection(hostile.port, interrupter).group(time.monotonic() + 0.2)


def test_a_stream_of_nothing_but_comments_is_given_up(interrupter: Interrupter) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    with HostileAgent(without_end(head, b": still there\n\n" * 1000)) as hostile:
        one = connection(hostile.port, interrupter)
        one.listen(soon())
        deadline = time.monotonic() + 0.2

        def hear_on() -> None:
            while True:
                assert one.hear(deadline) == []

        with pytest.raises(AgentFailed, match="does not answer in time"):
            hear_on()


def test_nobody_there(port: int, interrupter: Interrupter) -> None:
    with pytest.raises(AgentFailed, match="cannot be reached: Connection refused"):
        connection(port, interrupter).group(soon())


def test_who_waits_is_interrupted_at_once(interrupter: Interrupter) -> None:
    with HostileAgent(nothing) as hostile:

        def interrupt() -> None:
            until(lambda: bool(hostile.heard), "it was asked", PATIENCE)
            interrupter.interrupt()

        threading.Thread(target=interrupt).start()
        with pytest.raises(Interrupted):
            connection(hostile.port, interrupter).group(soon())


def test_one_connection_answers_many_questions(interrupter: Interrupter) -> None:
    accepted: list[object] = []

    def answer(peer: object) -> None:
        accepted.append(peer)
        says("200 OK", WELL)(peer)  # type: ignore[arg-type]

    with HostileAgent(answer) as hostile:
        one = connection(hostile.port, interrupter)
        assert [one.group(soon()) for _ in range(3)] == [WELL] * 3
        assert len(set(map(id, accepted))) == 1
        one.close()


def test_a_kept_connection_that_was_closed_meanwhile_is_opened_again(interrupter: Interrupter) -> None:
    def answer(peer: socket.socket) -> None:
        says("200 OK", WELL)(peer)
        peer.shutdown(socket.SHUT_RDWR)

    with HostileAgent(answer) as hostile:
        one = connection(hostile.port, interrupter)
        assert [one.group(soon()) for _ in range(3)] == [WELL] * 3
        one.close()


# -- the agents' own API


class Agent:
    """An agent's API whose states the test puts up."""

    def __init__(self, **http: object) -> None:
        self.board = Board(time.monotonic)
        self.api: ApiServer = server_of(self.board, **http)
        self.api.listen()
        self.api.start()

    def put_up(self, view: GroupView) -> None:
        """The agent has read the group."""
        now = time.monotonic()
        made = agent_states.state(view=replace(view, read_at=now))
        made = replace(made, at=now, session=replace(made.session, lease_until=now + 1e6))
        self._put_up(made)

    def _put_up(self, state: AgentState) -> None:
        self.board.put_up(state)
        for sink in self.api.sinks():
            sink(state, ())


@pytest.fixture
def agents() -> Iterator[Callable[..., Agent]]:
    with contextlib.ExitStack() as stack:

        def make(**http: object) -> Agent:
            one = Agent(**http)
            stack.callback(one.api.stop)
            return one

        yield make


class Watched:
    """A client's watch of what is at these addresses."""

    def __init__(self, *urls: str, ca: Path | None = None, group: str = "orders") -> None:
        self.seen: list[Targets] = []
        self.watch: AgentWatch = agent_watch(
            check_agents(urls), group, token=SECRET, ca=None if ca is None else str(ca), name="test"
        )
        self.watch.add(Listener(self.seen.append, lambda _: None))

    def until_led_by(self, member: str) -> None:
        until(
            lambda: (
                bool(self.seen) and self.seen[-1].leader is not None and self.seen[-1].leader.member == member
            ),
            f"{member} is seen to lead",
            PATIENCE,
        )


def led_by(member: str, epoch: int) -> GroupView:
    return agent_states.view(agent_states.leader(member, epoch))


def test_what_an_agent_reads_its_clients_see(agents: Callable[..., Agent], port: int) -> None:
    agent = agents(listen=f"127.0.0.1:{port}")
    agent.put_up(led_by("node1", 7))
    watched = Watched(f"http://127.0.0.1:{port}")
    watched.watch.start(PATIENCE)
    assert watched.seen[0].epoch == 7
    until(lambda: agent.api._stream.listeners == 1, "it listens", PATIENCE)
    for epoch in range(8, 20):
        agent.put_up(led_by(f"node{epoch % 3 + 1}", epoch))
        watched.until_led_by(f"node{epoch % 3 + 1}")
    watched.watch.stop()


def test_when_an_agent_stops_another_one_tells(
    agents: Callable[..., Agent], port: int, other_port: int
) -> None:
    both = {number: agents(listen=f"127.0.0.1:{number}") for number in (port, other_port)}
    for one in both.values():
        one.put_up(led_by("node1", 7))
    watched = Watched(*(f"http://127.0.0.1:{number}" for number in both))
    watched.watch.start(PATIENCE)
    until(lambda: sum(one.api._stream.listeners for one in both.values()) == 1, "it listens", PATIENCE)
    (first,) = [one for one in both.values() if one.api._stream.listeners]
    (second,) = [one for one in both.values() if one is not first]
    first.api.stop()
    second.put_up(led_by("node2", 8))
    watched.until_led_by("node2")
    watched.watch.stop()


def test_over_tls_by_an_authority_and_a_name(
    agents: Callable[..., Agent], port: int, pem: Path, interrupter: Interrupter
) -> None:
    agent = agents(listen=f"127.0.0.1:{port}", certificate=pem / "cert.pem", key=pem / "key.pem")
    agent.put_up(led_by("node1", 7))
    watched = Watched(f"https://localhost:{port}", ca=pem / "cert.pem")
    watched.watch.start(PATIENCE)
    agent.put_up(led_by("node2", 8))
    watched.until_led_by("node2")
    watched.watch.stop()
    for url, ca, why in (
        (f"https://localhost:{port}", None, "certificate is not good"),
        (f"https://127.0.0.1:{port}", pem / "cert.pem", "certificate is not good"),
        (f"http://localhost:{port}", None, "cannot be reached|does not speak HTTP"),
    ):
        (address,) = check_agents([url])
        one = HttpConnection(address, token=SECRET, tls=client_context(ca), interrupter=interrupter)
        with pytest.raises(AgentFailed, match=why):
            one.group(soon())


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (says("401 Unauthorized"), NotAuthorized),
        (says("200 OK", WELL.replace(b"orders", b"others")), UnknownGroup),
    ],
)
def test_a_client_that_is_at_the_wrong_door_is_told_at_once(answer: Answer, error: type[Exception]) -> None:
    with HostileAgent(answer) as hostile, pytest.raises(error) as caught:
        Watched(f"http://127.0.0.1:{hostile.port}").watch.start(PATIENCE)
    assert SECRET not in str(caught.value)


def test_an_authority_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"agents\.ca"):
        Watched("https://mq1", ca=tmp_path / "none.pem")


def test_nothing_is_left_of_watches_that_have_ended(agents: Callable[..., Agent], port: int) -> None:
    agents(listen=f"127.0.0.1:{port}").put_up(led_by("node1", 7))

    def use() -> None:
        watched = Watched(f"http://127.0.0.1:{port}")
        watched.watch.start(PATIENCE)
        watched.watch.stop()
        with HostileAgent(says("401 Unauthorized")) as hostile, pytest.raises(NotAuthorized):
            Watched(f"http://127.0.0.1:{hostile.port}").watch.start(PATIENCE)

    def descriptors() -> int:
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir()))

    use()
    before = descriptors()
    for _ in range(5):
        use()
    until(lambda: descriptors() <= before, "as few descriptors as before", PATIENCE)
    assert not [one for one in threading.enumerate() if one.name == "test-agents"]

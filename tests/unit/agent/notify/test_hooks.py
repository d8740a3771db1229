"""Hooks: real commands and a real web server, small ones; waits that end by a condition."""

import http.server
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from rabbitkeeper.agent.config import HooksConfig, load
from rabbitkeeper.agent.notify.events import Event, EventKind
from rabbitkeeper.agent.notify.hooks import BACKLOG, Hooks, environment, run
from rabbitkeeper.agent.notify.webhook import Webhook
from rabbitkeeper.coordinator.model.errors import ConfigurationError

PATIENCE = 20.0  # seconds; not waited for when things work


ELECTED = Event(
    kind=EventKind.LEADER_ELECTED,
    at="2026-01-31T12:00:00.000Z",
    group="orders",
    agent="node1",
    member="node1",
    event_id="lead-7",
    leader="node1",
    epoch=7,
    state="running",
    cause="broker hung",
)


def event(kind: EventKind = EventKind.LEADER_ELECTED, member: str = "node1") -> Event:
    return replace(ELECTED, kind=kind, member=member)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.fixture
def hooked() -> Iterator[Callable[..., Hooks]]:
    started: list[Hooks] = []

    def begin(config: HooksConfig) -> Hooks:
        hooks = Hooks(config)
        hooks.start()
        started.append(hooks)
        return hooks

    yield begin
    for hooks in started:
        hooks.stop()


# -- commands


def test_a_command_is_told_what_has_happened(tmp_path: Path, hooked: Callable[..., Hooks]) -> None:
    write = "json.dump(dict(os.environ), open('told.tmp', 'w')); os.rename('told.tmp', 'told')"
    script = f"import json, os; os.chdir({str(tmp_path)!r}); {write}"
    hooks = hooked(HooksConfig(leader_elected=python(script)))
    hooks.receive(None, (replace(ELECTED, reason="takes the lead", incarnation=3),))
    until((tmp_path / "told").exists)
    told = json.loads((tmp_path / "told").read_text())
    assert {key: value for key, value in told.items() if key.startswith("RABBITKEEPER_")} == {
        "RABBITKEEPER_EVENT": "leader_elected",
        "RABBITKEEPER_EVENT_ID": "lead-7",
        "RABBITKEEPER_GROUP": "orders",
        "RABBITKEEPER_AGENT": "node1",
        "RABBITKEEPER_MEMBER": "node1",
        "RABBITKEEPER_LEADER": "node1",
        "RABBITKEEPER_EPOCH": "7",
        "RABBITKEEPER_INCARNATION": "3",
        "RABBITKEEPER_CAUSE": "broker hung",
        "RABBITKEEPER_OPERATION_ID": "",
        "RABBITKEEPER_STATE": "running",
        "RABBITKEEPER_REASON": "takes the lead",
        "RABBITKEEPER_AT": "2026-01-31T12:00:00.000Z",
    }
    until(lambda: hooks.outcomes["leader_elected", "command", "done"] == 1)


def test_the_agents_own_environment_is_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RABBIT_PASSWORD", "s3cret")
    told = environment(replace(ELECTED, epoch=None, reason=None))
    assert "RABBIT_PASSWORD" not in told
    assert told["PATH"] == os.environ["PATH"]
    assert told["RABBITKEEPER_EPOCH"] == told["RABBITKEEPER_REASON"] == ""


def test_only_what_is_hooked_runs(hooked: Callable[..., Hooks]) -> None:
    hooks = hooked(HooksConfig(member_down=python("pass")))
    hooks.receive(None, (event(EventKind.STATE), event(), event(EventKind.MEMBER_DOWN, "node2")))
    until(lambda: sum(hooks.outcomes.values()) == 1)
    assert dict(hooks.outcomes) == {("member_down", "command", "done"): 1}


def test_without_hooks_there_is_nothing_to_do() -> None:
    assert not Hooks(HooksConfig()).wanted


def test_a_command_is_killed_at_its_deadline_with_its_children(tmp_path: Path) -> None:
    child = tmp_path / "child"
    command = ["sh", "-c", f"sleep 600 & echo $! > {child}; wait"]
    ended = threading.Event()
    outcomes: list[str] = []

    def do() -> None:
        outcomes.append(run(command, ELECTED, 1.0))
        ended.set()

    threading.Thread(target=do, daemon=True).start()
    assert ended.wait(PATIENCE)
    assert outcomes == ["killed"]
    until(lambda: not _runs(int(child.read_text())))


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_command_that_fails_or_is_not_there_is_a_failure() -> None:
    assert run(python("raise SystemExit(3)"), ELECTED, PATIENCE) == "failed"
    assert run(["/nowhere/at/all"], ELECTED, PATIENCE) == "failed"


def test_what_does_not_fit_into_the_queue_is_left_out_and_counted(
    tmp_path: Path, hooked: Callable[..., Hooks]
) -> None:
    gate = tmp_path / "gate"
    waits = f"while [ ! -e {gate} ]; do sleep 0.01; done"
    hooks = hooked(HooksConfig(member_down=["sh", "-c", waits]))
    down = event(EventKind.MEMBER_DOWN, "node2")
    started = time.monotonic()
    hooks.receive(None, (down,) * (BACKLOG + 10))
    assert time.monotonic() - started < PATIENCE  # nobody waited for the command
    assert 9 <= hooks.outcomes["member_down", "command", "dropped"] <= 10
    gate.touch()


# -- the webhook


class Receiver:
    """A web server that answers as it is told and keeps what it gets."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.got: list[dict[str, object]] = []
        receiver = self

        class Answering(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.append(json.loads(body))
                self.send_response(receiver.answers.pop(0) if receiver.answers else 204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_the_webhook_gets_the_event_as_json(receiver: Receiver, hooked: Callable[..., Hooks]) -> None:
    hooks = hooked(HooksConfig(webhook=SecretStr(receiver.url)))
    hooks.receive(None, (replace(ELECTED, timings={"vacant": 0.2}),))
    until(lambda: hooks.outcomes["leader_elected", "webhook", "done"] == 1)
    (got,) = receiver.got
    assert got["event"] == "leader_elected"
    assert got["epoch"] == 7
    assert got["timings"] == {"vacant": 0.2}


@pytest.mark.parametrize(
    ("answers", "outcome", "attempts"),
    [
        ([500, 204], "done", 2),
        ([429, 200], "done", 2),
        ([500, 502, 503], "failed", 3),
        ([404], "failed", 1),
        ([302], "failed", 1),
    ],
)
def test_the_webhook_is_tried_again_where_that_can_help(
    receiver: Receiver, answers: list[int], outcome: str, attempts: int
) -> None:
    receiver.answers = answers
    pauses: list[float] = []
    webhook = Webhook(receiver.url, PATIENCE, sleep=pauses.append)
    assert webhook.call(event()) == outcome
    assert len(receiver.got) == attempts
    assert pauses == [1.0, 2.0][: attempts - 1]


def test_the_webhook_ends_at_its_deadline(receiver: Receiver) -> None:
    receiver.answers = [500] * 3
    now = [0.0]
    webhook = Webhook(receiver.url, 1.0, clock=lambda: now[0], sleep=lambda s: now.__setitem__(0, now[0] + s))
    assert webhook.call(event()) == "failed"
    assert len(receiver.got) == 1


def test_a_webhook_that_is_not_there_fails_and_its_url_is_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    webhook = Webhook("http://127.0.0.1:1/s3cret", PATIENCE, sleep=lambda _: None)
    assert webhook.call(event()) == "failed"
    assert "ConnectError" in caplog.text
    assert "s3cret" not in caplog.text


# -- the configuration

GOOD = """
group: orders
name: node1
zookeeper: {hosts: "127.0.0.1:2181"}
broker:
  driver: process
  node: rabbit@host1
  amqp: {username: rk, password: s3cret}
  process: {directory: data}
hooks: {HOOKS}
"""


@pytest.mark.parametrize(
    ("hooks", "line"),
    [
        ("{leader_lost: /bin/true}", "hooks.leader_lost ('/bin/true') must be a list"),
        ("{leader_lost: []}", "hooks.leader_lost is empty; give a program and its arguments"),
        ("{leader_lost: [1]}", "hooks.leader_lost.0 (1) must be a text; put it in quotes if it is one"),
        ("{leader: [a]}", "hooks.leader is not a known key; did you mean leader_lost?"),
        ("{webhook: s3cret}", "hooks.webhook is not a URL; give it as in https://host/path"),
        ("{timeout: 0}", "hooks.timeout (0) must be at least 1"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, hooks: str, line: str) -> None:
    file = tmp_path / "agent.yml"
    file.write_text(GOOD.replace("{HOOKS}", hooks))
    with pytest.raises(ConfigurationError) as caught:
        load(file)
    assert str(caught.value) == f"{file}: {line}"


def test_the_webhooks_url_is_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "agent.yml"
    file.write_text(GOOD.replace("{HOOKS}", '{webhook: "https://host/s3cr3t"}'))
    config = load(file)
    assert "s3cr3t" not in repr(config)


def test_a_long_reason_suppresses_no_hook(tmp_path: Path, hooked: Callable[..., Hooks]) -> None:
    code = f"import os; open({str(tmp_path / 'told')!r}, 'w').write(os.environ['RABBITKEEPER_REASON'][:9])"
    hooks = hooked(HooksConfig(leader_elected=python(code)))
    hooks.receive(None, (replace(ELECTED, reason="too long " * 10**5),))
    until(lambda: hooks.outcomes["leader_elected", "command", "done"] == 1)
    assert (tmp_path / "told").read_text() == "too long "


def test_the_webhook_follows_no_redirect_and_no_proxy(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere: list[str] = []

    class Redirecting(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            elsewhere.append(self.path)
            self.send_response(307)
            self.send_header("Location", receiver.url)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Redirecting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, receiver.url)
        webhook = Webhook(f"http://127.0.0.1:{server.server_port}/x", PATIENCE, sleep=lambda _: None)
        assert webhook.call(event()) == "failed"
        server.shutdown()
    assert elsewhere == ["/x"]
    assert receiver.got == []

"""The parsers that read what strangers write, each as a target for ``runner.py``, with good inputs.

As a program (``python tests/support/fuzz/targets.py NAME SECONDS [SEED]``, with ``tests`` on the path) it
tries one for so long and tells what it has found.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random

import click
import httpx
import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient
from pika import frame
from pika.spec import Basic, BasicProperties

from rabbitkeeper.agent.api import Metrics, Sources, Stream, answers, build
from rabbitkeeper.agent.api.refusal import WriteAccess
from rabbitkeeper.agent.config import load
from rabbitkeeper.agent.config.change import edited, parsed, with_values
from rabbitkeeper.agent.config.sample import SAMPLE_CONFIG
from rabbitkeeper.agent.model.state import Board
from rabbitkeeper.client.amqp.decoding import Decoder, Delivery, FrameError, decode_envelope
from rabbitkeeper.client.amqp.properties import decode_properties
from rabbitkeeper.client.amqp.transport import FRAME_MAX
from rabbitkeeper.client.discovery.agent_address import check_agents
from rabbitkeeper.client.discovery.event_stream import EventStream, SentEvent
from rabbitkeeper.client.discovery.group_answer import parse_group
from rabbitkeeper.client.model.errors import InvalidArgument
from rabbitkeeper.client.routing.allowed_brokers import AllowedBrokers
from rabbitkeeper.client.routing.listener import targets_of
from rabbitkeeper.client.routing.placement import Targets
from rabbitkeeper.coordinator.cli import output
from rabbitkeeper.coordinator.cli import root as cli
from rabbitkeeper.coordinator.model import records
from rabbitkeeper.coordinator.model.errors import (
    ConfigurationError,
    RabbitKeeperError,
    RecordError,
    ZooKeeperUnreachable,
)
from rabbitkeeper.coordinator.model.record import StoredRecord
from rabbitkeeper.coordinator.policy.schedule import moment
from rabbitkeeper.coordinator.store.store import Store
from support import agent_states as hand_made
from support.fuzz import runner

SECRET = "geheim"
TOKEN = "a-token-of-a-good-length"

_KINDS: Sequence[type[StoredRecord]] = (
    records.MemberRecord,
    records.LeaderRecord,
    records.GroupConfig,
    records.PauseRecord,
    records.SwitchoverRecord,
    records.MaintenanceRecord,
    records.ClusterRecord,
    records.IncarnationRecord,
    records.OperationLog,
    records.History,
)
_ENTRY = {
    "epoch": 7, "from": None, "to": "a", "node": "a@b", "cause": "first leader", "by": "a",
    "at": hand_made.SINCE, "timings": {"vacant": 0.25},
}  # fmt: skip
_RECORDS = [
    hand_made.member("node1").record.to_bytes(),
    hand_made.leader("node1").record.to_bytes(),
    records.GroupConfig.model_validate({"mode": "cluster", "health": {"interval": 0.5}}).to_bytes(),
    records.PauseRecord(by="anna", since=hand_made.SINCE, reason="new disks").to_bytes(),
    json.dumps({"v": 1, "entries": [_ENTRY, _ENTRY]}).encode(),
    b'{"v":1,"id":"1","kind":"switchover","from":"a","epoch":7,"to":null,"at":null,"by":"x","requested":"t"}',
    b'{"v":1,"id":"2","kind":"restart","members":["a"],"done":[],"by":"x","requested":"t"}',
    b'{"v":1,"founder":"a@b","formed":"t","nodes":{"a@b":{"member":"a","joined":"t"}}}',
    b'{"v":1,"entries":[{"id":"1","kind":"pause","state":"done","by":"x","requested":"t","at":"t"}]}',
]


def read_records(data: bytes) -> None:
    """A record is read or refused; what is read can be written, read again, and shown in every way."""
    for kind in _KINDS:
        try:
            record = kind.from_bytes("/path", data)
        except RecordError:
            continue
        written = record.to_bytes()
        assert kind.from_bytes("/path", written).to_bytes() == written
        content = record.model_dump(mode="json", by_alias=True)
        json.dumps(content, allow_nan=False).encode()
        assert "\x1b" not in output.as_json(content) + output.as_yaml(content)
        if isinstance(record, records.OperationLog):
            for operation in record.entries:
                output.clock(operation.at or "")
                output.age(operation.requested)


_FILE = b"""
group: g
name: n
zookeeper: {hosts: 'zk1:2181', session_timeout: 6.0}
broker: {driver: external, node: 'rabbit@h', amqp: {username: u, password: geheim}}
hooks: {webhook: 'https://geheim/x'}
http: {listen: '10.0.0.1:8008', token: geheimgeheimgeheimgeheim}
tags: {priority: 100, site: a}
"""
_CONFIGURATIONS = [_FILE, SAMPLE_CONFIG.replace("/etc/rabbitkeeper/password", "/dev/null").encode()]
_FOLDER = tempfile.TemporaryDirectory(prefix="rabbitkeeper-fuzz-")


def read_configuration(data: bytes) -> None:
    """A file is taken or refused, and no refusal shows what may be a password."""
    path = Path(_FOLDER.name) / "agent.yml"
    path.write_bytes(data)
    try:
        config = load(path)
    except ConfigurationError as error:
        shown = str(error)
    else:
        shown = repr(config) + repr(config.exposures) + repr(config.secret_files)
    if _secrets_are_where_they_were(data):
        assert SECRET not in shown, shown
    text = data.decode(errors="replace")
    with suppress(RabbitKeeperError):
        with_values(None, dict([parsed(text)]))
    with suppress(RabbitKeeperError):
        edited(None, text)


def _secrets_are_where_they_were(data: bytes) -> bool:
    """Whether they stand in the lines that they belong to and nowhere else, where a value may be shown."""
    lines = [line for line in _FILE.splitlines() if SECRET.encode() in line]
    return data.count(SECRET.encode()) == _FILE.count(SECRET.encode()) and {*lines} <= {*data.splitlines()}


_FRAMES = [
    frame.Method(1, Basic.Deliver("tag", 7, False, "exchange", "key")).marshal()
    + frame.Header(1, 5, BasicProperties(message_id="x", headers={"a": [1, {"b": 2}], "c": "d"})).marshal()
    + frame.Body(1, b"hello").marshal(),
    frame.Method(1, Basic.Deliver("", 1, True, "", "")).marshal()
    + frame.Header(1, 10, BasicProperties(priority=3, timestamp=2**62)).marshal()
    + frame.Body(1, b"01234").marshal()
    + frame.Body(1, b"56789").marshal(),
    frame.Heartbeat().marshal(),
    frame.Method(1, Basic.Cancel("tag", True)).marshal(),
    frame.Method(2, Basic.Ack(7, True)).marshal(),
]


def read_frames(data: bytes) -> None:
    """What a hostile broker sends is a delivery, is handed on, or ends the connection in the one way."""
    got: list[Delivery] = []
    decoder = Decoder(lambda _frame: None, FRAME_MAX)
    decoder.consume(1, "tag", got.extend)
    decoder.confirm(2, lambda _answers: None)
    random = Random(len(data))
    try:
        while data:
            cut = random.randrange(1, len(data) + 1)
            decoder.feed(data[:cut])
            data = data[cut:]
    except FrameError:
        return
    for _tag, _again, envelope, properties, _body in got:
        decode_envelope(envelope)
        assert isinstance(properties, bytes)
        decode_properties(properties)


_GROUP = json.dumps(
    answers.group(hand_made.state(view=hand_made.view(hand_made.leader("node2"))), hand_made.NOW, 0.0)[1]
).encode()
_ANSWERS = [
    _GROUP,
    b"event: hello\ndata: {}\n\n: still there\n\nid: a-1\nevent: group\ndata: " + _GROUP + b"\n\n",
    b'event: zookeeper\r\ndata: {"state": "disconnected"}\r\n\r\nretry: 3\ndata\n\n',
    b"https://mq1:8008",
    b"http://[fd00::1]:8008/below",
]


def read_answers(data: bytes) -> None:
    """An agent's answer says how a group is or is refused; a stream is the same however it is cut."""
    for part in (data, *(event.data for event in _events(data, len(data) or 1))):
        with suppress(RecordError):
            told = parse_group(part, 0.0)
            assert all(problem.isprintable() for problem in told.view.problems)
            targets_of(told.view, Targets())
    assert _events(data, len(data) or 1) == _events(data, 1 + len(data) % 7)
    with suppress(InvalidArgument):
        (address,) = check_agents([data.decode("latin-1")])
        assert check_agents([str(address)]) == (address,)


def _events(data: bytes, step: int) -> list[SentEvent]:
    stream = EventStream()
    return [event for at in range(0, len(data), step) for event in stream.feed(data[at : at + step])]


_ARGUMENTS = [
    *(b"-g\nx\nlist", b"-g\nx\n-o\njson\nleader", b"-g\nx\nhistory\n-n\n5", b"-g\nx\noperations\nshow\n1"),
    *(b"-g\nx\nswitchover\n--to\na\n--at\n+10m\n--by\nanna\n--reason\nwhy", b"-g\nx\npause\n--dry-run"),
    *(b"-g\nx\nconfig\nset\nhealth.interval=0.5\n--version\n3", b"-g\nx\nrestart\nnode1\n--force\n--wait\n0"),
    *(b"-g\nx\nmember\nremove\nnode1", b"-g\nx\nsecure\n--reader\ndigest:a:b\n--dry-run", b"--help"),
    *(b"-g\nx\nwatch\n--for\n1", b"agent\n--check\n/dev/null", b"--zookeeper-auth\n/dev/null\n-g\nx\nlist"),
]


class _NoBackend:
    """Stands for a ZooKeeper that is away: what is looked at is what comes before it is asked."""

    def start(self, timeout: float) -> None:
        raise ZooKeeperUnreachable("away")

    def close(self) -> None:
        """Nothing is open."""


def read_arguments(data: bytes) -> None:
    """A command ends with one of its exit codes, and with no traceback."""
    arguments = [os.fsdecode(each) for each in data.replace(b"\0", b"").split(b"\n")][:30]
    if "demo" in arguments or ("agent" in arguments and "--check" not in arguments):
        return  # they would do something
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cli, "backend_at", lambda *_arguments, **_options: _NoBackend())
        done = CliRunner().invoke(cli.root, ["-z", "zk:2181", *arguments], catch_exceptions=True)
    if done.exception is not None and not isinstance(done.exception, SystemExit | click.ClickException):
        raise done.exception
    assert done.exit_code in (0, 1, 2)
    assert "\x1b" not in done.output
    for text in arguments:
        with suppress(ConfigurationError):
            moment(text, 1769860800.0)
        with suppress(InvalidArgument):
            AllowedBrokers([text]).allows(text)


_REQUESTS = [
    b"GET\n/leader?hold=true", b"GET\n/history?last=3", b"GET\n/operations/1", b"GET\n/group",
    b"OPTIONS\n/live",
    b'POST\n/switchover\n{"to": "node2", "at": "+10m", "by": "anna", "reason": "x", "dry_run": true}',
    b'POST\n/restart\n{"member": "node1", "force": false}', b"POST\n/members/node1/remove\n{}",
    b"POST\n/operations/1/cancel\n{}", b"GET\n/metrics", b"GET\n/openapi.json", b"GET\n/",
]  # fmt: skip


MEANT = frozenset({200, 202, 400, 401, 403, 404, 405, 408, 409, 413, 422, 503, 504})
"""What the API answers: no 500, and nothing in between that a load balancer could take for health."""


def _no_zookeeper() -> Store:
    raise ZooKeeperUnreachable("away")


def api() -> TestClient:
    board, stream = Board(lambda: hand_made.NOW), Stream("i")
    board.put_up(hand_made.state(view=hand_made.view(hand_made.leader("node2"))))
    sources = Sources(
        board=board,
        store=_no_zookeeper,
        member="node1",
        access=lambda: WriteAccess(TOKEN),
        version="1",
        metrics=Metrics(board, "1", hooks={}, listeners=lambda: 0),
        stream=stream,
        clock=lambda: hand_made.NOW,
    )
    return TestClient(build(sources))


_CLIENTS: list[TestClient] = []


def ask(data: bytes) -> None:
    """Whatever is asked: an answer that is meant, and never what passes for health on a path that is none."""
    if not _CLIENTS:
        _CLIENTS.append(api())
        _CLIENTS[0].__enter__()
    method, _, rest = data.decode("latin-1").partition("\n")
    path, _, body = rest.partition("\n")
    if not method.isalpha() or not path.startswith("/") or path.startswith("//") or not path.isprintable():
        return
    if "/events" in path:
        return  # it goes on for ever
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with suppress(UnicodeEncodeError, httpx.InvalidURL):  # the client's, not the API's
        answer = _CLIENTS[0].request(
            method, path, content=body.encode("latin-1"), headers=headers, follow_redirects=False
        )
        assert answer.status_code in MEANT, answer.status_code


TARGETS: dict[str, tuple[Callable[[bytes], object], Sequence[bytes], int]] = {
    "records": (read_records, _RECORDS, 400),
    "configuration": (read_configuration, _CONFIGURATIONS, 150),
    "frames": (read_frames, _FRAMES, 3000),
    "answers": (read_answers, _ANSWERS, 300),
    "arguments": (read_arguments, _ARGUMENTS, 100),
    "requests": (ask, _REQUESTS, 300),
}
"""By name: the target, its good inputs, and how many inputs a quick test tries."""


if __name__ == "__main__":
    name, seconds, *seed = sys.argv[1:]
    target, good, _ = TARGETS[name]
    print(name, runner.run(target, good, seed=int(seed[0]) if seed else 0, seconds=float(seconds)))  # noqa: T201

"""The command as operators and scripts use it: what it prints, and its exit code."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from rabbitkeeper.coordinator.cli.root import root
from rabbitkeeper.coordinator.model.records import (
    HistoryEntry,
    LeaderRecord,
    MemberRecord,
    MemberStatus,
    PauseRecord,
    Tags,
    Versions,
    utcnow,
)
from rabbitkeeper.coordinator.store.store import Store

pytestmark = pytest.mark.zookeeper

Run = Callable[..., Result]


@pytest.fixture
def store(stores: Callable[..., Store]) -> Store:
    return stores()


@pytest.fixture
def run(zookeeper: str, group: str) -> Run:
    def run(*arguments: str) -> Result:
        environment = {"RABBITKEEPER_ZOOKEEPER": zookeeper, "RABBITKEEPER_GROUP": group}
        return CliRunner().invoke(root, arguments, env=environment)

    return run


@pytest.fixture
def led(store: Store, stores: Callable[..., Store]) -> int:
    """Two members, the first leads; its epoch, which is in the history."""
    sick = stores()
    sick.register(member("node2", MemberStatus.UNREACHABLE, "connection refused", "it has been killed"))
    store.register(member("node1", MemberStatus.RUNNING))
    epoch = store.take_lead(
        LeaderRecord(
            name="node1",
            instance="1",
            node="rabbit@node1",
            amqp="10.0.0.1:5672",
            since=utcnow(),
            cause="broker unreachable",
        )
    )
    store.append_history(
        HistoryEntry(
            epoch=epoch,
            previous="node2",
            to="node1",
            node="rabbit@node1",
            cause="broker unreachable",
            by="node1",
            at=utcnow(),
            timings={"vacant": 0.25},
        )
    )
    return epoch


def member(name: str, state: MemberStatus, *reasons: str) -> MemberRecord:
    return MemberRecord(
        name=name,
        instance="1",
        node=f"rabbit@{name}",
        versions=Versions(agent="0.1.0"),
        amqp=f"10.0.0.{name[-1]}:5672",
        state=state,
        reasons=reasons,
        since=utcnow(),
        tags=Tags(priority=50),
    )


def test_list_shows_who_leads_how_all_are_and_why(run: Run, led: int, group: str) -> None:
    result = run("list")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["group", f"{group},", "epoch", str(led)]
    assert lines[2] == ["node1", "leader", "running", "0", "s", "10.0.0.1:5672", "rabbit@node1", "50"]
    assert lines[3][:2] == ["node2", "unreachable"]
    *_, why, warning = result.stdout.splitlines()
    assert why == "node2 is unreachable: connection refused; it has been killed"
    assert warning.startswith("Warning: everybody who reaches ZooKeeper can change this group")


@pytest.mark.parametrize(("output", "parse"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_machines_get_the_same(
    run: Run, led: int, group: str, output: str, parse: Callable[[str], Any]
) -> None:
    content = parse(run("-o", output, "list").stdout)
    assert (content["group"], content["leader"], content["epoch"]) == (group, "node1", led)
    assert [(one["name"], one["state"], one["leader"]) for one in content["members"]] == [
        ("node1", "running", True),
        ("node2", "unreachable", False),
    ]
    leader = parse(run("-o", output, "leader").stdout)
    assert (leader["name"], leader["amqp"], leader["epoch"]) == ("node1", "10.0.0.1:5672", led)
    (entry,) = parse(run("-o", output, "history").stdout)
    assert (entry["epoch"], entry["from"], entry["to"]) == (led, "node2", "node1")


def test_leader_and_history_for_people(run: Run, led: int) -> None:
    assert "10.0.0.1:5672" in run("leader").stdout
    row = run("history").stdout.splitlines()[-1].split()
    assert (row[0], row[3:5]) == (str(led), ["node2", "node1"])
    assert row[-3:] == ["vacant", "0.25", "s"]


def test_without_a_leader(run: Run, store: Store, group: str) -> None:
    result = run("leader")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith(f"rabbitkeeper: group '{group}' has no leader")
    assert "no leader" in run("list").stdout
    assert "No agent is registered" in run("list").stdout
    assert "no leader yet" in run("history").stdout


def test_a_pause_and_rubbish_are_told(run: Run, store: Store) -> None:
    store.backend.create(store.paths.pause, PauseRecord(by="ann", since="", reason="new disks").to_bytes())
    store.backend.create(store.paths.member("node9"), b"rubbish")
    result = run("list")
    assert result.exit_code == 0
    assert "Paused by ann" in result.stdout
    assert "new disks" in result.stdout
    assert store.paths.member("node9") in result.stderr


@pytest.mark.parametrize("command", ["list", "leader", "history"])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-g", "no-such"), "group 'no-such' does not exist"),
        (("-g", "a/b"), "group name 'a/b' is not valid: use 1 to 63"),
        (("-z", "127.0.0.1:x"), "hosts '127.0.0.1:x' are not valid: use host:port"),
        (("-z", "127.0.0.1:1"), "no ZooKeeper server of 127.0.0.1:1 answered"),
    ],
    ids=["unknown group", "bad group", "bad hosts", "unreachable"],
)
def test_bad_input_is_one_line_and_2(
    run: Run,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.setattr("rabbitkeeper.coordinator.cli.root.CONNECT_TIMEOUT", 0.5)
    result = run(*arguments, command)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_console_script_starts_only_what_it_is_asked_for(
    zookeeper: str, store: Store, group: str
) -> None:
    script = (
        "import sys; from rabbitkeeper.coordinator.cli.root import root\n"
        f"root(['-z', {zookeeper!r}, '-g', {group!r}, 'list'], standalone_mode=False)\n"
        "names = [n for n in sys.modules if n.startswith(('rabbitkeeper.', 'pika'))]\n"
        "print(' '.join(n for n in names if not n.startswith('rabbitkeeper.coordinator')\n"
        "    or n.startswith('rabbitkeeper.coordinator.cli.commands.') and not n.endswith('.list')))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == ""


def test_watch_shows_what_there_is_and_then_what_changes(run: Run, store: Store, led: int) -> None:
    change = threading.Timer(0.5, lambda: store.update(member("node1", MemberStatus.ALARMED, "disk alarm")))
    change.start()
    shown = run("-o", "json", "watch", "--for", "3")
    change.join()
    assert shown.exit_code == 0, shown.output
    first, second = (json.loads(line) for line in shown.stdout.splitlines())
    assert (first["leader"], first["epoch"]) == ("node1", led)
    assert first["changes"][0] == f"node1 leads (epoch {led}): broker unreachable"
    assert second["changes"] == ["node1 is alarmed: disk alarm"]


def test_watch_prints_lines_where_nobody_looks(run: Run, led: int) -> None:
    shown = run("watch", "--for", "0")
    assert shown.exit_code == 0
    assert [line.split(" ", 1)[1] for line in shown.stdout.splitlines()] == [
        f"node1 leads (epoch {led}): broker unreachable",
        "node1 is running",
        "node2 is unreachable: connection refused; it has been killed",
    ]


def test_watch_of_a_group_that_is_not_there_says_so(run: Run) -> None:
    assert run("watch", "--for", "1").exit_code == 2


def test_the_doctor_names_what_is_wrong_and_what_would_help(run: Run, led: int) -> None:
    shown = run("doctor")
    assert shown.exit_code == 1
    assert "is unreachable: connection refused; it has been killed" in shown.stdout
    assert "no RabbitMQ cluster has been formed yet" in shown.stdout
    told = json.loads(run("-o", "json", "doctor").stdout)
    assert [one["severity"] for one in told["findings"]] == ["problem", "problem", "warning", "warning"]
    assert told["asked"]["members"] == ["node1", "node2"]
    assert all(one["remedy"] for one in told["findings"])


def test_the_doctor_says_when_zookeeper_is_not_there(group: str) -> None:
    environment = {"RABBITKEEPER_ZOOKEEPER": "127.0.0.1:1", "RABBITKEEPER_GROUP": group}
    done = CliRunner().invoke(root, ["doctor"], env=environment)
    assert done.exit_code == 2
    assert "no ZooKeeper server of 127.0.0.1:1 answered" in done.stderr

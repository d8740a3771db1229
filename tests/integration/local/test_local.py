"""The one piece that tests, benchmarks and the demo start their servers with."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pika
import pytest

from rabbitkeeper.compose.local import Local, LocalError, installed

AGENT_ORPHAN = textwrap.dedent(
    """
    import json, time
    from rabbitkeeper.compose.local import Local

    with Local(zookeepers=1, members=1, group="orphan") as local:
        broker = local.broker_pid("node1")
        local.kill_agent("node1")
        assert local.broker_pid("node1") == broker, "the broker did not outlive its agent"
        print(json.dumps([str(local.folder), [broker, local.zookeeper.pid(0)]]), flush=True)
        time.sleep(600)
    """
)


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def eventually(condition: Callable[[], bool], timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.zookeeper
@pytest.mark.rabbitmq
def test_a_broker_orphaned_by_its_agent_does_not_outlive_the_caller() -> None:
    caller = subprocess.Popen([sys.executable, "-c", AGENT_ORPHAN], stdout=subprocess.PIPE)
    try:
        assert caller.stdout is not None
        folder, pids = json.loads(caller.stdout.readline())
        assert not any(map(gone, pids))
    finally:
        caller.kill()
        caller.communicate()
    assert eventually(lambda: all(map(gone, pids)) and not Path(folder).exists(), 60)


@pytest.mark.rabbitmq
def test_a_broker_is_killed_stopped_and_started_by_name(broker: Local) -> None:
    first = broker.broker_pid("node1")
    assert first is not None
    broker.stop_broker("node1")
    try:
        # The kernel stops each thread of it when that comes to run.
        stat = Path(f"/proc/{first}/stat")
        assert eventually(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", 60)
    finally:
        broker.continue_broker("node1")
    broker.kill_broker("node1")
    assert gone(first)
    assert broker.broker_pid("node1") is None
    with pytest.raises(LocalError, match="not running"):
        broker.stop_broker("node1")
    broker.start_broker("node1")
    assert broker.broker_pid("node1") not in (None, first)
    login(broker)


def login(local: Local) -> None:
    host, port = local.amqp("node1")
    credentials = pika.PlainCredentials(*local.credentials)
    pika.BlockingConnection(pika.ConnectionParameters(host, port, credentials=credentials)).close()


@pytest.mark.rabbitmq
def test_the_application_may_use_its_vhost_and_the_password_is_in_no_argument(broker: Local) -> None:
    login(broker)
    secrets = [broker.credentials[1], broker.settings("node1").user[1], broker.settings("node1").cookie]
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = entry.read_bytes().decode(errors="replace")
        except OSError:
            continue
        assert not any(secret and secret in arguments for secret in secrets)


@pytest.mark.rabbitmq
def test_everything_listens_on_loopback_only(broker: Local) -> None:
    pids = [broker.broker_pid("node1")]
    inodes = {
        os.readlink(link)[8:-1]  # noqa: PTH115 - socket:[inode] is no path
        for pid in pids
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if os.readlink(link).startswith("socket:")  # noqa: PTH115
    }
    listening = [
        fields[1].partition(":")[0]
        for table in ("tcp", "tcp6")
        for fields in map(str.split, Path(f"/proc/net/{table}").read_text().splitlines()[1:])
        if fields[3] == "0A" and fields[9] in inodes
    ]
    assert listening
    assert set(listening) == {"0100007F"}


def test_a_broker_that_does_not_start_is_told_with_its_last_lines_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "broken" / "sbin" / "rabbitmq-server"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\necho the disk is full\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setenv("RABBITMQ_HOME", str(script.parent.parent))
    monkeypatch.setenv("SERVER_LOGS", str(tmp_path / "logs"))
    folder = tmp_path / "servers"
    local = Local(zookeepers=0, members=1, agents=False, directory=folder)
    with pytest.raises(LocalError, match=r"node1 ended with status 1(.|\n)*the disk is full") as raised:
        local.start()
    assert not folder.exists()
    logs = tmp_path / "logs" / "demo" / "servers"
    assert str(logs) in str(raised.value)
    assert "the disk is full" in (logs / "node1" / "log" / "output.log").read_text()
    with pytest.raises(LocalError, match="nothing is running"):
        _ = local.folder


def test_what_is_not_installed_is_told_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(LocalError, match="apt-get install"):
        installed.java()
    monkeypatch.setenv("RABBITMQ_HOME", "/no/such")
    with pytest.raises(LocalError, match="RABBITMQ_HOME=/no/such"):
        installed.rabbitmq_server()


def test_agents_without_zookeeper_are_refused() -> None:
    with pytest.raises(LocalError, match="zookeepers=1"):
        Local(zookeepers=0)


@pytest.mark.rabbitmq
def test_what_does_not_apply_is_a_sentence(broker: Local) -> None:
    with pytest.raises(LocalError, match="'node9'; there are: node1"):
        broker.amqp("node9")
    with pytest.raises(LocalError, match="has no agent"):
        broker.kill_agent("node1")
    with pytest.raises(LocalError, match="running already"):
        broker.start()
    with pytest.raises(LocalError, match="no ZooKeeper"):
        _ = broker.zookeeper_hosts


@pytest.mark.zookeeper
def test_ctrl_c_while_starting_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "servers"
    script = (
        "from pathlib import Path; import sys; from rabbitkeeper.compose.local import Local\n"
        "Local(zookeepers=1, members=3, directory=Path(sys.argv[1])).start()"
    )
    caller = subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        assert eventually((folder / "node3" / "agent.yml").exists, 60)
        os.killpg(caller.pid, signal.SIGINT)
        _, told = caller.communicate(timeout=60)
        assert b"KeyboardInterrupt" in told
        assert not folder.exists()
    finally:
        caller.kill()
        caller.wait()

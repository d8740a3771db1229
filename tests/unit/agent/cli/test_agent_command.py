"""``rabbitkeeper agent`` as far as it goes without servers."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.waiting import wait_for

from rabbitkeeper.agent.cli import preflight
from rabbitkeeper.agent.cli.command import command
from rabbitkeeper.agent.config import load
from rabbitkeeper.agent.config.sample import SAMPLE_CONFIG
from rabbitkeeper.coordinator.model.errors import ConfigurationError

CONFIG = """
group: orders
name: node1
zookeeper: {{hosts: "127.0.0.1:{port}", connect_timeout: 0.5}}
broker:
  driver: external
  node: rabbit@host1
  amqp: {{username: rk, password: s3cret}}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    path = tmp_path / "agent.yml"
    path.write_text(CONFIG.format(port=port))
    return path


def test_the_sample_is_printed() -> None:
    done = CliRunner().invoke(command, ["--sample-config"])
    assert (done.exit_code, done.output) == (0, SAMPLE_CONFIG)


def test_a_valid_configuration_is_said_to_be_valid(path: Path) -> None:
    done = CliRunner().invoke(command, [str(path), "--check"])
    assert (done.exit_code, done.output) == (0, f"{path}: member node1 of group orders: valid\n")


def test_without_a_file_the_usage_is_told() -> None:
    done = CliRunner().invoke(command, [])
    assert done.exit_code == 2
    assert "--sample-config" in done.output


def test_each_problem_is_a_line_and_the_exit_code_is_2(path: Path) -> None:
    path.write_text(path.read_text().replace("name: node1", "nam: node1"))
    done = CliRunner().invoke(command, [str(path)])
    assert done.exit_code == 2
    assert done.output.splitlines() == [
        f"{path}: name is missing; it has no default",
        f"{path}: nam is not a known key; did you mean name?",
    ]


def test_zookeeper_that_does_not_answer_is_waited_for_and_told_in_one_line(path: Path) -> None:
    module = [sys.executable, "-m", "rabbitkeeper.agent", str(path)]
    with subprocess.Popen(module, stderr=subprocess.PIPE, text=True) as agent:
        assert agent.stderr is not None
        told = agent.stderr.readline()
        assert agent.poll() is None, "it waits"
        agent.terminate()
        rest = agent.stderr.read()
    assert "waiting for ZooKeeper: no ZooKeeper server of 127.0.0.1:" in told
    assert "answered within 0.5 s" in told
    assert rest == ""


@pytest.mark.parametrize("absent", ["click", "yaml"])
def test_without_its_libraries_the_module_says_how_to_get_them(absent: str) -> None:
    module = "import runpy; runpy.run_module('rabbitkeeper.agent', run_name='__main__')"
    script = f"import sys; sys.modules[{absent!r}] = None\n{module}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        f"rabbitkeeper: {absent} is not installed; the agent needs: pip install 'rabbitkeeper[agent]'\n"
    )


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"driver: external": "driver: process\n  process: {directory: d, server: /nowhere/x}"}, "server is"),
        (
            {"name: node1": "name: node1\nhttp: {listen: 'h:1', certificate: /nowhere}"},
            "http.certificate (/now",
        ),
        (
            {"driver: external": "driver: process\n  process: {directory: d, cookie_file: /nowhere}"},
            "cookie_file",
        ),
    ],
)
def test_a_check_refuses_what_a_run_would_refuse(path: Path, changes: dict[str, str], why: str) -> None:
    text = path.read_text()
    for before, after in changes.items():
        text = text.replace(before, after)
    path.write_text(text)
    checked = CliRunner().invoke(command, [str(path), "--check"])
    assert checked.exit_code == 2
    assert why in checked.output or "broker.process.server" in checked.output
    assert len(checked.output.splitlines()) == 1


def test_sudo_in_a_unit_without_new_privileges_is_named(path: Path, tmp_path: Path) -> None:
    text = path.read_text().replace("driver: external", "driver: systemd\n  systemd: {sudo: true}")
    path.write_text(text)
    own, free = load(path), tmp_path / "status"
    free.write_text("NoNewPrivs:\t0\n")
    preflight.check_privileges(path, own, units=(tmp_path,), status=free)
    (tmp_path / "agent.service").write_text(f"[Service]\nExecStart=rabbitkeeper agent {path}\n")
    preflight.check_privileges(path, own, units=(tmp_path,), status=free)
    (tmp_path / "agent.service.d").mkdir()
    (tmp_path / "agent.service.d" / "hard.conf").write_text("[Service]\nNoNewPrivileges=yes\n")
    with pytest.raises(
        ConfigurationError, match=r"broker.systemd.sudo is true, and .*agent.service has NoNew"
    ):
        preflight.check_privileges(path, own, units=(tmp_path,), status=free)
    free.write_text("NoNewPrivs:\t1\n")
    with pytest.raises(ConfigurationError, match="and this process has NoNewPrivileges"):
        preflight.check_privileges(path, own, units=(), status=free)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_that_is_no_end_ends_nothing(path: Path, number: signal.Signals) -> None:
    """Before there is a ZooKeeper, where an agent spends its time when all is started at once."""
    path.write_text(path.read_text().replace("connect_timeout: 0.5", "connect_timeout: 3"))
    with subprocess.Popen(
        [sys.executable, "-m", "rabbitkeeper.agent", str(path)], stderr=subprocess.PIPE, text=True
    ) as agent:
        assert agent.stderr is not None
        status = Path(f"/proc/{agent.pid}/status")
        wait_for(lambda: handles(status, number), "its handler")
        agent.send_signal(number)
        wait_for(lambda: not pending(status, number), "what it does then")
        agent.terminate()
        said = agent.stderr.read()
        assert agent.wait(30) == 0
    assert ("most recent call first" in said) == (number is signal.SIGQUIT)


def pending(status: Path, number: signal.Signals) -> bool:
    waiting = next(line for line in status.read_text().splitlines() if line.startswith("ShdPnd:"))
    return bool(int(waiting.split()[1], 16) >> (number - 1) & 1)


def handles(status: Path, number: signal.Signals) -> bool:
    caught = next(line for line in status.read_text().splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, ["zookeeper.auth is not set"]),
        ({"127.0.0.1:": "zk1:"}, ["zookeeper.auth is not set"]),
        ({"0.5}": "0.5, auth: {username: a, password: b}}"}, []),
        (
            {"0.5}": "0.5, auth: {username: a, password: b}}", "127.0.0.1:": "zk1:"},
            ["the password of zookeeper.auth goes over the network in the clear"],
        ),
        (
            {"name: node1": f"name: node1\nhttp: {{listen: '10.0.0.1:8008', token: {'t' * 20}}}"},
            ["zookeeper.auth is not set", "http.token goes over the network in the clear"],
        ),
        (
            {"name: node1": f"name: node1\nhttp: {{listen: 'localhost:8008', token: {'t' * 20}}}"},
            ["zookeeper.auth is not set"],
        ),
        ({"username: rk": "username: rk, host: rabbit1"}, ["zookeeper.auth", "the password of broker.amqp"]),
    ],
)
def test_what_anybody_could_do_or_read_is_told(path: Path, changes: dict[str, str], told: list[str]) -> None:
    text = path.read_text()
    for before, after in changes.items():
        assert before in text
        text = text.replace(before, after)
    path.write_text(text)
    exposures = load(path).exposures
    assert len(exposures) == len(told)
    assert all(said.startswith(expected) for said, expected in zip(exposures, told, strict=True))

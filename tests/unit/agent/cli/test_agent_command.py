"""``rabbitkeeper agent`` as far as it goes without servers."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from rabbitkeeper.agent.cli.command import command
from rabbitkeeper.agent.config.sample import SAMPLE_CONFIG

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

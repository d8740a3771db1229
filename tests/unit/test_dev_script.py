"""The script ``dev`` on a system without apt-get: says at once all that is missing, and makes nothing."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "dev"
SHELL = ("bash", "cat", "cut", "dirname", "sed")  # what is on every system


def dev(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a copy of the script with little on its PATH."""
    programs = folder / "bin"
    programs.mkdir()
    for name in SHELL:
        found = shutil.which(name)
        assert found is not None
        (programs / name).symlink_to(found)
    shutil.copy(SCRIPT, folder / "dev")
    return subprocess.run(
        [programs / "bash", folder / "dev", *arguments],
        env={"PATH": str(programs), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_everything_that_is_missing_is_said_at_once(tmp_path: Path) -> None:
    done = dev(tmp_path, "demo")
    assert done.returncode == 1
    said = done.stderr.splitlines()
    assert said[0] == "dev: there is no apt-get to install what is missing here; install first:"
    for what in ("Python 3.11", "Java 11", "the command ip ", "the command iptables"):
        assert any(line.startswith("  ") and what in line for line in said[1:]), what
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize(
    "arguments", [("test", "unit"), ("test", "oldest"), ("lint",), ("demo", "--docker"), ("run", "true")]
)
def test_what_needs_no_server_asks_for_python_alone(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = dev(tmp_path, *arguments)
    assert done.returncode == 1
    assert done.stderr.splitlines()[1:] == ["  Python 3.11 or later with its venv and pip"]


def test_servers_that_were_unpacked_somewhere_are_not_missing(tmp_path: Path) -> None:
    done = dev(tmp_path, "test", RABBITMQ_HOME="/opt/rabbitmq", ZOOKEEPER_HOME="/opt/zookeeper")
    assert "RABBITMQ_HOME" not in done.stderr
    assert "ZOOKEEPER_HOME" not in done.stderr
    assert "Java 11" in done.stderr

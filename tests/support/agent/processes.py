"""Agents that a test runs as processes of its own, with configurations of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import yaml

from rabbitkeeper.agent.config.strict_yaml import written
from rabbitkeeper.compose.local import Local


def agent_config(local: Local, name: str, **changes: Any) -> dict[str, Any]:
    """The configuration of a member's agent, with some sections changed."""
    config = yaml.safe_load((local.settings(name).directory / "agent.yml").read_text())
    return _merged(config, changes)


def _merged(config: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(config)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            result[key] = _merged(result.get(key, {}), value)
        else:
            result[key] = value
    return result


def run_agent(path: Path, config: dict[str, Any], timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Run an agent that is expected to end by itself."""
    path.write_text(written(config))
    return subprocess.run(
        [sys.executable, "-m", "rabbitkeeper.agent", str(path)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env=os.environ,
    )


@contextmanager
def running_agent(
    path: Path, config: dict[str, Any], *, stderr: IO[str] | int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    """Run an agent, and tell it to stop at the end.

    Args:
        path: where its file is written.
        config: what is in it.
        stderr: where its log goes.
    """
    path.write_text(written(config))
    agent = subprocess.Popen(
        [sys.executable, "-m", "rabbitkeeper.agent", str(path)],
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        env=os.environ,
    )
    try:
        yield agent
    finally:
        agent.terminate()
        agent.wait(60)


def refusal(done: subprocess.CompletedProcess[str], code: int = 2) -> str:
    """The one line in which an agent says why it does not run; its log lines begin with a date.

    Args:
        done: the agent's run.
        code: the exit code that it must have ended with. 2: it cannot run as configured.
    """
    assert done.returncode == code, done.stderr
    said = [line for line in done.stderr.splitlines() if not line[:2].isdigit()]
    assert len(said) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return said[0]

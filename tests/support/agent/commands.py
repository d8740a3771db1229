"""What tests of the operator's commands share: a command that prints JSON, and how it has ended."""

import json
import time
from collections.abc import Callable
from typing import Any

from click.testing import Result

Run = Callable[..., Result]


def done(result: Result) -> dict[str, Any]:
    """What a command that was to succeed has printed."""
    assert result.exit_code == 0, result.output + result.stderr
    return dict(json.loads(result.stdout))


def refused(result: Result, *, code: int = 1) -> str:
    """Why a command that was to fail has."""
    assert result.exit_code == code, result.output + result.stderr
    assert "Traceback" not in result.stderr
    return result.stderr


def ended_well(run: Run, operation: str, timeout: float = 240) -> None:
    """Wait until it has, and say what became of it otherwise."""
    entry = ended(run, operation, timeout)
    assert entry["state"] == "done", f"{entry}; {run('list').stdout}"


def ended(run: Run, operation: str, timeout: float = 240) -> dict[str, Any]:
    """The operation, once it has ended."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        entry = dict(json.loads(run("operations", "show", operation).stdout))
        if entry["state"] in ("done", "failed"):
            return entry
        time.sleep(0.3)
    raise AssertionError(f"it has not ended: {entry}; {run('list').stdout}")

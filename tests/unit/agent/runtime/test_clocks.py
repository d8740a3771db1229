"""Which clock agents go by."""

import ast
import inspect
import time
from pathlib import Path

import pytest

from rabbitkeeper import agent
from rabbitkeeper.agent.runtime.clocks import Clocks, monotonic
from rabbitkeeper.coordinator.backend.lease import Lease


def test_a_suspended_machine_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """After it is resumed its lease is over, though the clock that stood still says otherwise."""
    clocks = {time.CLOCK_MONOTONIC: 100.0, time.CLOCK_BOOTTIME: 100.0}
    monkeypatch.setattr(time, "clock_gettime", clocks.__getitem__)
    lease = Lease(timeout=6.0, margin=1.0).answered(monotonic())
    assert lease.valid(monotonic())
    clocks[time.CLOCK_BOOTTIME] += 60.0
    assert not lease.valid(monotonic())


def test_loops_go_by_it() -> None:
    assert Clocks().monotonic is monotonic


def test_nothing_of_an_agent_has_the_other_clock_by_default() -> None:
    """What is compared with the loop's times must come from the loop's clock."""
    assert [str(path) for path in _sources() if _hands_on_another(path)] == []


def _sources() -> list[Path]:
    return sorted(Path(inspect.getfile(agent)).parent.rglob("*.py"))


def _hands_on_another(path: Path) -> bool:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return any(
        isinstance(node, ast.Attribute) and node.attr == "monotonic" and id(node) not in called
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "time"
    )

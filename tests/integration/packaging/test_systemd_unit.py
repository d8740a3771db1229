"""The unit of ``examples/systemd``, read by systemd itself (which need not run for that)."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[3] / "examples" / "systemd" / "rabbitkeeper-agent.service"
RULE = UNIT.with_name("50-rabbitkeeper.rules")
EXPOSURE = 2.5  # of 10; systemd calls up to 3 "OK"

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed (package systemd)"
)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that is there: systemd looks for it."""
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/rabbitkeeper/bin/rabbitkeeper", "/bin/true"))
    return copy


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_systemd_understands_every_line(unit: Path) -> None:
    done = analyze("verify", "--man=no", "--recursive-errors=no", unit)
    said = [line for line in done.stderr.splitlines() if UNIT.name in line or "rabbitkeeper" in line]
    assert not said


def test_a_mistake_in_it_would_be_noticed(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("ProtectClock=yes", "ProtectClok=yes"))
    assert "ProtectClok" in analyze("verify", "--man=no", "--recursive-errors=no", unit).stderr


def test_it_is_hardened(unit: Path) -> None:
    done = analyze("security", "--offline=true", "--no-pager", unit)
    level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert level is not None, done.stdout + done.stderr
    assert float(level[1]) <= EXPOSURE, done.stdout


def test_the_stop_leaves_time_for_the_agents_own() -> None:
    from rabbitkeeper.agent.agent import BROKER_STOP_TIMEOUT, DRAIN_TIMEOUT, MOVE_TIME

    needed = DRAIN_TIMEOUT + MOVE_TIME + BROKER_STOP_TIMEOUT
    given = re.search(r"^TimeoutStopSec=(\d+)$", UNIT.read_text(), re.MULTILINE)
    assert given is not None
    assert float(given[1]) > needed


def test_the_polkit_rule_is_for_the_units_user_and_the_brokers_unit_alone() -> None:
    rule = RULE.read_text()
    assert re.findall(r"subject\.(\w+) == \"([^\"]+)\"", rule) == [("user", unit_says("User"))]
    assert re.findall(r"lookup\(\"unit\"\) == \"([^\"]+)\"", rule) == ["rabbitmq-server.service"]
    assert re.findall(r"\[(.+)\]\.indexOf", rule) == ['"start", "stop", "kill", "reset-failed"']
    assert rule.count("&&") == 3  # all of it is asked, and nothing instead
    assert "||" not in rule


def unit_says(key: str) -> str:
    (value,) = re.findall(rf"^{key}=(.+)$", UNIT.read_text(), re.MULTILINE)
    return str(value)

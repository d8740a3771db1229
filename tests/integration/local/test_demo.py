"""The demo in processes: what it says, and that it stays to be looked at when it is asked to."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq, pytest.mark.timeout(600)]

STAYS = re.compile(r"left running until Ctrl-C: dashboard (\S+), for operations with (\S+)")


@pytest.fixture
def demo() -> Iterator[subprocess.Popen[str]]:
    command: list[str | Path] = [Path(sys.executable).with_name("rabbitkeeper"), "demo", "--plain", "--watch"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)


def test_it_stays_with_a_dashboard_that_takes_operations(demo: subprocess.Popen[str]) -> None:
    assert demo.stdout is not None
    told, stays = "", None
    for line in demo.stdout:
        told += line
        if stays := STAYS.search(line):
            break
    assert stays is not None, told
    assert f"at work; dashboard {stays[1]}" in told
    page = httpx.get(stays[1], headers={"Accept": "text/html"}, timeout=60)
    assert "leads since" in page.text
    token = Path(stays[2])
    headers = {"Authorization": f"Bearer {token.read_text().strip()}"}
    tried = httpx.post(f"{stays[1]}pause", json={"dry_run": True}, headers=headers, timeout=60)
    assert tried.status_code == 200, tried.text
    demo.send_signal(signal.SIGINT)
    rest, _ = demo.communicate(timeout=120)
    assert "No confirmed message is lost" in rest
    assert demo.returncode == 0
    assert not token.exists()

"""A client of a real program can be closed wherever programs close things."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.announcer import GROUP, Announcer

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq]

TESTS = Path(__file__).parents[2]
RUNS = 8  # of those that a signal ends at another moment each


def start(announcer: Announcer, how: str) -> subprocess.Popen[str]:
    user, password = announcer.local.credentials
    program = [sys.executable, "-m", "support.demo.closing_client", announcer.local.zookeeper_hosts, GROUP]
    child = subprocess.Popen(
        [*program, user, password, how],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )
    if how == "signal":
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    return child


def ends(child: subprocess.Popen[str]) -> str:
    """What it has written at the end; it may take as long as the client is given to close, and a bit."""
    try:
        output, errors = child.communicate(timeout=30.0)
    finally:
        child.kill()
    assert child.returncode == 0, errors
    return output


@pytest.mark.parametrize("how", ["atexit", "callback", "event", "handler"])
def test_a_client_can_be_closed_at_the_end_and_in_every_callback(announcer: Announcer, how: str) -> None:
    assert "closed" in ends(start(announcer, how))


def test_a_client_can_be_closed_in_a_signal_handler_at_any_moment(announcer: Announcer) -> None:
    children = [start(announcer, "signal") for _ in range(2)]
    for run in range(RUNS):
        child = children[run % 2]
        time.sleep(0.013 * run)  # another moment of its life; there is nothing to wait for
        child.terminate()
        assert ends(child) == "closed\n"
        children[run % 2] = start(announcer, "signal")
    for child in children:
        child.terminate()
        ends(child)

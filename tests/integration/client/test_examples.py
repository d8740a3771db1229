"""The programs of ``examples/``, as a reader runs them; the leader's broker is killed meanwhile."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.announcer import GROUP, Announcer
from support.waiting import wait_for

from rabbitkeeper.coordinator.model.records import MemberStatus

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq]

EXAMPLES = Path(__file__).parents[3] / "examples"
MESSAGES = {f"Message {number}" for number in range(1, 11)}


@contextmanager
def running(announcer: Announcer, example: str, output: Path) -> Iterator[subprocess.Popen[bytes]]:
    user, password = announcer.local.credentials
    command = [sys.executable, str(EXAMPLES / example), announcer.local.zookeeper_hosts, GROUP, user]
    with output.open("wb") as file:
        process = subprocess.Popen(
            command,
            env={**os.environ, "RABBITKEEPER_PASSWORD": password, "PYTHONFAULTHANDLER": "1"},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _ended(process: subprocess.Popen[bytes]) -> int:
    """Its exit code; one that does not end is aborted, and its output says where its threads stand."""
    try:
        return process.wait(60)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        return process.wait(60)


def said(output: Path, before: str) -> list[str]:
    """What stands behind ``before`` in the lines that begin so."""
    lines = output.read_text().splitlines()
    return [line.partition(": ")[2] for line in lines if line.startswith(before)]


def test_producer_and_consumer_go_on(announcer: Announcer, tmp_path: Path) -> None:
    published, received = tmp_path / "producer.txt", tmp_path / "consumer.txt"
    with running(announcer, "consumer.py", received) as consumer:
        wait_for(lambda: "waiting for messages" in received.read_text(), "the consumer waits")
        with running(announcer, "producer.py", published) as producer:
            wait_for(
                lambda: len(said(published, "confirmed by node1")) >= 2, "two are confirmed by the leader"
            )
            announcer.local.kill_broker("node1")
            try:
                announcer.status("node1", MemberStatus.STOPPED)
                announcer.lead("node2")
                assert producer.wait(60) == 0, published.read_text()
                assert set(said(published, "confirmed")) == MESSAGES
                assert said(published, "confirmed by node2")
                wait_for(
                    lambda: (
                        {text.removesuffix(" (delivered again)") for text in said(received, "received")}
                        == MESSAGES
                    ),
                    "all are received",
                )
            finally:
                announcer.local.start_broker("node1")
                announcer.status("node1", MemberStatus.RUNNING)
                announcer.lead("node1")
        consumer.send_signal(signal.SIGINT)
        assert _ended(consumer) == 0, received.read_text()
        assert received.read_text().splitlines()[-1] == "done"

"""The program of docs/telemetry.md on a real group, as a reader runs it."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.announcer import GROUP, Announcer
from support.waiting import PATIENCE

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq]

QUEUE = "telemetry-page"
PAGE = Path(__file__).parents[4] / "docs" / "telemetry.md"

SHOW_METRICS = """
from prometheus_client import generate_latest
print(generate_latest().decode())
"""


def program(announcer: Announcer) -> str:
    """The page's, with the test's group and queue, and what shows the metrics at its end."""
    blocks: list[str] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (found,) = blocks
    for written, meant in (
        ('"zk1:2181,zk2:2181,zk3:2181"', repr(announcer.local.zookeeper_hosts)),
        ('group="orders"', f"group={GROUP!r}"),
        ('("app", "secret")', repr(announcer.local.credentials)),
        ("start_http_server(9464)", "start_http_server(0)"),
        ("my-queue", QUEUE),
    ):
        assert written in found
        found = found.replace(written, meant)
    return found + SHOW_METRICS


def spans(output: str) -> dict[str, dict[str, Any]]:
    """What the console's exporter wrote, by the spans' names."""
    decoder, found = json.JSONDecoder(), dict[str, dict[str, Any]]()
    for start in re.finditer(r"^\{$", output, re.MULTILINE):
        span, _ = decoder.raw_decode(output, start.start())
        found[span["name"]] = span
    return found


def test_the_pages_program_makes_one_trace_of_a_message_and_counts_it(announcer: Announcer) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program(announcer)], capture_output=True, text=True, timeout=4 * PATIENCE
    )
    assert done.returncode == 0, done.stderr
    made = spans(done.stdout)
    assert set(made) == {f"{what} {QUEUE}" for what in ("publish", "receive", "process", "ack")}
    published, processed = made[f"publish {QUEUE}"], made[f"process {QUEUE}"]
    ports = [announcer.local.amqp(name)[1] for name in announcer.members]
    assert published["attributes"]["server.port"] in ports
    assert processed["context"]["trace_id"] == published["context"]["trace_id"]
    assert processed["parent_id"] == published["context"]["span_id"]
    assert "b'Message 1'" in done.stdout
    confirmed = re.findall(r"^rabbitkeeper_client_published_messages_total\{(.*)\} (.*)$", done.stdout, re.M)
    assert [value for names, value in confirmed if 'outcome="confirmed"' in names] == ["1.0"]

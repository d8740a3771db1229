"""The command's ``publish`` and ``consume`` on a real group, the leader's broker killed meanwhile."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.announcer import GROUP, Announcer
from support.queues import depth
from support.waiting import PATIENCE, wait_for

from rabbitkeeper.client import Client, Queue
from rabbitkeeper.coordinator.model.records import MemberStatus

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq]

COUNT = 2000


def start(announcer: Announcer, *arguments: str) -> "subprocess.Popen[bytes]":
    user, password = announcer.local.credentials
    command = [str(Path(sys.executable).parent / "rabbitkeeper"), "-z", announcer.local.zookeeper_hosts]
    return subprocess.Popen(
        [*command, "-g", GROUP, *arguments],
        env={**os.environ, "RABBITKEEPER_USER": user, "RABBITKEEPER_PASSWORD": password},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def ended(process: "subprocess.Popen[bytes]") -> tuple[int, bytes, str]:
    """Its exit code, and what it has said."""
    try:
        output, error = process.communicate(timeout=2 * PATIENCE)
    finally:
        process.kill()
    return process.returncode, output, error.decode()


def test_a_file_of_2000_lines_arrives_in_order_though_the_leaders_broker_is_killed(
    announcer: Announcer, client: Client, tmp_path: Path
) -> None:
    queue = "command-line"
    client.declare(Queue(queue))
    lines = tmp_path / "lines.jsonl"
    wanted = [{"body": f"line {number}", "headers": {"number": number}} for number in range(COUNT)]
    lines.write_text("".join(json.dumps(one) + "\n" for one in wanted))
    publish = start(
        announcer, "publish", "-k", queue, "--json", "-f", str(lines), "--rate", "200", "--timeout", "120"
    )
    try:
        wait_for(lambda: depth(announcer, queue) >= COUNT / 10, "a tenth is there")
        announcer.local.kill_broker("node1")
        try:
            announcer.status("node1", MemberStatus.STOPPED)
            announcer.lead("node2")
            code, output, error = ended(publish)
        finally:
            announcer.local.start_broker("node1")
            announcer.status("node1", MemberStatus.RUNNING)
            announcer.lead("node1")
    finally:
        publish.kill()
    assert (code, output) == (0, b""), error
    assert f"{COUNT} confirmed" in error
    code, output, error = ended(
        start(announcer, "consume", queue, "--json", "--count", str(depth(announcer, queue)))
    )
    assert code == 0, error
    found = [json.loads(line) for line in output.splitlines()]
    numbers = list(dict.fromkeys(one["headers"]["number"] for one in found))
    assert numbers == list(range(COUNT))
    assert all(one["body"] == f"line {one['headers']['number']}" for one in found)


def test_ctrl_c_ends_it_and_says_how_many_were_confirmed(announcer: Announcer, client: Client) -> None:
    queue = "command-line-interrupted"
    client.declare(Queue(queue))
    publish = start(announcer, "publish", "-k", queue, "--rate", "50", "-n", "100000", "text")
    wait_for(lambda: depth(announcer, queue) >= 20, "some are there")
    publish.send_signal(signal.SIGINT)
    code, _, error = ended(publish)
    assert code == 130, error
    confirmed = int(error.splitlines()[-1].split()[0])
    wait_for(lambda: depth(announcer, queue) == confirmed, "as many are there as it has said")
    consume = start(announcer, "consume", queue)
    wait_for(lambda: depth(announcer, queue) == 0, "all are delivered")
    consume.send_signal(signal.SIGINT)
    code, _, error = ended(consume)
    assert code == 0, error
    assert " consumed" in error.splitlines()[-1]


def test_any_body_goes_out_and_comes_in(announcer: Announcer, tmp_path: Path) -> None:
    queue, body = "command-line-bodies", bytes(range(256)) * 40
    file = tmp_path / "body"
    file.write_bytes(body)
    published = start(announcer, "publish", "--declare", "-k", queue, "--whole", "-f", str(file))
    assert ended(published)[0] == 0
    taken = tmp_path / "taken.jsonl"
    consumed = start(announcer, "consume", queue, "--json", "-n", "1", "-f", str(taken))
    assert ended(consumed)[0] == 0
    published = start(announcer, "publish", "--json", "-f", str(taken), "-p", "type=again")
    assert ended(published)[0] == 0
    code, output, error = ended(start(announcer, "consume", queue, "--json", "-n", "1"))
    assert code == 0, error
    (line,) = map(json.loads, output.splitlines())
    assert line["properties"]["type"] == "again"
    published = start(announcer, "publish", "-k", queue, "--whole", "-f", str(file))
    assert ended(published)[0] == 0
    code, output, error = ended(start(announcer, "consume", queue, "-n", "1"))
    assert (code, output) == (0, body + b"\n"), error

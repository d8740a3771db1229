"""A real agent whose HTTP API strangers hold connections to: checks are answered, its loop comes round."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from support.agent import flood
from support.agent.api import until
from support.agent.flood import Checks

from rabbitkeeper.compose.local import Local

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq, pytest.mark.timeout(300)]

NODE = "node1"
STRANGERS = 2000  # of each kind
PATIENCE = 3.0  # seconds for one check: the strangers share the processor with it here
SECONDS = float(os.environ.get("RABBITKEEPER_FLOOD", "10"))


@pytest.fixture(scope="module")
def local() -> Iterator[Local]:
    with Local(zookeepers=1, members=1, group="flood", api=True) as local:
        local.wait_ready(120)
        yield local


def turns(http: httpx.Client) -> tuple[float, float]:
    """How many turns the loop has made, and how many of them took more than 0.1 s."""
    told = dict(
        line.rsplit(" ", 1)
        for line in http.get("/metrics").text.splitlines()
        if line.startswith("rabbitkeeper_loop_turn")
    )
    count = float(told["rabbitkeeper_loop_turn_seconds_count"])
    return count, count - float(told['rabbitkeeper_loop_turn_seconds_bucket{le="0.1"}'])


@contextmanager
def strangers(address: tuple[str, int], hosts: int) -> Iterator[list[int]]:
    """A flood in a process of its own. Afterwards the list holds how many connections it has made."""
    command = [sys.executable, flood.__file__, *map(str, (*address, STRANGERS, STRANGERS, hosts))]
    opened: list[int] = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield opened
        finally:
            opened.append(int(child.communicate()[0]))


@pytest.mark.parametrize("hosts", [0, 400], ids=["one address", "400 addresses"])
def test_checks_are_answered_and_the_loop_goes_on(
    local: Local, hosts: int, capsys: pytest.CaptureFixture[str]
) -> None:
    url = httpx.URL(local.api(NODE))
    assert url.port is not None
    address = (url.host, url.port)
    with httpx.Client(base_url=url, timeout=20) as http:
        until(lambda: http.get("/leader").status_code == 200, "it leads")
        before, slow_before = turns(http)
        with (
            strangers(address, hosts) as opened,
            Checks(address, "/leader", "/live", "/ready", "/leader?hold=true", timeout=PATIENCE) as checks,
        ):
            until(lambda: sum(checks.took) + 0.05 * len(checks.took) >= SECONDS, "its end", 3 * SECONDS + 60)
            descriptors = descriptors_of(local)
        after, slow_after = turns(http)
        assert http.get("/health").json()["state"] == "running"
    took = sorted(checks.took)
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{opened[0]} connections of strangers; answers {dict(checks.answers)}, median "
            f"{took[len(took) // 2] * 1e3:.1f} ms, worst {took[-1] * 1e3:.0f} ms; "
            f"{after - before:.0f} turns, {slow_after - slow_before:.0f} longer than 0.1 s; "
            f"descriptors {descriptors}"
        )
    assert set(checks.answers) == {"200"}
    assert after - before > SECONDS  # the loop comes round at least once a second
    assert slow_after - slow_before <= (after - before) / 4  # a busy host holds up some by itself


def descriptors_of(local: Local) -> int:
    """That the agent has open."""
    return len([*Path(f"/proc/{local.agent_pid(NODE)}/fd").iterdir()])

"""The disk of one broker is full under load, and somebody makes room again."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from support.agent.rabbitmq_version import rabbitmq_version
from support.demo.group import nothing_is_lost, state, whole
from support.waiting import wait_for

from rabbitkeeper.compose.demo.local_traffic import LocalTraffic
from rabbitkeeper.compose.demo.observer import Observer
from rabbitkeeper.compose.local import Local
from rabbitkeeper.coordinator.model.records import MemberStatus

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq, pytest.mark.timeout(600)]

SIZE = 256  # MiB
FULL = 10.0  # seconds for which it stays so
SOON = 90.0  # seconds until it is known, on a busy host; RabbitMQ looks at the disk each 10 s at the most
# With Khepri the broker refuses every login then; its agent starts it again after one minute, or two.
HEALED = 240.0
# With a dead log writer (ra_log_wal) a broker may take messages and feed nobody, which is seen after 40 s.
FED = 120.0
FILLED = "node1"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root may mount a small disk")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.fixture
def local(disk: Path) -> Iterator[Local]:
    environment = {"RABBITMQ_MNESIA_BASE": str(disk)}
    settings = {FILLED: {"broker": {"process": {"environment": environment}}}}
    with Local(zookeepers=1, members=3, group="disk", member_settings=settings) as local:
        local.wait_ready(180)
        yield local


def fill(file: Path) -> None:
    """Have the file take all that is left of its disk."""
    for size in (1 << 20, 1 << 10):
        with file.open("ab", buffering=0) as out, suppress(OSError):
            while True:
                out.write(bytes(size))


def nothing_confirmed_is_lost(load: LocalTraffic) -> None:
    """From Khepri's end until the agent has given up the lead the broker refuses messages, and says why."""
    assert load.finish(60) == frozenset()
    load.check()
    assert all("NOT_FOUND" in failure or "ACCESS_REFUSED" in failure for failure in load.failures)


def test_a_full_disk_loses_nothing_and_the_group_is_whole_when_there_is_room_again(
    local: Local, disk: Path
) -> None:
    observer = Observer(local.zookeeper_hosts, local.group, local.members)
    observer.start()
    load = LocalTraffic(local.zookeeper_hosts, local.group, local.credentials)
    load.start()
    try:
        whole(observer)
        wait_for(lambda: load.totals().delivered > 100, "messages arrive", SOON)
        file = disk / "of-somebody-else"
        again = partial(fill, file)  # the broker may make room meanwhile
        wait_for(
            lambda: state(observer, FILLED) in (MemberStatus.ALARMED, MemberStatus.UNREACHABLE),
            "the alarm is known, or its end",
            SOON,
            tick=again,
        )
        freed = time.monotonic() + FULL
        wait_for(lambda: time.monotonic() > freed, "the broker has tried to write", SOON, tick=again)
        file.unlink()
        before = load.totals().delivered
        wait_for(lambda: load.totals().delivered > before + 100, "messages arrive again", FED)
        wait_for(observer.is_whole, "the group is whole", HEALED)
        if rabbitmq_version(local) < (4, 3):
            nothing_is_lost(load)
        else:
            nothing_confirmed_is_lost(load)
    finally:
        load.close()
        observer.stop()

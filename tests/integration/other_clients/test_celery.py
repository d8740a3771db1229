"""Celery on a real group: workers, beat and publishers go on through dead and hung brokers."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.celery.tasks import application, noted
from support.client.leading import leader_of
from support.source_tree import ROOT
from support.waiting import PATIENCE, wait_for

from rabbitkeeper.compose.local import Local

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq, pytest.mark.timeout(600)]

LONG = 180.0  # seconds; a broker boots within them, also on a busy machine


class Site:
    """An application: its broker URL, and what its tasks have noted."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.app = application(url)
        self.log = folder / "log"
        self._folder = folder
        self._notes = folder / "notes"

    def send(self, name: str, **options: Any) -> None:
        """Have a task run that notes ``name``."""
        self.app.send_task("note", (name,), **options)

    def noted(self) -> list[str]:
        return noted(self._notes)

    @contextmanager
    def running(self, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
        """``celery`` with these arguments; it ends well when it is asked to."""
        command = [sys.executable, "-m", "celery", "-A", "support.celery.tasks", *arguments]
        environment = {
            **os.environ,
            "BROKER_URL": self.url,
            "NOTES": str(self._notes),
            "PYTHONPATH": str(ROOT / "tests"),
        }
        with self.log.open("ab") as log:
            process = subprocess.Popen(command, cwd=self._folder, env=environment, stdout=log, stderr=log)
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
            process.wait()

    def beat(self) -> AbstractContextManager[object]:
        """What sends the task ``beat`` each second."""
        return self.running("beat", "--schedule", str(self._folder / "schedule"))

    @contextmanager
    def worker(self) -> Iterator[None]:
        """A worker that works."""
        with self.running("worker", "--loglevel=INFO", "--concurrency=2"):
            self.send("begin")
            wait_for(lambda: "begin" in self.noted(), "the worker works", LONG)
            yield


def url_by(discovery: str, local: Local) -> str:
    user, password = local.credentials
    if discovery == "ZooKeeper":
        return f"rabbitkeeper://{user}:{password}@{local.zookeeper_hosts}/{local.group}"
    agents = ",".join(local.api(name).removeprefix("http://") for name in local.members)
    return f"rabbitkeeper+http://{user}:{password}@{agents}/{local.group}"


@contextmanager
def site_by(discovery: str, local: Local, folder: Path) -> Iterator[Site]:
    made = Site(url_by(discovery, local), folder)
    try:
        yield made
    finally:
        made.app.close()
        if made.log.exists():
            sys.stdout.write(made.log.read_text()[-20_000:])  # shown of a test that fails


class Steady:
    """Sends a task now and then, all the time."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.sent: list[str] = []
        self.slowest = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> set[str]:
        self._stopping.set()
        self._thread.join(LONG)
        assert not self._thread.is_alive()
        return set(self.sent)

    def _run(self) -> None:
        while not self._stopping.wait(0.05):
            name, began = f"task-{len(self.sent)}", time.monotonic()
            self._site.send(name)
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.sent.append(name)


@pytest.mark.parametrize(("discovery", "fault"), [("ZooKeeper", "kill"), ("agents", "hang")])
def test_no_task_is_lost_when_the_leaders_broker_dies_or_hangs(
    discovery: str, fault: str, local: Local, tmp_path: Path
) -> None:
    faults: dict[str, Callable[[str], None]] = {"kill": local.kill_broker, "hang": local.stop_broker}
    with site_by(discovery, local, tmp_path) as site, site.worker(), site.beat():
        steady = Steady(site)
        wait_for(lambda: "task-20" in site.noted(), "tasks run", LONG)
        leader = leader_of(local)
        at, beats = len(steady.sent), site.noted().count("beat")
        faults[fault](leader)
        wait_for(lambda: f"task-{at + 50}" in site.noted(), "they run again", LONG)
        wait_for(lambda: site.noted().count("beat") > beats + 3, "beat goes on", LONG)
        wait_for(lambda: leader_of(local) != leader, "another leads", LONG)
        sent = steady.stop()
        wait_for(lambda: sent <= set(site.noted()), "each task has run", LONG)
        wait_for(lambda: site.app.control.inspect(timeout=5.0, limit=1).ping(), "it can be asked", LONG)
    local.wait_ready(LONG)


def test_tasks_for_later_and_what_a_worker_tells_of_itself(local: Local, tmp_path: Path) -> None:
    with site_by("ZooKeeper", local, tmp_path) as site, site.worker():
        began = time.time()
        site.send("later", countdown=3)
        wait_for(lambda: "later" in site.noted(), "it runs", LONG)
        assert time.time() - began >= 3
        (stats,) = site.app.control.inspect(timeout=LONG, limit=1).stats().values()
        assert stats["broker"]["transport"] == "rabbitkeeper"
        assert local.credentials[1] not in str(stats)

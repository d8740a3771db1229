"""``bench failover --celery``: Celery with our broker URL, and with a list of brokers.

Each has a worker with two processes, and a thread that sends it tasks all the time. The broker that is struck
is that which a worker is connected to, in turn. A gap is between the beginnings of two tasks, of a worker
whose broker was struck; a task is lost if sending it has returned and it has not run in the end. The workers'
logs stay in ``build/celery/``.
"""

import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

from common import wait

from rabbitkeeper.compose.demo.observer import Observer
from rabbitkeeper.compose.local import Local
from task_queues.tasks import application

FAULTS = {"broker": Local.kill_broker, "hung": Local.stop_broker}
PERIOD = 0.05  # seconds between two tasks
SETTLE = 5.0  # seconds of work before a fault
PATIENCE = 180.0  # seconds for any one wait
LONGEST = 60.0  # seconds after a fault in which tasks run again, or are counted as never
WANTED = {"broker": 2.0, "hung": 4.0}  # seconds until the next task runs


class Contender:
    """One Celery, with its worker and its publisher."""

    def __init__(self, name: str, url: str, folder: Path) -> None:
        self.name = name
        self.slowest = 0.0  # seconds that sending a task took
        self._notes = folder / f"{name}.notes"
        self._log = folder / f"{name}.log"
        self._app = application(url, name)
        environment = {**os.environ, "BROKER_URL": url, "QUEUE": name, "NOTES": str(self._notes)}
        environment["PYTHONPATH"] = str(Path(__file__).parent.parent)
        command = [sys.executable, "-m", "celery", "-A", "task_queues.tasks", "worker", "--concurrency=2"]
        with self._log.open("ab") as log:
            self._worker = subprocess.Popen(
                [*command, f"--hostname={name}@%h", "--loglevel=INFO"],
                cwd=folder,
                env=environment,
                stdout=log,
                stderr=log,
            )
        self._sent: list[int] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def runs(self) -> list[tuple[int, float]]:
        """Which tasks have begun, and when; seconds, monotonic."""
        if not self._notes.exists():
            return []
        lines = (line.split() for line in self._notes.read_text().splitlines())
        return [(int(number), float(at)) for number, at in lines]

    def member(self, ports: Mapping[int, str]) -> str | None:
        """Where its worker takes tasks from."""
        return connected_to(self._log.read_text(errors="replace"), ports)

    def gap(self, struck: float, end: float) -> float:
        """Seconds; infinity if nothing has run since."""
        times = sorted(at for _, at in self.runs() if at <= end)
        before = [at for at in times if at <= struck][-1:]
        after = [at for at in times if at > struck]
        if not after or after[-1] < end - 5.0:
            return float("inf")
        return max(later - earlier for earlier, later in pairwise([*before, *after]))

    def finish(self) -> tuple[int, int, int]:
        """Send no more; how many were sent, are lost, and have run more than once."""
        self._stopping.set()
        self._thread.join(LONGEST)
        sent = set(self._sent)
        deadline = time.monotonic() + LONGEST
        while sent - {number for number, _ in self.runs()} and time.monotonic() < deadline:
            time.sleep(0.2)
        runs = Counter(number for number, _ in self.runs())
        return len(sent), len(sent - runs.keys()), sum(count > 1 for count in runs.values())

    def stop(self) -> None:
        """End it all."""
        self._stopping.set()
        self._worker.kill()
        self._worker.wait()

    def _send(self) -> None:
        number = 0
        while not self._stopping.wait(PERIOD):
            began = time.monotonic()
            self._app.send_task("run", (number,))
            self.slowest = max(self.slowest, time.monotonic() - began)
            self._sent.append(number)
            number += 1


def connected_to(log: str, ports: Mapping[int, str]) -> str | None:
    """To which member a worker has connected last to take tasks, by its log; None: to none yet.

    Args:
        ports: the members by their brokers' ports.
    """
    ours, member = 0, None
    for line in log.splitlines():
        if opened := re.search(r"\] connected to \S+ at \S+:(\d+)$", line):
            ours = int(opened[1])
        elif re.search(r"\] Connected to rabbitkeeper", line):
            member = ports.get(ours)
        elif listed := re.search(r"\] Connected to amqp://\S+:(\d+)/", line):
            member = ports.get(int(listed[1]))
    return member


def urls(local: Local) -> dict[str, str]:
    """Of each contender."""
    user, password = (quote(part, safe="") for part in local.credentials)
    places = [local.amqp(name) for name in local.members]
    return {
        "rabbitkeeper": f"rabbitkeeper://{user}:{password}@{local.zookeeper_hosts}/{local.group}",
        "list": ";".join(f"amqp://{user}:{password}@{host}:{port}//" for host, port in places),
    }


def measure(local: Local, runs: int, fault: str) -> dict[str, list[float]]:
    """The gaps of each."""
    results: dict[str, list[float]] = {}
    ports = {local.amqp(name)[1]: name for name in local.members}
    with ExitStack() as stack:
        folder = Path("build", "celery", time.strftime("%Y-%m-%dT%H%M%S")).absolute()
        folder.mkdir(parents=True)
        observer = Observer(local.zookeeper_hosts, local.group, local.members)
        observer.start()
        stack.callback(observer.stop)
        contenders = [Contender(name, url, folder) for name, url in urls(local).items()]
        for one in contenders:
            stack.callback(one.stop)
        for one in contenders:
            wait(one.runs, f"{one.name} works", PATIENCE)
        results = {one.name: [] for one in contenders}
        for number in range(1, runs + 1):
            time.sleep(SETTLE)
            at = {one.name: one.member(ports) for one in contenders}
            member = at[contenders[number % len(contenders)].name]
            assert member is not None, "a worker that works is connected"
            struck = time.monotonic()
            FAULTS[fault](local, member)
            wait(lambda: not observer.is_whole(), f"{member} is missed", PATIENCE)
            wait(observer.is_whole, f"{member} is back", PATIENCE)
            deadline = max(time.monotonic(), struck + 10.0) + SETTLE
            while time.monotonic() < deadline:
                time.sleep(0.1)
            end = time.monotonic()
            gaps = {one.name: one.gap(struck, end) for one in contenders if at[one.name] == member}
            for name, gap in gaps.items():
                results[name].append(gap)
            shown = ", ".join(f"{name} {gap:.2f} s" for name, gap in gaps.items())
            print(f"{number:3}. {member}: {shown}", flush=True)
        for one in contenders:
            sent, lost, again = one.finish()
            slowest = f"slowest to send {one.slowest:.1f} s"
            print(f"{one.name}: {sent} sent, {lost} lost, {again} run more than once, {slowest}", flush=True)
    return results


def show(results: Mapping[str, Sequence[float]], fault: str) -> None:
    """Medians of the gaps, and whether ours is what is looked for."""
    for name, gaps in results.items():
        if gaps:
            print(
                f"{name}: {len(gaps)} gaps, median {statistics.median(gaps):.2f} s, worst {max(gaps):.2f} s"
            )
    ours = results["rabbitkeeper"]
    verdict = "reached" if ours and statistics.median(ours) <= WANTED[fault] else "MISSED"
    print(f"looked for: {WANTED[fault]:g} s or less: {verdict}")

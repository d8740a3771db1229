"""Shared by the benchmarks: one broker, clients in processes of their own, medians, tables."""

import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from rabbitkeeper.compose.local import Local
from rabbitkeeper.coordinator.connect import backend_at
from rabbitkeeper.coordinator.model.records import OperationState
from rabbitkeeper.coordinator.operations.service import OperationService, Submitted
from rabbitkeeper.coordinator.store.store import Store

Found = TypeVar("Found")

PREFETCH = 2000  # unacked messages
ACK_EVERY = 500  # messages
BODY = b"x" * 256


@dataclass(frozen=True, slots=True)
class Where:
    """A group of one broker."""

    host: str
    port: int
    username: str
    password: str
    zookeeper: str
    group: str


@dataclass(frozen=True, slots=True)
class Result:
    """What one client did. ``cpu`` is its process's, user and system."""

    messages: int
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds

    @property
    def cpu_each(self) -> float:
        """Microseconds of CPU a message."""
        return self.cpu / self.messages * 1e6


class Stopwatch:
    """Runs from the first message to the last: connecting is not what is compared."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._cpu = time.process_time()

    def result(self, messages: int) -> Result:
        return Result(messages, time.perf_counter() - self._start, time.process_time() - self._cpu)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used over a while, with the CPU of its children that have ended."""

    cpu: float  # per cent of one core
    rss: float  # MB resident at the end


def usage(pids: Mapping[str, int], seconds: float) -> dict[str, Usage]:
    """Watch processes, all at the same time, from ``/proc``."""
    before = {name: _ticks(pid) for name, pid in pids.items()}
    time.sleep(seconds)
    hertz = os.sysconf("SC_CLK_TCK")
    return {
        name: Usage(cpu=(_ticks(pid) - before[name]) / hertz / seconds * 100, rss=_resident(pid))
        for name, pid in pids.items()
    }


def _ticks(pid: int) -> int:
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))


def _resident(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    (rss,) = (int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    return rss / 1024


ROOM = "vm_memory_high_watermark.absolute = 2GB\n"  # an alarm in the middle would be measured, not the client


@contextmanager
def one_broker() -> Iterator[Where]:
    """A group of one broker with its agent, for as long as the block lasts."""
    with Local(zookeepers=1, members=1, broker_config=ROOM) as local:
        local.wait_ready(180)
        host, port = local.amqp("node1")
        yield Where(host, port, *local.credentials, local.zookeeper_hosts, local.group)


def run(peer: str, function: str, where: Where, timeout: float = 300.0, **arguments: Any) -> Result:
    """Call ``function`` of ``peers/<peer>.py`` in a process of its own.

    The password goes over standard input: command lines are there for all to see.
    """
    done = subprocess.run(
        [sys.executable, __file__, peer, function],
        input=json.dumps({"where": asdict(where), **arguments}),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{peer}: {done.stderr.strip().splitlines()[-1:] or done.returncode}")
    return Result(**json.loads(done.stdout.splitlines()[-1]))


def operate(local: Local, ask: Callable[[OperationService], Submitted], patience: float = 300.0) -> float:
    """Ask for an operation and wait until it is done; how many seconds it took."""
    started = time.monotonic()
    session = backend_at(local.zookeeper_hosts, name="bench")
    session.start(10)
    try:
        operator = OperationService(Store(session, local.group))
        asked = ask(operator)
        while time.monotonic() < started + patience:
            session.renew()
            entry = operator.outcome(asked.id)
            if entry is not None and entry.state is OperationState.DONE:
                return time.monotonic() - started
            if entry is not None and entry.state is OperationState.FAILED:
                raise SystemExit(f"{entry.kind} {entry.id} has failed: {entry.outcome}")
            time.sleep(0.05)
    finally:
        session.close()
    raise SystemExit(f"{asked.kind} {asked.id} has not ended; see {local.folder}")


class NotInTime(SystemExit):
    """What was waited for did not come; that ends a benchmark which does not expect it."""


def wait(condition: Callable[[], Found | None], what: str, patience: float) -> Found:
    """Look again and again until ``condition`` gives something that is true; that is returned.

    Raises:
        NotInTime: it took more than ``patience`` seconds; says ``what`` was waited for.
    """
    deadline = time.monotonic() + patience
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise NotInTime(f"not in {patience:g} s: {what}")
        time.sleep(0.02)
    return found


def others(local: Local, member: str) -> list[str]:
    """The members but one."""
    return [name for name in local.members if name != member]


def raise_alarm(local: Local, member: str) -> None:
    """A memory alarm at a broker, until :func:`end_alarm`."""
    local.ctl(member)._run("set_vm_memory_high_watermark", "0.00001")


def end_alarm(local: Local, member: str) -> None:
    local.ctl(member)._run("set_vm_memory_high_watermark", "absolute", "512MiB")


def spawn(script: Path, count: int) -> list[subprocess.Popen[str]]:
    """So many processes of a script, which :func:`tell` and :func:`hear` talk to by lines."""
    command = [sys.executable, str(script)]
    return [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]


def tell(worker: subprocess.Popen[str], line: str) -> None:
    assert worker.stdin is not None
    worker.stdin.write(line + "\n")
    worker.stdin.flush()


def hear(worker: subprocess.Popen[str]) -> dict[str, Any]:
    """The next line of a process, which is a JSON object."""
    assert worker.stdout is not None
    line = worker.stdout.readline()
    if not line:
        raise SystemExit("a process of clients has ended; what it said is above")
    told: dict[str, Any] = json.loads(line)
    return told


def median(results: list[Result], what: str) -> float:
    """The median of ``rate`` or ``cpu_each``."""
    return statistics.median(float(getattr(result, what)) for result in results)


def save(path: Path | None, results: dict[str, list[Result]]) -> None:
    """All single results, as JSON."""
    if path is not None:
        plain = {name: [asdict(one) for one in found] for name, found in results.items()}
        path.write_text(json.dumps(plain, indent=2) + "\n")


def main() -> None:
    """The child's side of :func:`run`."""
    peer, function = sys.argv[1:]
    arguments = json.load(sys.stdin)
    where = Where(**arguments.pop("where"))
    result = getattr(importlib.import_module(f"peers.{peer}"), function)(where, **arguments)
    print(json.dumps(asdict(result)))


if __name__ == "__main__":
    main()

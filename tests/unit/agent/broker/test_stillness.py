"""Whether the broker's process stands still, by what its threads have run and waited."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rabbitkeeper.agent.broker.policy import STILL
from rabbitkeeper.agent.broker.stillness import Activity, Stillness, activity

PID = 4711


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    thread(tmp_path, "4711")
    thread(tmp_path, "4712", ran="7 8 9")
    (tmp_path / "4711" / "comm").write_text("beam.smp\n")
    return tmp_path


def thread(proc: Path, number: str, *, ran: str = "1 2 3", state: str = "T") -> None:
    its = proc / "4711" / "task" / number
    its.mkdir(parents=True, exist_ok=True)
    (its / "stat").write_text(f"{number} (a) name) {state} 1 2 3\n")
    (its / "schedstat").write_text(f"{ran}\n")


def test_a_machine_is_seen_by_all_its_threads(proc: Path) -> None:
    before = activity(PID, proc)
    assert before == activity(PID, proc) is not None
    thread(proc, "4712", ran="7 9 9")  # it has waited for a processor
    assert activity(PID, proc) != before


def test_one_that_waits_for_a_disk_is_not_told_from_one_that_is_slow(proc: Path) -> None:
    thread(proc, "4712", state="D")
    assert activity(PID, proc) is None


def test_what_is_no_erlang_machine_or_is_gone_is_not_known(proc: Path) -> None:
    assert activity(PID + 1, proc) is None
    (proc / "4711" / "task" / "4712" / "schedstat").unlink()  # a kernel without it
    assert activity(PID, proc) is None
    thread(proc, "4712")
    (proc / "4711" / "comm").write_text("sh\n")  # a script that waits for the machine
    assert activity(PID, proc) is None


def test_a_kernel_that_does_not_count_says_nothing(proc: Path) -> None:
    for number in ("4711", "4712"):
        thread(proc, number, ran="0 0 0")
    assert activity(PID, proc) is None


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs all the time, by the name of Erlang's."""
    shell = shutil.which("sh")
    assert shell is not None
    shutil.copy(Path(shell).resolve(), tmp_path / "beam.smp")
    with subprocess.Popen([tmp_path / "beam.smp", "-c", "while :; do :; done"]) as process:
        yield process
        process.kill()


def test_a_real_process_stands_still_when_it_is_stopped(machine: subprocess.Popen[bytes]) -> None:
    if not Path("/proc/self/schedstat").exists():
        pytest.skip("this kernel does not tell what a thread has run")
    wait_until_it_is_there(machine.pid)
    os.kill(machine.pid, signal.SIGSTOP)
    os.waitpid(machine.pid, os.WUNTRACED)
    stopped = activity(machine.pid)
    assert stopped == activity(machine.pid) is not None
    os.kill(machine.pid, signal.SIGCONT)
    for _ in range(10_000_000):  # until it has had its turn, however busy this host is
        if activity(machine.pid) != stopped:
            return
    pytest.fail("it was not seen to run")


def wait_until_it_is_there(pid: int) -> None:
    for _ in range(10_000_000):
        if activity(pid) is not None:
            return
    pytest.fail("it has not started")


class Case:
    def __init__(self) -> None:
        self.now = 100.0
        self.activity: Activity | None = {"1": "1 2 3"}
        self.stillness = Stillness(lambda pid: self.activity, clock=lambda: self.now)

    def look(self, now: float, *, pid: int | None = PID, hangs: bool = True) -> float | None:
        self.now = now
        self.stillness.look(now, pid, hangs=hangs)
        return self.stillness.since


def test_it_stands_still_since_the_look_at_which_it_ran_last() -> None:
    case = Case()
    assert case.look(100.0) == 100.0
    assert case.look(101.0) == 100.0
    assert not case.stillness.lasts()
    case.activity = {"1": "1 2 4"}
    assert case.look(101.4) == 101.4
    case.now = 101.4 + STILL
    assert case.stillness.lasts()
    case.activity = {"1": "2 2 4"}
    assert not case.stillness.lasts()


def test_another_process_or_one_that_answers_begins_anew() -> None:
    case = Case()
    case.look(100.0)
    assert case.look(103.0, pid=PID + 1) == 103.0
    assert case.look(104.0, hangs=False) is None
    assert case.look(105.0) == 105.0
    assert case.look(106.0, pid=None) is None
    case.activity = None
    assert case.look(110.0) is None
    assert not case.stillness.lasts()

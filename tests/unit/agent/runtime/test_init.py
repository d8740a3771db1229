"""Process 1 of a container, as a subreaper outside of one: both get the orphans."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import ctypes, os, signal, subprocess, sys, time
from pathlib import Path
from rabbitkeeper.agent.runtime.init import under_init

assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0  # PR_SET_CHILD_SUBREAPER: orphans become ours
first = os.getpid()

def children():
    return Path(f"/proc/{first}/task/{first}/children").read_text().split()

def work():
    if sys.argv[1] == "orphans":
        for _ in range(5):  # the shell ends, and what it has started becomes an orphan and ends as well
            subprocess.run(["sh", "-c", "true & true"], check=True)
        deadline = time.monotonic() + 20
        while children() != [str(os.getpid())]:
            assert time.monotonic() < deadline, children()
            time.sleep(0.01)
        assert subprocess.run(["false"]).returncode == 1  # nobody takes an exit status away
        sys.exit(7)
    got = []
    signal.signal(signal.SIGHUP, lambda *_: got.append("HUP"))
    signal.signal(signal.SIGTERM, lambda *_: got.append("TERM"))
    print("ready", flush=True)
    while len(got) < 2:
        signal.pause()
    print(*got, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

under_init(work, first=True)
"""


def start(what: str, tmp_path: Path) -> subprocess.Popen[str]:
    (tmp_path / "program.py").write_text(PROGRAM)
    return subprocess.Popen(
        [sys.executable, tmp_path / "program.py", what], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="subreapers are Linux's")
def test_orphans_are_reaped_and_the_exit_status_is_the_childs(tmp_path: Path) -> None:
    assert start("orphans", tmp_path).wait(30) == 7


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="subreapers are Linux's")
def test_signals_are_passed_on_and_an_end_by_one_is_told(tmp_path: Path) -> None:
    with start("signals", tmp_path) as one:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
        one.send_signal(signal.SIGHUP)
        one.send_signal(signal.SIGTERM)
        assert set(one.stdout.readline().split()) == {"HUP", "TERM"}
        assert one.wait(30) == 128 + signal.SIGKILL

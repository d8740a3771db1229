"""The guardian leaves nothing behind, however its caller goes."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.waiting import PATIENCE

from rabbitkeeper.compose.local import LocalError
from rabbitkeeper.compose.local.guardian import Guardian

ENVIRONMENT = {"PATH": os.environ["PATH"]}

# A caller that starts the hard cases: one that ignores SIGTERM, one that is stopped, one whose parent has
# died, one in a session of its own. It tells their pids and waits for its end.
CALLER = textwrap.dedent(
    """
    import json, os, signal, sys, time
    from pathlib import Path
    from rabbitkeeper.compose.local.guardian import Guardian

    env = {"PATH": os.environ["PATH"]}
    with Guardian(grace=0.2) as guardian:
        log = guardian.folder / "log"
        def shell(script):
            return guardian.spawn("shell", ["/bin/sh", "-c", script], env=env, log=log)
        stubborn = shell("trap '' TERM; while :; do sleep 1; done")
        stopped = shell("exec sleep 600")
        stopped.signal(signal.SIGSTOP)
        orphan = shell("setsid sleep 600 & echo $! > orphan; exit")
        orphan.wait(5)
        forked = os.fork() if "--fork" in sys.argv else None
        if forked == 0:
            time.sleep(30)
            os._exit(0)
        pids = [stubborn.pid, stopped.pid, int((guardian.folder / "orphan").read_text())]
        alive = set(pids) <= set(guardian.descendants())
        print(json.dumps([guardian.pid, str(guardian.folder), pids, alive, forked]), flush=True)
        if "--raise" in sys.argv:
            raise RuntimeError("in the middle")
        time.sleep(600)
    """
)


def eventually(condition: Callable[[], bool], timeout: float = PATIENCE) -> bool:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


class Caller:
    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CALLER, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        told: list[Any] = json.loads(self.process.stdout.readline())
        self.guardian, folder, self.pids, self.started_all, self.fork = told
        self.folder = Path(folder)

    def left_nothing(self) -> bool:
        return gone(self.guardian) and all(map(gone, self.pids)) and not self.folder.exists()

    def clean_up(self) -> None:
        for pid in (self.process.pid, self.fork):
            if pid is not None and not gone(pid):
                os.kill(pid, signal.SIGKILL)
        self.process.communicate()
        assert eventually(self.left_nothing)


@pytest.fixture
def start() -> Iterator[Callable[..., Caller]]:
    callers = []

    def started(*arguments: str) -> Caller:
        callers.append(Caller(*arguments))
        return callers[-1]

    yield started
    for caller in callers:
        caller.clean_up()


def test_the_caller_is_killed(start: Callable[..., Caller]) -> None:
    caller = start()
    assert caller.started_all
    caller.process.kill()
    assert eventually(caller.left_nothing)


def test_the_caller_is_killed_and_a_fork_of_it_lives_on(start: Callable[..., Caller]) -> None:
    caller = start("--fork")
    caller.process.kill()
    assert eventually(caller.left_nothing)
    assert not gone(caller.fork)


def test_ctrl_c_in_the_terminal(start: Callable[..., Caller]) -> None:
    caller = start()
    os.killpg(caller.process.pid, signal.SIGINT)  # what a terminal sends: to the caller's whole group
    caller.process.wait(10)
    assert caller.left_nothing()


def test_an_exception_in_the_caller(start: Callable[..., Caller]) -> None:
    caller = start("--raise")
    assert caller.process.wait(10) == 1
    assert caller.left_nothing()


def test_sigterm_to_the_guardian_itself(start: Callable[..., Caller]) -> None:
    caller = start()
    os.kill(caller.guardian, signal.SIGTERM)
    assert eventually(caller.left_nothing)


def test_sigint_and_sighup_do_not_end_the_guardian(start: Callable[..., Caller]) -> None:
    caller = start()
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        os.kill(caller.guardian, ignored)
    assert not eventually(lambda: any(map(gone, [caller.guardian, *caller.pids])), timeout=0.3)


@pytest.fixture
def guardian() -> Iterator[Guardian]:
    with Guardian(grace=0.2) as one:
        yield one


def test_an_exit_is_told_with_its_status(guardian: Guardian) -> None:
    log = guardian.folder / "log"
    code = guardian.spawn("false", ["/bin/sh", "-c", "echo why; exit 3"], env=ENVIRONMENT, log=log)
    assert code.wait(5) == 3
    assert code.last_lines() == "why"
    sleeper = guardian.spawn("sleep", ["sleep", "600"], env=ENVIRONMENT, log=log)
    assert sleeper.running
    assert sleeper.wait(0.05) is None
    sleeper.end(grace=0)
    assert sleeper.status == -signal.SIGKILL
    assert not sleeper.signal(signal.SIGTERM)


def test_a_stopped_child_ends_in_order(guardian: Guardian) -> None:
    child = guardian.spawn("sleep", ["sleep", "600"], env=ENVIRONMENT, log=guardian.folder / "log")
    child.signal(signal.SIGSTOP)
    child.end(grace=5)
    assert child.status == -signal.SIGTERM


def test_what_is_not_a_child_is_never_signalled(guardian: Guardian) -> None:
    bystander = subprocess.Popen(["sleep", "600"])
    try:
        assert not guardian.signal(bystander.pid, signal.SIGKILL)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_program_that_is_not_there_is_a_sentence(guardian: Guardian) -> None:
    with pytest.raises(LocalError, match="no-such-program"):
        guardian.spawn("x", ["/no-such-program"], env=ENVIRONMENT, log=guardian.folder / "log")
    assert guardian.descendants() == ()


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data")
    with pytest.raises(LocalError, match="is not empty"):
        Guardian(tmp_path)
    assert (tmp_path / "precious").read_text() == "data"


def test_a_folder_is_removed_unless_it_is_kept(tmp_path: Path) -> None:
    for keep in (False, True):
        with Guardian(tmp_path / "new" / str(keep), keep=keep) as guardian:
            folder = guardian.folder
            (folder / "file").write_text("x")
        assert folder.exists() is keep


def test_a_guardian_that_was_killed_takes_its_children_with_it_and_says_so() -> None:
    guardian = Guardian()
    child = guardian.spawn("sleep", ["sleep", "600"], env=ENVIRONMENT, log=guardian.folder / "log")
    os.kill(guardian.pid, signal.SIGKILL)
    assert eventually(lambda: gone(child.pid))
    assert child.wait(5) is not None
    with pytest.raises(LocalError, match="is gone"):
        guardian.descendants()
    guardian.close()
    (guardian.folder / "log").unlink()
    guardian.folder.rmdir()

"""The caller's side of the guardian: start processes through it, signal them, wait for their end."""

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from rabbitkeeper.compose.local import guardian_child
from rabbitkeeper.compose.local.errors import LocalError

ANSWER_TIMEOUT = 20.0  # seconds; answers take milliseconds, also on a busy machine


class Child:
    """A process that the guardian started.

    Attributes:
        name: what it is, for people.
        pid: its process id; it stays this process's until its exit has been told.
        log: the file with its output.
    """

    def __init__(self, guardian: "Guardian", name: str, pid: int, log: Path) -> None:
        self.name = name
        self.pid = pid
        self.log = log
        self._guardian = guardian

    @property
    def status(self) -> int | None:
        """Exit code, or minus the signal that ended it; None while it runs."""
        return self._guardian.status(self.pid)

    @property
    def running(self) -> bool:
        return self.status is None

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal; False if the process has ended."""
        return self._guardian.signal(self.pid, number)

    def wait(self, timeout: float) -> int | None:
        """Wait for its end, at most ``timeout`` seconds; its exit status, or None if it still runs."""
        return self._guardian.wait(self.pid, timeout)

    def end(self, grace: float) -> None:
        """SIGTERM (and SIGCONT, should it be stopped), after ``grace`` seconds SIGKILL; wait for its end."""
        if grace > 0:
            self.signal(signal.SIGTERM)
            self.signal(signal.SIGCONT)
            if self.wait(grace) is not None:
                return
        self.signal(signal.SIGKILL)
        if self.wait(ANSWER_TIMEOUT) is None:
            raise LocalError(
                f"{self.name} (pid {self.pid}) has not ended {ANSWER_TIMEOUT:.0f} s after SIGKILL"
            )

    def last_lines(self, count: int = 10) -> str:
        """The last lines of its log, for errors."""
        return last_lines(self.log, count)


def last_lines(log: Path, count: int = 10) -> str:
    """The last lines of a log file, as one text; empty if there is no such file."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 32768))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-count:])
    except FileNotFoundError:
        return ""


class Guardian:
    """Starts the guardian process. Close it, or just die: either way it ends all that it started.

    Args:
        folder: where everything lives; made, and it must be empty. None: a new one in the temporary folder.
        keep: leave the folder there at the end.
        grace: seconds between SIGTERM and SIGKILL at the end.

    Attributes:
        folder: the folder.
        pid: the guardian's own pid.

    Raises:
        LocalError: the folder cannot be made, or the guardian did not start.
    """

    def __init__(self, folder: Path | None = None, *, keep: bool = False, grace: float = 2.0) -> None:
        self._answered = threading.Condition()
        self._answers: dict[int, dict[str, Any]] = {}
        self._statuses: dict[int, int] = {}
        self._numbers = itertools.count(1)
        self._writing = threading.Lock()
        self._gone = False
        self._link, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", guardian_child.__file__, str(os.getpid()), str(grace)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
            )
        self._grace = grace
        self.pid = self._process.pid
        threading.Thread(target=self._read, name="guardian", daemon=True).start()
        try:
            answer = self._ask("folder", path=None if folder is None else str(folder.absolute()), keep=keep)
        except BaseException:
            self.close()
            raise
        self.folder = Path(answer["path"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def spawn(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        log: Path,
        cwd: Path | None = None,
    ) -> Child:
        """Start a process in a session of its own, its output appended to ``log``.

        Raises:
            LocalError: it cannot be started.
        """
        answer = self._ask(
            "spawn",
            argv=[str(part) for part in argv],
            env=dict(env),
            cwd=str(cwd or self.folder),
            log=str(log),
        )
        return Child(self, name, answer["pid"], log)

    def signal(self, pid: int, number: signal.Signals) -> bool:
        """Signal a child of the guardian (also one that it inherited); False if there is no such child."""
        return bool(self._ask("signal", pid=pid, signal=int(number))["sent"])

    def status(self, pid: int) -> int | None:
        with self._answered:
            if self._gone:
                return self._statuses.get(pid, -signal.SIGKILL)
            return self._statuses.get(pid)

    def wait(self, pid: int, timeout: float) -> int | None:
        with self._answered:
            self._answered.wait_for(lambda: pid in self._statuses or self._gone, timeout)
        return self.status(pid)

    def descendants(self) -> tuple[int, ...]:
        """Every process that came from here and still has a pid."""
        return tuple(self._ask("descendants")["pids"])

    def close(self) -> None:
        """End everything and remove the folder; returns when that is done. Idempotent."""
        with contextlib.suppress(OSError):  # closed before, or the guardian is gone
            self._link.shutdown(socket.SHUT_WR)
        try:
            self._process.wait(self._grace + ANSWER_TIMEOUT)
        except subprocess.TimeoutExpired:
            raise LocalError(
                f"the guardian (pid {self.pid}) has not ended; end its child processes"
            ) from None
        self._link.close()

    def _ask(self, action: str, **fields: object) -> dict[str, Any]:
        number = next(self._numbers)
        request = json.dumps({"id": number, "do": action, **fields}).encode() + b"\n"
        try:
            with self._writing:
                self._link.sendall(request)
        except OSError as error:
            raise LocalError(f"the guardian (pid {self.pid}) is gone: {error}") from None
        with self._answered:
            if not self._answered.wait_for(lambda: number in self._answers or self._gone, ANSWER_TIMEOUT):
                raise LocalError(f"the guardian (pid {self.pid}) has not answered in {ANSWER_TIMEOUT:.0f} s")
            answer = self._answers.pop(number, None)
        if answer is None:
            raise LocalError(f"the guardian (pid {self.pid}) is gone")
        if "error" in answer:
            raise LocalError(f"cannot {action}: {answer['error']}")
        return answer

    def _read(self) -> None:
        received = b""
        while True:
            try:
                data = self._link.recv(1 << 16)
            except OSError:
                data = b""
            *lines, received = (received + data).split(b"\n")
            with self._answered:
                for line in lines:
                    message = json.loads(line)
                    if "exit" in message:
                        self._statuses[message["exit"]] = message["status"]
                    else:
                        # A number that was used before: what is known of it is of another process.
                        self._statuses.pop(message.get("pid", 0), None)
                        self._answers[message["id"]] = message
                self._gone = not data
                self._answered.notify_all()
            if not data:
                return

"""The guardian: a process of its own that starts servers for its caller and leaves none behind.

Whoever starts servers in the foreground must end them, also when it is itself killed with SIGKILL, which
no ``finally`` survives. So the caller starts none itself: this program does, told through a socket, and
when the socket closes or the caller is gone it ends everything and removes the folder.

How it finds everything: it is a *subreaper* (prctl(2), PR_SET_CHILD_SUBREAPER), so a process whose parent
dies becomes this process's child, not init's. All that ever came from here is therefore in the tree below
it, and the tree is empty exactly when ``waitpid`` says that there is no child.

It runs by file name with the standard library alone (``python -I -S guardian_child.py``), so that it is up
in a few hundredths of a second, and it speaks JSON, one object a line, on its standard input (a socket):

    {"id": 1, "do": "folder", "path": null, "keep": false}     → {"id": 1, "path": "/tmp/rabbitkeeper-x"}
    {"id": 2, "do": "spawn", "argv": [...], "env": {...}, "cwd": "...", "log": "..."} → {"id": 2, "pid": 7}
    {"id": 3, "do": "signal", "pid": 7, "signal": 9}           → {"id": 3, "sent": true}
    {"id": 4, "do": "descendants"}                             → {"id": 4, "pids": [7, 9]}
    a request that fails                                       → {"id": 5, "error": "a sentence"}
    a child or an orphan has ended                             → {"exit": 7, "status": -9}

One thing defeats it: SIGKILL to itself. Its children are then sent SIGTERM by the kernel, which ends servers
and makes agents stop their brokers; the folder stays.

It does not restart, watch or understand what it starts.
"""

import ctypes
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)


def become_subreaper() -> None:
    if _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


def die_with_parent() -> None:
    """Run in a child before exec: should the guardian itself be killed, its children are asked to end."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def parents() -> dict[int, int]:
    """Every process's parent, from ``/proc``."""
    found = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 — called in a loop: names only, no Path objects
        if entry.isdigit():
            try:
                stat = Path("/proc", entry, "stat").read_bytes()
            except OSError:
                continue  # it has ended since
            found[int(entry)] = int(stat.rpartition(b")")[2].split()[1])
    return found


def descendants(root: int) -> list[int]:
    """The processes below ``root``, parents before children; zombies too."""
    below: dict[int, list[int]] = {}
    for pid, parent in parents().items():
        below.setdefault(parent, []).append(pid)
    found: list[int] = []
    waiting = [root]
    while waiting:
        children = below.get(waiting.pop(), [])
        found += children
        waiting += children
    return found


def send(pids: Iterable[int], *signals: signal.Signals) -> None:
    for pid in pids:
        for each in signals:
            try:
                os.kill(pid, each)
            except ProcessLookupError:
                break


class GuardianLoop:
    """The loop around the socket, the caller's pidfd and SIGCHLD.

    Args:
        link: the socket to the caller.
        caller: the caller's pid. Its end counts as the end of the socket: a fork of the caller may keep
            the socket open.
        grace: seconds between SIGTERM and SIGKILL at the end.
    """

    def __init__(self, link: socket.socket, caller: int, grace: float) -> None:
        self._link = link
        self._grace = grace
        self._folder: Path | None = None
        self._keep = False
        self._ending = False
        self._received = b""
        self._dead: set[int] = set()  # exits of children are told once each
        self._caller = self._open_caller(caller)
        self._wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        os.set_blocking(self._wake_read, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._on_sigterm)
        for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE):
            signal.signal(ignored, signal.SIG_IGN)

    def _on_sigterm(self, *_: object) -> None:
        self._ending = True

    @staticmethod
    def _open_caller(caller: int) -> int | None:
        try:
            handle = os.pidfd_open(caller)
        except OSError:
            return None  # gone, and the socket with it; or a kernel before 5.3: the socket alone tells
        if os.getppid() == caller:
            return handle
        os.close(handle)
        return None

    def run(self) -> None:
        poller = select.poll()
        poller.register(self._link, select.POLLIN)
        poller.register(self._wake_read, select.POLLIN)
        if self._caller is not None:
            poller.register(self._caller, select.POLLIN)
        try:
            while not self._ending:
                ready = {fd for fd, _ in poller.poll()}
                if self._wake_read in ready:
                    os.read(self._wake_read, 4096)
                    self._reap()
                if self._caller in ready:
                    break
                if self._link.fileno() in ready and not self._receive():
                    break
        finally:
            self._end_all()
            if self._folder is not None and not self._keep:
                shutil.rmtree(self._folder, ignore_errors=True)

    def _receive(self) -> bool:
        try:
            data = self._link.recv(1 << 16)
        except ConnectionError:
            return False
        if not data:
            return False
        *lines, self._received = (self._received + data).split(b"\n")
        return all(self._answer(json.loads(line)) for line in lines)

    def _answer(self, request: dict[str, Any]) -> bool:
        actions: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "folder": self._make_folder,
            "spawn": self._spawn,
            "signal": self._signal,
            "descendants": lambda _: {"pids": descendants(os.getpid())},
        }
        try:
            answer = actions[request["do"]](request)
        except (OSError, subprocess.SubprocessError) as error:
            answer = {"error": str(error)}
        return self._tell({"id": request["id"], **answer})

    def _tell(self, message: dict[str, Any]) -> bool:
        # Blocking on purpose: the caller always reads, and when it is gone this fails at once.
        try:
            self._link.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            return False
        return True

    def _make_folder(self, request: dict[str, Any]) -> dict[str, Any]:
        self._keep = request["keep"]
        if request["path"] is None:
            self._folder = Path(tempfile.mkdtemp(prefix="rabbitkeeper-"))
        else:
            folder = Path(request["path"])
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise OSError(f"the folder {folder} is not empty")
            self._folder = folder
        return {"path": str(self._folder)}

    def _spawn(self, request: dict[str, Any]) -> dict[str, Any]:
        with open(request["log"], "ab") as log:  # noqa: PTH123
            child = subprocess.Popen(
                request["argv"],
                env=request["env"],
                cwd=request["cwd"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # the terminal's Ctrl-C is the caller's business
                restore_signals=True,
                preexec_fn=die_with_parent,
            )
        child.returncode = 0  # reaped below, with the orphans; Popen shall not wait for it
        self._dead.discard(child.pid)
        return {"pid": child.pid}

    def _signal(self, request: dict[str, Any]) -> dict[str, Any]:
        """Signal a child. A child that has not been reaped keeps its pid, so this never hits another."""
        pid = request["pid"]
        self._reap()
        if pid in self._dead or parents().get(pid) != os.getpid():
            return {"sent": False}
        os.kill(pid, request["signal"])
        return {"sent": True}

    def _reap(self) -> bool:
        """Collect who has ended; False when no child is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            self._dead.add(pid)
            self._tell({"exit": pid, "status": os.waitstatus_to_exitcode(status)})

    def _end_all(self) -> None:
        """Ask everyone to end, and after the grace make them: the stopped, the forked and the orphaned."""
        if self._grace > 0:
            send(descendants(os.getpid()), signal.SIGTERM, signal.SIGCONT)
            deadline = time.monotonic() + self._grace
            while self._reap() and (left := deadline - time.monotonic()) > 0:
                self._await_exit(left)
        while self._reap():
            # Again each round: what is killed last may have forked meanwhile.
            send(descendants(os.getpid()), signal.SIGKILL)
            self._await_exit(0.05)

    def _await_exit(self, timeout: float) -> None:
        if select.select([self._wake_read], [], [], timeout)[0]:
            os.read(self._wake_read, 4096)


def main() -> None:
    become_subreaper()
    caller, grace = int(sys.argv[1]), float(sys.argv[2])
    GuardianLoop(socket.socket(fileno=os.dup(0)), caller, grace).run()


if __name__ == "__main__":
    main()

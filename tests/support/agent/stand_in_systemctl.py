#!/usr/bin/env python3
"""Stands in for systemctl, since there is no systemd here. It runs one unit as a real process.

The file is copied into a folder of the test's, beside ``unit``, the program that the unit runs. What it
prints is what systemctl(1) and org.freedesktop.systemd1(5) say of a service with ``Type=exec``.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
STATE, LOG = HERE / "state.json", HERE / "journal"


def state() -> dict[str, int]:
    return json.loads(STATE.read_text()) if STATE.exists() else {}


def write(**fields: int) -> None:
    new = STATE.with_suffix(".new")
    new.write_text(json.dumps(fields))
    new.replace(STATE)


def supervise() -> None:
    """What systemd itself does: start the process, and record how it ended."""
    with LOG.open("ab") as log:
        child = subprocess.Popen([HERE / "unit"], stdout=log, stderr=log, start_new_session=True)
    started = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    write(pid=child.pid, started=started)
    status = child.wait()
    write(pid=0, last=child.pid, started=started, status=status)


def alive() -> int:
    return state().get("pid", 0)


def send(*signals: signal.Signals) -> None:
    group = alive()
    with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
        for number in signals:
            os.killpg(group, number)


def show() -> None:
    now = state()
    running, status = bool(now.get("pid")), now.get("status")
    failed = status not in (None, 0, -signal.SIGTERM)
    result = "success" if not failed else "exit-code" if (status or 0) > 0 else "signal"
    for line in (
        "LoadState=loaded",
        f"ActiveState={'active' if running else 'failed' if failed else 'inactive'}",
        f"SubState={'running' if running else 'failed' if failed else 'dead'}",
        "Job=",
        f"MainPID={now.get('pid', 0)}",
        f"ExecMainPID={now.get('pid') or now.get('last', 0)}",
        f"ExecMainStartTimestampMonotonic={now.get('started', 0)}",
        f"ExecMainCode={0 if status is None else 1 if status >= 0 else 2}",
        f"ExecMainStatus={abs(status or 0)}",
        f"Result={result}",
    ):
        print(line)  # noqa: T201


def main() -> int:
    verb = next(argument for argument in sys.argv[1:] if not argument.startswith("--"))
    while (HERE / "hang").exists():
        (HERE / "hanging").touch()
        time.sleep(0.1)
    if verb == "supervise":
        supervise()
    elif verb == "show":
        show()
    elif verb == "status":
        print("* the unit\n     Active: so or so\n")  # noqa: T201
        print(LOG.read_text() if LOG.exists() else "", end="")  # noqa: T201
        return 0 if alive() else 3
    elif verb == "start" and not alive():
        before = state().get("started")
        subprocess.Popen(
            [sys.executable, __file__, "supervise"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while state().get("started") == before:
            time.sleep(0.01)
    elif verb == "stop" and alive():
        send(signal.SIGTERM, signal.SIGCONT)
    elif verb == "kill" and alive():
        send(signal.SIGKILL)
    return 0


if __name__ == "__main__":
    sys.exit(main())

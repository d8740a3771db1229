"""One process, told apart from a later one with the same pid.

A pid alone is not enough to find a broker again after the agent was restarted: it may belong to something
else by then. The pid together with the start time that the kernel keeps is unique while the host is up,
and with the kernel's boot id for good.
"""

import contextlib
import os
import select
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_TICKS = os.sysconf("SC_CLK_TCK")  # kernel ticks a second

# ``sh -c RECORDING_SHELL sh FILE PROGRAM`` writes what ProcessId.read() reads about itself and then becomes
# PROGRAM. Nothing can come between: either the file is there or the program is not running. Whatever is its
# standard input, a lock say, is held for just as long. The 22nd field of /proc/PID/stat is the start time;
# "sh", the second, has no blank in it.
RECORDING_SHELL = (
    "read -r stat < /proc/$$/stat && read -r boot < /proc/sys/kernel/random/boot_id && "
    'file=$1 program=$2 && set -- $stat && printf "%s %s %s\\n" "$1" "${22}" "$boot" > "$file.new" && '
    'mv -f "$file.new" "$file" && exec "$program" < /dev/null'
)


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process for good.

    Args:
        pid: its number.
        started: kernel ticks after boot.
        boot: the kernel's boot id.
    """

    pid: int
    started: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """The live process that has this pid now; None if there is none (a zombie is none)."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The name, in parentheses, may hold anything, so what follows is counted from its end.
        state, *fields = stat.rpartition(")")[2].split()
        return None if state in ("Z", "X") else cls(pid, int(fields[18]), boot)

    @classmethod
    def read(cls, file: Path) -> Self | None:
        """What :data:`RECORDING_SHELL` has written; None if there is no such file or it is damaged."""
        try:
            pid, started, boot = file.read_text().split()
            return cls(int(pid), int(started), boot)
        except (FileNotFoundError, ValueError):
            return None

    @property
    def identity(self) -> str:
        """The same as one word, for a record."""
        return f"{self.pid}-{self.started}-{self.boot[:8]}"

    @property
    def alive(self) -> bool:
        return ProcessId.of(self.pid) == self

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) - self.started / _TICKS

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal to this process and never to another; False if it has ended."""
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(self.pid)
            try:
                if self.alive:  # and so the handle is of this process, whatever happens from here on
                    signal.pidfd_send_signal(handle, number)
                    return True
            finally:
                os.close(handle)
        return False

    def wait(self, timeout: float) -> bool:
        """Wait until it has ended; False if it has not within ``timeout`` seconds."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            if not self.alive:
                return True
            poller = select.poll()
            poller.register(handle, select.POLLIN)
            return bool(poller.poll(max(0.0, timeout) * 1000))
        finally:
            os.close(handle)

"""Whether the broker's process stands still: it neither runs nor waits for a processor.

What looks hung may be slow, and a host that is starved makes it slower, so there are graces and questions
before a broker is killed. But a process that has had no processor and has not waited for one for a while,
though a canary lies in its socket, is not slow: it is stopped (SIGSTOP, a debugger), or its threads wait for
one another for ever. A slow one waits for its turn, and a node that pauses, boots or recovers runs. One that
waits for a disk or for memory from the swap (state ``D``) may go on, and is not taken for still.

(Linux, *sched-stats*, Documentation/scheduler/sched-stats.rst: nanoseconds on a processor, nanoseconds of
waiting for one; proc(5) for the state.)
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from rabbitkeeper.agent.broker.policy import STILL
from rabbitkeeper.agent.runtime.clocks import monotonic

_MACHINE = "beam.smp"  # a script that waits for it stands still as well
_WAITS_FOR_DISK = "D"

Activity = Mapping[str, str]
"""Of each thread, by its number: what it has run and waited so far."""


def activity(pid: int, directory: Path = Path("/proc")) -> Activity | None:
    """What an Erlang machine's threads have done so far.

    Args:
        pid: its process.
        directory: the kernel's.

    Returns:
        None if it is none, cannot be looked at, or waits for a disk, and where the kernel does not count.
    """
    process = directory / str(pid)
    try:
        if (process / "comm").read_text().strip() != _MACHINE:
            return None
        threads = {}
        for thread in (process / "task").iterdir():
            state = (thread / "stat").read_text(errors="replace").rpartition(")")[2].split()[0]
            if state == _WAITS_FOR_DISK:
                return None
            threads[thread.name] = (thread / "schedstat").read_text()
    except (OSError, IndexError):
        return None
    if all(counted.split()[:1] == ["0"] for counted in threads.values()):
        return None  # the kernel has the file and does not count: a process that is there has run
    return threads


class _Seen(NamedTuple):
    pid: int
    activity: Activity
    since: float  # monotonic seconds


class Stillness:
    """One broker's. Belongs to the loop's thread, save :meth:`lasts`.

    Args:
        read: what the threads of a process have done so far; see :func:`activity`.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        read: Callable[[int], Activity | None] = activity,
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._read = read
        self._clock = clock
        self._seen: _Seen | None = None

    @property
    def since(self) -> float | None:
        """Since when it has been seen to stand still, monotonic seconds; None: it cannot be told."""
        return None if self._seen is None else self._seen.since

    def look(self, now: float, pid: int | None, *, hangs: bool) -> None:
        """See whether it has run since the last look.

        Args:
            now: seconds, monotonic.
            pid: the broker's process, as far as it is known.
            hangs: it is waited for; else there is nothing to see.
        """
        found = self._read(pid) if hangs and pid is not None else None
        if found is None or pid is None:
            self._seen = None
        elif self._seen is None or (self._seen.pid, self._seen.activity) != (pid, found):
            self._seen = _Seen(pid, found, now)

    def lasts(self) -> bool:
        """Whether it has stood still for long enough, to this moment. From any thread."""
        seen = self._seen
        return (
            seen is not None and self._clock() >= seen.since + STILL and self._read(seen.pid) == seen.activity
        )

"""What process 1 of a container has to do besides its own work: reap children that nobody else waits for.

The agent starts programs that leave children of their own behind (Erlang's port mapper, what a hook leaves
running), and in a container orphans become children of process 1. Reaping them in the agent itself would take
the exit status from under whoever waits for a child. So process 1 only passes signals on and reaps, and the
agent is its child.
"""

import os
import signal
from collections.abc import Callable

_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def under_init(work: Callable[[], None], *, first: bool | None = None) -> None:
    """Do ``work``: here, or in a child of a process that only reaps if this one is process 1.

    Does not return in the process that reaps: it ends as the child has ended.

    Args:
        work: ends with ``SystemExit``, or returns.
        first: whether this is process 1; None: as it is.
    """
    if not (os.getpid() == 1 if first is None else first):
        work()
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)  # none is lost before there is somebody to get it
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
        work()
        return
    for number in _PASSED_ON:
        signal.signal(number, lambda got, _frame: os.kill(child, got))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
    os._exit(_reap_until(child))


def _reap_until(child: int) -> int:
    """Reap everybody; the exit status once ``child`` has ended, as a shell would tell it."""
    while True:
        ended, status = os.wait()
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code

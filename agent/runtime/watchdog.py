"""Ends the process when the agent's loop has stopped coming round.

The loop can hang where no deadline reaches (a driver, a disk, a bug), and kazoo's own thread would keep the
ZooKeeper session alive meanwhile: the member would go on leading with nobody looking after its broker. The
broker is left running; the next agent adopts it.
"""

import logging
import os
import threading
from collections.abc import Callable

EXIT_CODE = 70  # EX_SOFTWARE in sysexits.h
_CHECKS = 10  # in one timeout
_LAST_WORDS = 0.2  # seconds

LOG = logging.getLogger("rabbitkeeper.agent")


class Watchdog:
    """A thread that counts the checks since the last beat.

    Counting checks, not seconds by the clock: when the whole process was stopped or the host slept, the
    loop gets its chance to come round before it is judged.

    Args:
        timeout: seconds without a beat.
        end: what to do then; by default the process ends without any further ado.
    """

    def __init__(self, timeout: float, *, end: Callable[[], None] | None = None) -> None:
        self._timeout = timeout
        self._end = end if end is not None else self._exit
        self._stopped = threading.Event()
        self._missed = 0
        self._thread = threading.Thread(target=self._run, name="rabbitkeeper-watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Idempotent; returns at once."""
        self._stopped.set()

    def adapt(self, timeout: float) -> None:
        """Another timeout, in seconds, from the next check on."""
        self._timeout = timeout

    def beat(self) -> None:
        """The loop has come round."""
        self._missed = 0

    def _run(self) -> None:
        while not self._stopped.wait(self._timeout / _CHECKS):
            self._missed += 1
            if self._missed > _CHECKS:
                self._end()
                return

    def _exit(self) -> None:
        # From a thread, and not waited for for long: what hangs the loop may be the log itself.
        threading.Thread(target=self._say, daemon=True).start()
        self._stopped.wait(_LAST_WORDS)
        os._exit(EXIT_CODE)

    def _say(self) -> None:
        LOG.critical(
            "the agent's loop has not come round for %g s: ending this process; the broker goes on",
            self._timeout,
        )

"""Takes the agent's file anew while it runs: secrets, certificates and ZooKeeper's address, and nothing else.

Done when somebody asks (SIGHUP), and when a file that holds one of them has changed. All is read and checked
before any of it is taken; what cannot be used is said, and everything stays as it was. Files are looked at
now and then: Python has no inotify, and a mounted secret is changed by a rename somewhere above it.
"""

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from rabbitkeeper.agent.config import AgentConfig, load
from rabbitkeeper.coordinator.model.errors import ConfigurationError

LOG = logging.getLogger("rabbitkeeper.agent")

INTERVAL = 5.0  # seconds between looks at the files
_STOP_TIMEOUT = 1.0  # seconds

Adopt = Callable[[AgentConfig], None]
Stamp = tuple[int, int, int]  # of a file: inode, size, nanoseconds of its last change


class Reload:
    """From :meth:`start` to :meth:`stop`, in a thread of its own: a disk may hang.

    Args:
        path: the agent's file.
        own: what it said when the agent began.
        adopt: given the agent's configuration with what is new; may refuse with ``ConfigurationError``
            before it has taken anything. From the thread of this.
        interval: seconds between looks at the files.
    """

    def __init__(self, path: Path, own: AgentConfig, adopt: Adopt, *, interval: float = INTERVAL) -> None:
        self._path = path
        self._own = own
        self._adopt = adopt
        self._interval = interval
        # A SimpleQueue, since a signal handler puts into it.
        self._asked: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._stamps = stamps(own)
        self._thread = threading.Thread(target=self._run, name="rabbitkeeper-reload", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Idempotent."""
        if self._thread.is_alive():
            self._asked.put(False)
            self._thread.join(_STOP_TIMEOUT)

    def ask(self) -> None:
        """Read it now. From any thread, or a signal handler; returns at once."""
        self._asked.put(True)

    def _run(self) -> None:
        while True:
            try:
                if not self._asked.get(timeout=self._interval):
                    return
                self.look(asked=True)
            except queue.Empty:
                self.look(asked=False)

    def look(self, *, asked: bool) -> None:
        """Take what is new, if somebody has asked or a file has changed."""
        now = stamps(self._own)
        if not asked and now == self._stamps:
            return
        changed = sorted(str(path) for path, stamp in now.items() if stamp != self._stamps.get(path))
        self._stamps = now
        why = f"{', '.join(changed)} changed" if changed else "asked for"
        try:
            found = load(self._path)
            taken = self._own.with_secrets_of(found)
            self._adopt(taken)
        except ConfigurationError as error:
            LOG.warning("nothing is reloaded (%s): %s", why, "; ".join(str(error).splitlines()))
            return
        other = taken.differs_from(found)
        self._own = taken
        self._stamps = stamps(taken)
        LOG.info("reloaded (%s): passwords, tokens, certificates and zookeeper.hosts", why)
        if other:
            LOG.warning("these hold when the agent is started again: %s", ", ".join(other))


def stamps(config: AgentConfig) -> Mapping[Path, Stamp | None]:
    """Of each file that a secret or a certificate is read from; None where there is no such file."""
    return {path: _stamp(path) for path in config.secret_files}


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns

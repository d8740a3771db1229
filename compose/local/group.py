"""A whole group on this machine: ZooKeeper servers, brokers and their agents in one folder, on loopback."""

import time
from pathlib import Path
from typing import Self

from rabbitkeeper.compose.local.errors import LocalError
from rabbitkeeper.compose.local.guardian import Guardian
from rabbitkeeper.compose.local.ports import Ports
from rabbitkeeper.compose.local.zookeeper import LocalZooKeeper


class Local:
    """Starts servers as child processes and ends them all, whatever happens to the caller.

    Args:
        zookeepers: how many ZooKeeper servers; more than one form an ensemble.
        directory: where everything lives; made if missing, and it must be empty. None: a new folder in the
            temporary folder.
        keep: leave the folder, with data and logs, when it stops.
    """

    def __init__(
        self, *, zookeepers: int = 1, members: int = 0, directory: Path | None = None, keep: bool = False
    ) -> None:
        self._size = zookeepers
        self._directory = directory
        self._keep = keep
        self._ports = Ports()
        self._guardian: Guardian | None = None
        self._zookeeper: LocalZooKeeper | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, timeout: float = 180.0) -> None:
        """Start everything; returns when it serves. On an error everything is ended again.

        Raises:
            LocalError: something is not installed, or did not start in ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        try:
            self._guardian = Guardian(self._directory, keep=self._keep)
            self._zookeeper = LocalZooKeeper(self._guardian, self._ports, self._size)
            self._zookeeper.start(timeout=deadline - time.monotonic())
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End everything and remove the folder. Idempotent."""
        if self._guardian is not None:
            self._guardian.close()
            self._guardian = None
        self._ports.close()

    @property
    def folder(self) -> Path:
        if self._guardian is None:
            raise LocalError("nothing is running; call start() first")
        return self._guardian.folder

    @property
    def zookeeper(self) -> LocalZooKeeper:
        """The ZooKeeper servers: stop, kill, freeze and start them by number."""
        if self._zookeeper is None:
            raise LocalError("no ZooKeeper is running; call start() first")
        return self._zookeeper

    @property
    def zookeeper_hosts(self) -> str:
        """The connection string."""
        return self.zookeeper.hosts

    def start_zookeeper(self, number: int = 0) -> None:
        """Start a stopped ZooKeeper server; returns when it serves sessions."""
        self.zookeeper.start([number])

    def stop_zookeeper(self, number: int = 0) -> None:
        """End a ZooKeeper server in order."""
        self.zookeeper.stop(number)

    def kill_zookeeper(self, number: int = 0) -> None:
        """SIGKILL a ZooKeeper server."""
        self.zookeeper.kill(number)

"""A whole group on this machine: ZooKeeper servers, brokers and their agents in one folder, on loopback."""

import secrets
import signal
import time
from pathlib import Path
from typing import Self

from rabbitkeeper.agent import definitions
from rabbitkeeper.agent.drivers.node_files import NodeSettings
from rabbitkeeper.compose.local import bare, installed
from rabbitkeeper.compose.local.bare import BareBroker
from rabbitkeeper.compose.local.erlang import ErlangHost
from rabbitkeeper.compose.local.errors import LocalError
from rabbitkeeper.compose.local.guardian import Guardian
from rabbitkeeper.compose.local.lean import lean_server
from rabbitkeeper.compose.local.ports import LOOPBACK, Ports
from rabbitkeeper.compose.local.zookeeper import LocalZooKeeper

# A laptop's disk is fuller and its memory smaller than a server's: the defaults would raise alarms.
_MODEST = "disk_free_limit.absolute = 50MB\nvm_memory_high_watermark.absolute = 512MB\n"


class Local:
    """Starts servers as child processes and ends them all, whatever happens to the caller.

    Args:
        zookeepers: how many ZooKeeper servers; more than one form an ensemble.
        members: how many brokers, called ``node1``, ``node2``, …
        directory: where everything lives; made if missing, and it must be empty. None: a new folder in the
            temporary folder.
        keep: leave the folder, with data and logs, when it stops.
        agents: False runs the brokers without agents, as a RabbitMQ cluster.
    """

    def __init__(
        self,
        *,
        zookeepers: int = 1,
        members: int = 3,
        directory: Path | None = None,
        keep: bool = False,
        agents: bool = True,
    ) -> None:
        self.members = tuple(f"node{number}" for number in range(1, members + 1))
        self.credentials = ("app", secrets.token_urlsafe(18))
        self._size = zookeepers
        self._directory = directory
        self._keep = keep
        self._ports = Ports()
        self._guardian: Guardian | None = None
        self._zookeeper: LocalZooKeeper | None = None
        self._brokers: dict[str, BareBroker] = {}

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
            if self._size:
                self._zookeeper = LocalZooKeeper(self._guardian, self._ports, self._size)
                self._zookeeper.start(wait=not self.members, timeout=timeout)
            if self.members:
                self._start_brokers(self._guardian, deadline)
            if self._zookeeper is not None:
                self._zookeeper.wait_serving(timeout=deadline - time.monotonic())
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

    def amqp(self, name: str) -> tuple[str, int]:
        """Host and port of a member's broker."""
        return self._broker(name).settings.listen

    def node(self, name: str) -> str:
        """The Erlang node name of a member's broker."""
        return self._broker(name).settings.node

    def broker_pid(self, name: str) -> int | None:
        """The broker's pid; None when it is not running."""
        return self._broker(name).pid

    def kill_broker(self, name: str) -> None:
        """SIGKILL a broker; returns when it is gone."""
        self._broker(name).end(0)

    def stop_broker(self, name: str) -> None:
        """SIGSTOP a broker: it keeps its connections and answers nothing."""
        self._broker(name).signal(signal.SIGSTOP)

    def continue_broker(self, name: str) -> None:
        """SIGCONT a broker."""
        self._broker(name).signal(signal.SIGCONT)

    def start_broker(self, name: str, timeout: float = 120.0) -> None:
        """Start a broker that was killed; returns when it listens. For brokers without agents."""
        self._broker(name).spawn()
        self._broker(name).wait_listening(time.monotonic() + timeout)

    def logs(self, name: str) -> Path:
        """The folder with a broker's logs."""
        return self._broker(name).settings.logs

    def _broker(self, name: str) -> BareBroker:
        if name not in self._brokers:
            raise LocalError(
                f"there is no running member {name!r}; there are: {', '.join(self._brokers) or 'none'}"
            )
        return self._brokers[name]

    def _start_brokers(self, guardian: Guardian, deadline: float) -> None:
        host = ErlangHost(guardian, self._ports)
        host.start()
        server = lean_server(installed.rabbitmq_server(), guardian.folder / "rabbitmq")
        user = ("rabbitkeeper", secrets.token_urlsafe(18))
        for number, name in enumerate(self.members, start=1):
            settings = NodeSettings(
                node=f"rabbit{number}@localhost",
                directory=guardian.folder / name,
                listen=(LOOPBACK, self._ports.reserve()),
                user=user,
                cookie=host.cookie,
                config=_MODEST,
                environment=host.environment(),
            )
            self._brokers[name] = BareBroker(guardian, server, name, settings)
        brokers = list(self._brokers.values())
        bare.form(brokers, deadline - time.monotonic())
        brokers[0].ctl.import_definitions(
            {
                "users": [definitions.user(*self.credentials, salt=secrets.token_bytes(4))],
                "permissions": [definitions.full_access(self.credentials[0], "/")],
            }
        )

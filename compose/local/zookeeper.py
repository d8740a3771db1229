"""ZooKeeper servers on one address of this host: one alone, or several as an ensemble."""

import logging
import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException
from kazoo.handlers.threading import KazooTimeoutError

from rabbitkeeper.compose.local import installed
from rabbitkeeper.compose.local.errors import LocalError
from rabbitkeeper.compose.local.guardian import Child, Guardian
from rabbitkeeper.compose.local.ports import LOOPBACK, Ports

TICK = 500  # milliseconds: sessions end in steps of this. ZooKeeper's sample has 2000
SESSION_TIMEOUTS = (500, 120_000)  # milliseconds; by default 2 and 20 ticks

# kazoo tells at WARNING that a server which is still booting refuses connections: that is the normal course
_silent = logging.getLogger(f"{__name__}.starting")
_silent.setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class _Ports:
    client: int
    peer: int
    election: int


_LEAN = (
    "-Xmx128m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # boots with a third of the CPU
)


class LocalZooKeeper:
    """N ZooKeeper servers, numbered from 0. Data survives a stop and a kill, not the guardian's end.

    Args:
        guardian: starts the servers; they live in ``zookeeper0``, … of its folder.
        ports: where their ports come from.
        servers: how many; more than one form an ensemble.
        address: what they listen on.
        tls: a folder with ``ca.pem`` and ``server.pem`` (certificate and key): there is a secure client port
            too, and whoever comes there needs no certificate of its own.
        lean: it boots soon and takes little, which suffices for hundreds of sessions; else Java runs it as by
            default.
    """

    def __init__(
        self,
        guardian: Guardian,
        ports: Ports,
        servers: int = 1,
        *,
        address: str = LOOPBACK,
        tls: Path | None = None,
        lean: bool = True,
    ) -> None:
        self._guardian = guardian
        self._lean = lean
        self._address = address
        self._tls = tls
        self._secure_ports = [ports.reserve() for _ in range(servers)] if tls is not None else []
        self._ports = [_Ports(ports.reserve(), ports.reserve(), ports.reserve()) for _ in range(servers)]
        self._children: dict[int, Child] = {}

    @property
    def hosts(self) -> str:
        """The connection string of all servers."""
        return ",".join(self.address(number) for number in range(len(self._ports)))

    def address(self, number: int) -> str:
        """``host:port`` of one server."""
        return f"{self._address}:{self._ports[number].client}"

    def secure_address(self, number: int) -> str:
        """``localhost:port`` of one server's TLS port: its certificate has a name, not an address."""
        return f"localhost:{self._secure_ports[number]}"

    def pid(self, number: int) -> int | None:
        """The server's pid; None when it is not running."""
        child = self._children.get(number)
        return child.pid if child is not None and child.running else None

    def log(self, number: int) -> Path:
        return self._folder(number) / "zookeeper.log"

    def start(self, numbers: Sequence[int] | None = None, timeout: float = 30.0) -> None:
        """Start servers (all by default) and wait until each serves sessions.

        Args:
            numbers: which ones; those that run already are left alone.
            timeout: seconds.

        Raises:
            LocalError: Java or ZooKeeper is not installed, a server ended, or does not serve in time.
        """
        java, classpath = installed.java(), installed.zookeeper_classpath()
        numbers = range(len(self._ports)) if numbers is None else numbers
        for number in numbers:
            if self.pid(number) is None:
                self._children[number] = self._spawn(number, java, classpath)
        deadline = time.monotonic() + timeout
        for number in numbers:
            self._await_session(number, deadline, timeout)

    def stop(self, number: int, grace: float = 5.0) -> None:
        """End a server gracefully; its data stays."""
        if (child := self._children.get(number)) is not None:
            child.end(grace)

    def kill(self, number: int) -> None:
        """SIGKILL a server; returns when it is gone."""
        self.stop(number, grace=0)

    def wipe(self, number: int) -> None:
        """Delete the data of a server, which is killed first; :meth:`start` starts it again."""
        self.kill(number)
        shutil.rmtree(self._folder(number) / "data")

    def freeze(self, number: int) -> None:
        """SIGSTOP a server: it keeps its connections and answers nothing."""
        self._running(number).signal(signal.SIGSTOP)

    def thaw(self, number: int) -> None:
        """SIGCONT a server."""
        self._running(number).signal(signal.SIGCONT)

    def _running(self, number: int) -> Child:
        child = self._children.get(number)
        if child is None or not child.running:
            raise LocalError(f"ZooKeeper server {number} is not running; start it first")
        return child

    def _folder(self, number: int) -> Path:
        return self._guardian.folder / f"zookeeper{number}"

    def _spawn(self, number: int, java: Path, classpath: str) -> Child:
        folder = self._folder(number)
        data = folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        config = folder / "zoo.cfg"
        config.write_text(self._config(number, data))
        (data / "myid").write_text(f"{number + 1}\n")
        argv: list[str | Path] = [
            java,
            *(_LEAN if self._lean else ()),
            "-XX:-UsePerfData",  # leaves nothing in the temporary folder when it is killed
            "-Djava.net.preferIPv4Stack=true",
            "-Dzookeeper.admin.enableServer=false",
            "-Dzookeeper.preAllocSize=1024",  # KiB of transaction log at a time, of 64 MiB
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
            "-cp",
            classpath,
            "org.apache.zookeeper.server.quorum.QuorumPeerMain",
            config,
        ]
        return self._guardian.spawn(
            f"ZooKeeper server {number}", argv, env={"LC_ALL": "C.UTF-8"}, log=self.log(number), cwd=folder
        )

    def _config(self, number: int, data: Path) -> str:
        lines = [
            f"dataDir={data}",
            f"tickTime={TICK}",
            "initLimit=20",
            "syncLimit=10",
            f"minSessionTimeout={SESSION_TIMEOUTS[0]}",
            f"maxSessionTimeout={SESSION_TIMEOUTS[1]}",
            f"clientPortAddress={self._address}",
            f"clientPort={self._ports[number].client}",
            "maxClientCnxns=0",
            "4lw.commands.whitelist=",
        ]
        if self._tls is not None:
            lines += [
                f"secureClientPort={self._secure_ports[number]}",
                f"secureClientPortAddress={LOOPBACK}",
                "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory",
                f"ssl.keyStore.location={self._tls / 'server.pem'}",
                f"ssl.trustStore.location={self._tls / 'ca.pem'}",
                "ssl.clientAuth=none",
            ]
        if len(self._ports) > 1:
            lines += [
                f"server.{peer}={LOOPBACK}:{ports.peer}:{ports.election}"
                for peer, ports in enumerate(self._ports, start=1)
            ]
        return "\n".join(lines) + "\n"

    def _await_session(self, number: int, deadline: float, timeout: float) -> None:
        """Wait until the server opens a session: a member of an ensemble without a majority does not."""
        child = self._children[number]
        client = KazooClient(
            self.address(number),
            timeout=2.0,  # a server that is just opening its port never answers some connections
            connection_retry={"max_tries": -1, "delay": 0.05, "max_delay": 0.1},
            logger=_silent,
        )
        connected = client.start_async()
        try:
            while not connected.wait(0.05):
                if child.status is not None:
                    raise LocalError(
                        f"{child.name} ended with status {child.status}; last lines of {child.log}:\n"
                        f"{child.last_lines()}"
                    )
                if time.monotonic() > deadline:
                    raise LocalError(
                        f"{child.name} ({self.address(number)}) serves no session after {timeout:.0f} s; "
                        f"last lines of {child.log}:\n{child.last_lines()}"
                    )
        finally:
            try:
                client.stop()
                client.close()
            except (KazooException, KazooTimeoutError):
                pass  # the session ends by itself

"""Brokers without agents: alone, or joined into a RabbitMQ cluster by hand."""

import signal
import time
from collections.abc import Sequence
from pathlib import Path

from rabbitkeeper.agent.broker.drivers import node_files
from rabbitkeeper.agent.broker.drivers.node_files import NodeSettings
from rabbitkeeper.agent.rabbitmq.ctl import RabbitmqCtl
from rabbitkeeper.agent.rabbitmq.runner import LocalRunner
from rabbitkeeper.compose.local.erlang import listening
from rabbitkeeper.compose.local.errors import LocalError
from rabbitkeeper.compose.local.guardian import Child, Guardian, last_lines


class BareBroker:
    """One broker, started through the guardian. Its data survives a stop and a kill.

    Args:
        guardian: starts it.
        server: RabbitMQ's own start script.
        name: the member's name.
        settings: the node's.
    """

    def __init__(self, guardian: Guardian, server: Path, name: str, settings: NodeSettings) -> None:
        self.name = name
        self.settings = settings
        self.ctl = RabbitmqCtl(
            server.with_name("rabbitmqctl"), settings.node, LocalRunner(node_files.environment(settings))
        )
        self._guardian = guardian
        self._server = server
        self._child: Child | None = None

    @property
    def broker_pid(self) -> int | None:
        """The server's pid; None when it is not running."""
        return self._child.pid if self._child is not None and self._child.running else None

    def spawn(self) -> None:
        """Start it; :meth:`wait_listening` tells when it serves."""
        if self.broker_pid is not None:
            return
        node_files.write(self.settings)
        self._child = self._guardian.spawn(
            f"the broker of {self.name}",
            [self._server],
            env=node_files.environment(self.settings),
            log=self.settings.output,
            cwd=self.settings.directory,
        )

    def wait_listening(self, deadline: float) -> None:
        """Wait until it takes AMQP connections, which it does last of all when it boots.

        Raises:
            LocalError: it ended, or does not listen in time.
        """
        port = self.settings.listen[1]
        child = self._child
        if child is None:
            raise LocalError(f"the broker of {self.name} has not been started")
        while not listening(port):
            if child.wait(0.05) is not None:
                raise LocalError(f"{child.name} ended with status {child.status}: {self._told()}")
            if time.monotonic() > deadline:
                raise LocalError(f"{child.name} does not listen on port {port} in time: {self._told()}")

    def kill_broker(self) -> None:
        """SIGKILL it; returns when it is gone."""
        if self._child is not None:
            self._child.end(0)

    def signal_broker(self, number: signal.Signals) -> None:
        """Send a signal.

        Raises:
            LocalError: it is not running.
        """
        self._running().signal(number)

    def _running(self) -> Child:
        if self._child is None or not self._child.running:
            raise LocalError(f"the broker of {self.name} is not running; start it first")
        return self._child

    def _told(self) -> str:
        log = self.settings.logs / f"{self.settings.node}.log"
        return f"last lines of {log}:\n{last_lines(log) or last_lines(self.settings.output)}"


def boot(brokers: Sequence[BareBroker], timeout: float) -> None:
    """Boot brokers at the same time.

    Raises:
        LocalError: one did not start.
    """
    deadline = time.monotonic() + timeout
    for broker in brokers:
        broker.spawn()
    for broker in brokers:
        broker.wait_listening(deadline)


def join(brokers: Sequence[BareBroker]) -> None:
    """Join all brokers to the first.

    Raises:
        RabbitmqCtlError: one could not join.
    """
    for broker in brokers[1:]:
        with broker.ctl.app_stopped():
            broker.ctl.join_cluster(brokers[0].settings.node)

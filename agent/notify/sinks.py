"""Everybody who is told of the agent's states: hooks, systemd, the HTTP API. The loop needs none of them."""

from collections.abc import Callable, Sequence
from typing import Protocol

from rabbitkeeper.agent.model.state import Board
from rabbitkeeper.agent.notify import event_log
from rabbitkeeper.agent.notify.dispatcher import Dispatcher, Sink
from rabbitkeeper.agent.notify.hooks import Hooks
from rabbitkeeper.agent.notify.systemd_notify import SystemdNotify


class Server(Protocol):
    """The HTTP API."""

    def sinks(self) -> Sequence[Sink]:
        """Those of its parts that are told."""

    def listen(self) -> None:
        """Take the port.

        Raises:
            AddressTaken: it cannot be had yet.
            ConfigurationError: it cannot be had, or the certificate cannot be used.
        """

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Sinks:
    """Starts and ends them with the agent.

    Args:
        board: whose states they are told of.
        hooks: an operator's commands.
        systemd: where to tell how it goes.
        server: the HTTP API; None: there is none.
        log_events: whether events are lines of the log.
    """

    def __init__(
        self,
        board: Board,
        hooks: Hooks,
        systemd: SystemdNotify,
        server: Server | None,
        *,
        log_events: bool = False,
    ) -> None:
        self._board = board
        self._hooks = hooks
        self._systemd = systemd
        self._server = server
        sinks: list[Sink] = []
        if log_events:
            sinks.append(event_log.receive)
        if systemd.listens:
            sinks.append(systemd.receive)
        if hooks.wanted:
            sinks.append(hooks.receive)
        if server is not None:
            sinks.extend(server.sinks())
        self._dispatcher = Dispatcher(sinks) if sinks else None
        if self._dispatcher is not None:
            board.tell = self._dispatcher.tell

    def listen(self) -> None:
        """Take the port, before :meth:`start`.

        Raises:
            AddressTaken, ConfigurationError: as :meth:`Server.listen`.
        """
        if self._server is not None:
            self._server.listen()

    def start(self) -> None:
        """Start everything, after :meth:`listen`."""
        if self._server is not None:
            self._server.start()
        self._hooks.start()
        if self._dispatcher is not None:
            self._dispatcher.start()

    def wait_for(self, what: str | None) -> None:
        """The agent's loop has not begun: it waits for something, or (None) no more."""
        self._board.wait_for(what)

    def stopping(self) -> None:
        """The agent begins to stop."""
        self._systemd.stopping()

    def stop(self) -> None:
        """Tell what there still is, and end everything; a few seconds at the most."""
        ends: list[Callable[[], None]] = [self._hooks.stop]
        if self._dispatcher is not None:
            ends.insert(0, self._dispatcher.stop)
        if self._server is not None:
            ends.append(self._server.stop)
        for end in ends:
            end()

"""Everybody who is told of the agent's states: hooks, systemd, the HTTP API. The loop needs none of them."""

from collections.abc import Callable, Sequence
from typing import Protocol

from rabbitkeeper.agent.model.state import Board
from rabbitkeeper.agent.notify.dispatcher import Herald, Listener
from rabbitkeeper.agent.notify.hooks import Hooks
from rabbitkeeper.agent.notify.systemd_notify import SystemdNotify


class Server(Protocol):
    """The HTTP API."""

    def hear(self) -> Sequence[Listener]:
        """Its listeners."""

    def listen(self) -> None:
        """Take the port.

        Raises:
            ConfigurationError: it cannot be had, or the certificate cannot be used.
        """

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Audience:
    """Starts and ends them with the agent.

    Args:
        board: whose states they are told of.
        hooks: an operator's commands.
        systemd: where to tell how it goes.
        server: the HTTP API; None: there is none.
    """

    def __init__(self, board: Board, hooks: Hooks, systemd: SystemdNotify, server: Server | None) -> None:
        self._hooks = hooks
        self._systemd = systemd
        self._server = server
        listeners: list[Listener] = []
        if systemd.listens:
            listeners.append(systemd.hear)
        if hooks.wanted:
            listeners.append(hooks.hear)
        if server is not None:
            listeners.extend(server.hear())
        self._herald = Herald(listeners) if listeners else None
        if self._herald is not None:
            board.tell = self._herald.tell

    def start(self) -> None:
        """Take the port, then start everything.

        Raises:
            ConfigurationError: as :meth:`Server.listen`; nothing has been started.
        """
        if self._server is not None:
            self._server.listen()
            self._server.start()
        self._hooks.start()
        if self._herald is not None:
            self._herald.start()

    def stopping(self) -> None:
        """The agent begins to stop."""
        self._systemd.stopping()

    def stop(self) -> None:
        """Tell what there still is, and end everything; a few seconds at the most."""
        ends: list[Callable[[], None]] = [self._hooks.stop]
        if self._herald is not None:
            ends.insert(0, self._herald.stop)
        if self._server is not None:
            ends.append(self._server.stop)
        for end in ends:
            end()

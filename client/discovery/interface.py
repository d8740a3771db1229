"""Discovery: how a client learns who is in its group and who leads. An interface, and those who are told.

Behind it are :mod:`group_watch`, which asks ZooKeeper, and :mod:`agent_watch`, which asks the agents. Both
tell the same views. What a client makes of one is for :mod:`rabbitkeeper.client.routing.listener`.
"""

import logging
import threading
from typing import Protocol

from rabbitkeeper.client.model.events import Event
from rabbitkeeper.client.routing.listener import Listener
from rabbitkeeper.coordinator.model.text import printable
from rabbitkeeper.coordinator.model.view import GroupView

log = logging.getLogger(__name__)


class Discovery(Protocol):
    """Keeps the picture of one group that clients have."""

    @property
    def connected(self) -> bool:
        """Whether a change would be heard of, as far as is known."""

    def add(self, listener: Listener) -> None:
        """Tell ``listener`` of the group from now on, and of what is known at once."""

    def remove(self, listener: Listener) -> None:
        """Tell it nothing more."""

    def start(self, timeout: float) -> None:
        """Learn of the group once, and go on.

        Args:
            timeout: seconds.

        Raises:
            CoordinationError: it could not be learned of in time, or there is no such group.
            NotAuthorized: nobody may ask who shows what was given.
        """

    def stop(self) -> None:
        """End it; everything that it holds is let go of."""


class Listeners:
    """The clients that listen to one discovery. From any thread."""

    def __init__(self) -> None:
        self._all: list[Listener] = []
        self._telling = threading.RLock()  # in the order of what was read; a signal handler may end a client
        self.view: GroupView | None = None
        """That was told last."""

    def add(self, listener: Listener) -> None:
        """See :meth:`Discovery.add`."""
        with self._telling:
            self._all.append(listener)
            if self.view is not None:
                listener.tell(self.view)

    def remove(self, listener: Listener) -> None:
        """See :meth:`Discovery.remove`."""
        with self._telling:
            self._all = [known for known in self._all if known is not listener]

    def tell(self, view: GroupView) -> None:
        """The group is so now. What was not understood of it is logged once."""
        with self._telling:
            logged = () if self.view is None else self.view.problems
            for problem in view.problems:
                if problem not in logged:
                    log.warning("%s", printable(problem))
            self.view = view
            for listener in self._all:
                listener.tell(view)

    def emit(self, event: Event) -> None:
        """Something has happened to the discovery itself."""
        for listener in list(self._all):
            listener.emit(event)

"""Tells what is new: takes each state of the loop, finds the events in it, hands both to whoever listens.

In a thread of its own, between the loop, which only drops its state into a queue, and listeners, which must
return at once (they queue, count or send a datagram). A listener that fails is logged and does not keep the
others from being told.
"""

import logging
import queue
import threading
from collections.abc import Callable, Sequence

from rabbitkeeper.agent.model.state import AgentState
from rabbitkeeper.agent.notify.events import Account, Event, follow
from rabbitkeeper.coordinator.model.records import utcnow

LOG = logging.getLogger("rabbitkeeper.agent")

BACKLOG = 1000  # states that may wait; the next are left out, and what they would have said comes later
_STOP_TIMEOUT = 1.0  # seconds

Listener = Callable[[AgentState, tuple[Event, ...]], None]


class Herald:
    """From :meth:`start` to :meth:`stop`.

    Args:
        listeners: called with each state and the events in it, on the herald's thread.
        now: the time for people, UTC.
    """

    def __init__(self, listeners: Sequence[Listener], *, now: Callable[[], str] = utcnow) -> None:
        self._listeners = tuple(listeners)
        self._now = now
        self._states: queue.SimpleQueue[AgentState | None] = queue.SimpleQueue()
        self._account = Account()
        self._thread = threading.Thread(target=self._run, name="rabbitkeeper-herald", daemon=True)

    def tell(self, state: AgentState) -> None:
        """From the loop's thread; returns at once."""
        if self._states.qsize() < BACKLOG:
            self._states.put(state)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Tell what there still is, and end; waits a second at the most."""
        if self._thread.is_alive():
            self._states.put(None)
            self._thread.join(_STOP_TIMEOUT)

    def _run(self) -> None:
        while (state := self._states.get()) is not None:
            self._account, events = follow(self._account, state, self._now())
            for listener in self._listeners:
                try:
                    listener(state, events)
                except Exception:  # the others are to be told all the same
                    LOG.exception("somebody who listens to the agent's events has failed")

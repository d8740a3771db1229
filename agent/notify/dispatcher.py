"""Tells what is new: takes each state of the loop, finds the events in it, hands both to the sinks.

In a thread of its own, between the loop, which only drops its state into a queue, and the sinks, which must
return at once (they queue, count or send a datagram). One that fails is logged and does not keep the
others from being told.
"""

import logging
import queue
import threading
from collections.abc import Callable, Sequence

from rabbitkeeper.agent.model.state import AgentState
from rabbitkeeper.agent.notify.events import Event, EventCursor, follow
from rabbitkeeper.coordinator.model.records import utcnow

LOG = logging.getLogger("rabbitkeeper.agent")

BACKLOG = 1000  # states that may wait; the next are left out, and what they would have said comes later
_STOP_TIMEOUT = 1.0  # seconds

Sink = Callable[[AgentState, tuple[Event, ...]], None]


class Dispatcher:
    """From :meth:`start` to :meth:`stop`.

    Args:
        sinks: called with each state and the events in it, on the dispatcher's thread.
        now: the time for people, UTC.
    """

    def __init__(self, sinks: Sequence[Sink], *, now: Callable[[], str] = utcnow) -> None:
        self._sinks = tuple(sinks)
        self._now = now
        self._states: queue.SimpleQueue[AgentState | None] = queue.SimpleQueue()
        self._cursor = EventCursor()
        self._thread = threading.Thread(target=self._run, name="rabbitkeeper-dispatcher", daemon=True)

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
            self._cursor, events = follow(self._cursor, state, self._now())
            for sink in self._sinks:
                try:
                    sink(state, events)
                except Exception:  # the others are to be told all the same
                    LOG.exception("a sink of the agent's events has failed")

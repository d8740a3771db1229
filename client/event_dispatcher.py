"""The event dispatcher: events from any thread to the user's functions, on a thread for events.

A slow function delays other functions and nothing else. At most ``LIMIT`` events wait; further ones are
dropped and counted.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable

from rabbitkeeper.client.model.events import Event, EventsMissed

log = logging.getLogger(__name__)

LIMIT = 1000  # events that wait


class EventDispatcher:
    """Events out of a client. The thread exists from the first function on.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._functions: tuple[Callable[[Event], object], ...] = ()
        self._waiting: deque[Event] = deque()
        self._missed = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, function: Callable[[Event], object]) -> None:
        """Call ``function`` with each event from now on."""
        with self._changed:
            if self._thread is None and not self._closed:
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                thread.start()
                self._thread = thread
            self._functions = (*self._functions, function)

    def remove(self, function: Callable[[Event], object]) -> None:
        """Call it no more."""
        with self._changed:
            self._functions = tuple(known for known in self._functions if known is not function)

    def emit(self, event: Event) -> None:
        """Hand an event over. Never waits for a function."""
        with self._changed:
            if not self._functions:
                return
            if len(self._waiting) >= LIMIT:
                self._missed += 1
                return
            self._waiting.append(event)
            self._changed.notify()

    def close(self, timeout: float) -> None:
        """Deliver what waits, for ``timeout`` seconds at the most, then end."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if not self._waiting:
                    return
                events = list(self._waiting)
                self._waiting.clear()
                if self._missed:
                    events.append(EventsMissed(self._missed))
                    self._missed = 0
                functions = self._functions
            for event in events:
                for function in functions:
                    _call(function, event)


def _call(function: Callable[[Event], object], event: Event) -> None:
    try:
        function(event)
    except BaseException:  # SystemExit too: it would end the thread, and all later events with it
        log.exception("a function for events failed over %r", event)

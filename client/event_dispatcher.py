"""The event dispatcher: events from any thread to the user's functions, on a thread for events.

A slow function delays other functions and nothing else. At most ``LIMIT`` events wait; further ones are
dropped and counted. Clients may share the thread; then it delays the functions of all of them.
"""

import logging
import os
import threading
from collections import deque
from collections.abc import Callable

from rabbitkeeper.client.model.events import Event, EventsMissed

log = logging.getLogger(__name__)

LIMIT = 1000  # events that wait


class SharedEventThread:
    """One thread for the events of many clients, from the first on that has any, until the process ends."""

    def __init__(self) -> None:
        self._due: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def put(self, call: Callable[[], None]) -> None:
        """Have ``call`` made, behind those before it. It raises nothing."""
        with self._changed:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="rabbitkeeper-shared-events", daemon=True)
                thread.start()
                self._thread = thread
            self._due.append(call)
            self._changed.notify()

    @property
    def is_current(self) -> bool:
        """Whether this is the thread."""
        return self._thread is threading.current_thread()

    def reset(self) -> None:
        """In a forked child: the thread is its parent's."""
        self.__init__()  # type: ignore[misc]

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._due:
                    self._changed.wait()
                call = self._due.popleft()
            call()


_shared = SharedEventThread()
os.register_at_fork(after_in_child=_shared.reset)


class EventDispatcher:
    """Events out of a client. A thread of its own exists from the first function on.

    Args:
        name: of the thread.
        shared: have the functions called on the thread that clients share, and on none of its own.
    """

    def __init__(self, name: str, *, shared: bool = False) -> None:
        self._name = name
        self._shared = _shared if shared else None
        self._is_due = False  # on the shared thread
        self._functions: tuple[Callable[[Event], object], ...] = ()
        self._waiting: deque[Event] = deque()
        self._missed = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, function: Callable[[Event], object]) -> None:
        """Call ``function`` with each event from now on."""
        with self._changed:
            if self._thread is None and not self._closed and self._shared is None:
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
            if self._shared is None or self._is_due:
                return
            self._is_due = True
        self._shared.put(self._deliver)

    def close(self, timeout: float) -> None:
        """Deliver what waits, for ``timeout`` seconds at the most, then end."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)
        if self._shared is not None and self._functions and not self._shared.is_current:
            done = threading.Event()
            self._shared.put(done.set)
            done.wait(timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if not self._waiting:
                    return
            self._deliver()

    def _deliver(self) -> None:
        """What waits, to all functions that there are now."""
        with self._changed:
            self._is_due = False
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

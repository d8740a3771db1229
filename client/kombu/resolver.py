"""The resolver: tells kombu's connections of one process where to go, and has them leave when it is time to.

It begins with the first connection and ends :data:`LINGER` after the last, since kombu opens and closes them
all the time. It lives on the watch's thread and on one for what only time changes. A forked child has none of
its parent's resolvers, and its parent's connections are closed there.
"""

import logging
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from random import Random
from typing import Protocol
from weakref import WeakValueDictionary

from rabbitkeeper.client.event_log import EventLog
from rabbitkeeper.client.kombu.member_choice import MemberChoice
from rabbitkeeper.client.kombu.settings import Lookup
from rabbitkeeper.client.model.events import Event
from rabbitkeeper.client.routing.placement import Target, Targets
from rabbitkeeper.client.watching import Watching
from rabbitkeeper.coordinator.model.text import printable

log = logging.getLogger(__name__)

LINGER = 60.0  # seconds without a connection until it ends
_FOREVER = 3600.0  # seconds; locks cannot wait for ever


_Make = Callable[[Lookup, Callable[[Targets], None], Callable[[Event], None]], "Watching"]


class Leaving(Protocol):
    """A connection that can be dropped."""

    def drop(self, why: str) -> None:
        """Have whoever uses it find it broken, at once. From any thread; it waits for nothing."""

    def abandon(self) -> None:
        """In a forked child: it is the parent's, and goes on there."""


class Resolver:
    """Of one process and one lookup. From any thread.

    Args:
        lookup: says where to look.
        watching: makes what watches; tests have others.
        now: seconds, monotonic.
        random: for the chance.
    """

    def __init__(
        self,
        lookup: Lookup,
        *,
        watching: "_Make | None" = None,
        now: Callable[[], float] = time.monotonic,
        random: Random | None = None,
    ) -> None:
        self._lookup = lookup
        self._make = watching or _watching
        self._now = now
        self._choice = MemberChoice(lookup.spread, lookup.site, random or Random(), now())
        self._changed = threading.Condition(threading.RLock())
        self._starting = threading.RLock()
        self._watching: Watching | None = None
        self._connections: WeakValueDictionary[int, Leaving] = WeakValueDictionary()
        # What connections have to say, from whatever thread and wherever it is: taken in with the lock.
        self._reports: deque[Callable[[], None]] = deque()
        self._used_at = now()
        self._is_over = False

    def start(self, timeout: float) -> None:
        """Learn of the group, if nothing is known yet.

        Args:
            timeout: seconds.

        Raises:
            CoordinationError, NotAuthorized: see :meth:`Discovery.start`.
            InvalidArgument, ConfigurationError: a file that is named there is not what it should be.
        """
        with self._starting:
            if self._watching is not None:
                return
            watching = self._make(self._lookup, self._view, EventLog(self._lookup.group))
            watching.start(timeout)
            self._watching = watching
        threading.Thread(target=self._run, name=f"{self._lookup.name}-kombu", daemon=True).start()

    def next(self, deadline: float) -> Target | None:
        """The member to try next, as soon as there is one; None if there is none by ``deadline``.

        Args:
            deadline: seconds, monotonic.
        """
        with self._changed:
            while True:
                self._take_reports()
                now = self._used_at = self._now()
                target = self._choice.next(now)
                if target is not None or now >= deadline:
                    return target
                self._changed.wait(min(deadline, self._choice.retry_at()) - now)

    def patience(self, target: Target) -> float:
        """How long an attempt there may take, as a multiple of the first."""
        with self._changed:
            return self._choice.patience(target.address)

    def mismatch(self) -> str | None:
        """Why no member that is there can be used; None if one can, or none is there."""
        watching = self._watching
        return None if watching is None else watching.mismatch

    def opened(self, target: Target, connection: Leaving) -> int:
        """A connection is open; its number."""
        with self._changed:
            self._take_reports()
            self._used_at = self._now()
            number = self._choice.opened(target, self._used_at)
            self._connections[number] = connection
            self._choice.keep(list(self._connections.keys()))
            self._changed.notify_all()
        return number

    def failed(self, target: Target, *, silent: bool = False, ended: bool = False) -> None:
        """It could not be connected to, or a connection to it was lost."""
        at = self._now()
        self._reports.append(lambda: self._choice.failed(target.address, at, silent=silent, ended=ended))

    def ended(self, number: int) -> None:
        """The connection is none any more, for whatever reason."""
        self._reports.append(lambda: self._choice.ended(number))

    def touch(self) -> None:
        """It is about to be used."""
        self._used_at = self._now()

    def try_to_end(self) -> bool:
        """Whether it is over: nobody has used it for a while."""
        with self._changed:
            self._take_reports()
            self._is_over = self._is_over or self._is_idle()
            return self._is_over

    def end(self) -> None:
        """Watch no longer. What is open stays open."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        watching = self._watching
        if watching is not None:
            watching.stop()

    def abandon(self) -> None:
        """In a forked child: its parent's locks may be held for ever."""
        for connection in list(self._connections.values()):
            connection.abandon()

    # -- inside

    def _view(self, targets: Targets) -> None:
        """On the watch's thread, or on the one that starts it."""
        with self._changed:
            self._take_reports()
            self._choice.view(targets, self._now())
            self._changed.notify_all()
        self._drop_due()

    def _run(self) -> None:
        while not self._is_over:
            self._drop_due()
            with self._changed:
                at = min(self._choice.leave_at(), self._used_at + LINGER)
                left = at - self._now()
                if not self._is_over and left > 0:
                    self._changed.wait(min(left, _FOREVER))
            if self._is_idle() and resolvers.remove(self):
                self.end()
            elif self._connections:
                self._used_at = self._now()

    def _is_idle(self) -> bool:
        """Nobody has used it for a while."""
        return not self._connections and self._now() - self._used_at >= LINGER

    def _drop_due(self) -> None:
        with self._changed:
            self._take_reports()
            leaves = self._choice.leaves(self._now())
            due = [(leave, self._connections.pop(leave.number, None)) for leave in leaves]
        dropped: Counter[tuple[str, str]] = Counter()
        for leave, connection in due:
            if connection is not None:
                connection.drop(leave.why)
                dropped[leave.member, leave.why] += 1
        for (member, why), count in dropped.items():
            log.warning("leaving %s, with %d connections: %s", member, count, printable(why))

    def _take_reports(self) -> None:
        while self._reports:
            self._reports.popleft()()


class Resolvers:
    """Those of a process."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._all: dict[Lookup, Resolver] = {}

    def of(self, lookup: Lookup) -> Resolver:
        """The one of ``lookup``; made if there is none."""
        with self._lock:
            resolver = self._all.get(lookup)
            if resolver is None:
                resolver = self._all[lookup] = Resolver(lookup)
            resolver.touch()
            return resolver

    def remove(self, resolver: Resolver) -> bool:
        """It is not used any more; whether that still holds, and it is none of these now."""
        with self._lock:
            if not resolver.try_to_end():
                return False
            self._all = {lookup: known for lookup, known in self._all.items() if known is not resolver}
            return True

    def reset(self) -> None:
        """In a forked child."""
        for resolver in self._all.values():
            resolver.abandon()
        self.__init__()  # type: ignore[misc]


def _watching(lookup: Lookup, publish: Callable[[Targets], None], emit: Callable[[Event], None]) -> Watching:
    return Watching(
        lookup.watched(),
        publish=publish,
        emit=emit,
        secure=lookup.secure,
        name=lookup.name,
        allowed_brokers=lookup.allowed_brokers,
    )


resolvers = Resolvers()
"""The process's own."""

os.register_at_fork(after_in_child=resolvers.reset)

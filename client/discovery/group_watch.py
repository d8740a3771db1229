"""The group watch: keeps the picture of a group that clients have from ZooKeeper, on a thread of its own.

ZooKeeper's watches only wake it; it then reads what has changed and hands the group on. It also reads all
of it now and then without a cause, with jitter, in case a watch was lost. While ZooKeeper is away the last
picture stays: nothing that works stops because of it.
"""

import logging
import threading
import time
from collections.abc import Callable
from random import Random

from rabbitkeeper.client.discovery.interface import Listeners
from rabbitkeeper.client.model.events import ZooKeeperBack, ZooKeeperLost
from rabbitkeeper.client.routing.listener import Listener
from rabbitkeeper.coordinator.backend.interface import Backend
from rabbitkeeper.coordinator.model.errors import AccessDenied, CoordinationError, UnknownGroup
from rabbitkeeper.coordinator.store.reader import GroupReader

log = logging.getLogger(__name__)

REREAD = 30.0  # seconds between reads of everything without a cause, half of it jitter
UNKNOWN_RETRY = 1.0  # seconds, about, after the group was not there: ZooKeeper's data may have been deleted
RETRY = 0.2  # seconds after a read that failed while ZooKeeper is connected
READ_TIMEOUT = 2.0  # seconds
LEASE_CHECK = 2.0  # seconds between signs of life asked of ZooKeeper


class GroupWatch:
    """Watches one group. See :class:`Discovery`.

    Args:
        backend: makes the backend that holds the group, not started yet, given what it wakes.
        group: to watch.
        random: for jitter.
        name: of the client, for the thread's.
        now: the clock; seconds, monotonic.
    """

    def __init__(
        self,
        backend: Callable[[Callable[[], None]], Backend],
        group: str,
        *,
        random: Random,
        name: str,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wake = threading.Event()
        self._backend = backend(self._wake.set)
        self._reader = GroupReader(self._backend, group, with_history=False)
        self._random = random
        self._listeners = Listeners()
        self._now = now
        self._was_connected = True
        self._whole_at = now()  # when all of it is read again, without a cause
        self._read_at = now()  # when the next read is due, if nothing happens before
        self._unknown = False  # the group was not there when it was read last
        self._denied = False  # nor may it be read
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"{name}-zookeeper", daemon=True)

    @property
    def connected(self) -> bool:
        """Whether ZooKeeper answers, as far as is known."""
        return self._backend.connected

    def add(self, listener: Listener) -> None:
        self._listeners.add(listener)

    def remove(self, listener: Listener) -> None:
        self._listeners.remove(listener)

    def start(self, timeout: float) -> None:
        """Connect, read the group once and go on watching it.

        Raises:
            ZooKeeperUnreachable: no server answered within ``timeout`` seconds.
            UnknownGroup: ZooKeeper has no such group.
        """
        deadline = self._now() + timeout
        self._backend.start(timeout)
        try:
            self._read(max(0.5, deadline - self._now()))
        except BaseException:
            self._backend.close()
            raise
        self._thread.start()

    def stop(self) -> None:
        """End the watch and the session."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(5.0)
        self._backend.close()

    def turn(self, *, woken: bool) -> float:
        """Look once at the connection, and at the group if there is a cause: one turn of the thread.

        Args:
            woken: something has happened.

        Returns:
            Seconds until the next turn, if nothing happens before.
        """
        self._backend.renew()
        if self._backend.connected != self._was_connected:
            self._was_connected = self._backend.connected
            self._listeners.emit(ZooKeeperBack() if self._was_connected else ZooKeeperLost())
        if not self._backend.connected:
            return LEASE_CHECK
        if woken or self._now() >= self._read_at:
            try:
                self._read(READ_TIMEOUT)
                pause = self._whole_at - self._now()
            except UnknownGroup as error:
                if not self._unknown:
                    log.warning("%s; staying where the client is", error)
                self._unknown = True
                pause = UNKNOWN_RETRY * self._random.uniform(0.5, 1.5)
            except CoordinationError as error:
                denied = isinstance(error, AccessDenied)
                if denied and not self._denied:  # that does not pass by itself
                    log.warning("%s; staying where the client is", error)
                else:
                    log.debug("the group could not be read: %s", error)
                self._denied = denied
                pause = RETRY
            self._read_at = self._now() + pause
        return min(LEASE_CHECK, max(0.0, self._read_at - self._now()))

    def _run(self) -> None:
        pause = 0.0
        while not self._stopping.is_set():
            woken = self._wake.wait(pause)
            self._wake.clear()
            if not self._stopping.is_set():
                try:
                    pause = self.turn(woken=woken)
                except Exception:
                    log.exception("looking at the group failed; the client stays where it is")
                    pause = REREAD

    def _read(self, timeout: float) -> None:
        whole = self._now() >= self._whole_at
        view = self._reader.read(watch=True, timeout=timeout, whole=whole)
        if whole:
            self._whole_at = self._now() + REREAD * self._random.uniform(0.5, 1.0)
        self._unknown = self._denied = False
        self._listeners.tell(view)

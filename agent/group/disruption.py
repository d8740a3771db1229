"""Leave to take our broker down: asked of the group just before, and given back when it is there again.

One broker is taken down at a time, and only while a majority of the others is well: the lock and the rule are
the coordinator's (``disruption_lock.py``, ``policy/disruption.py``). Whoever ends, restarts or drains the
broker calls :meth:`Disruption.begin` first.
"""

import logging
from collections.abc import Callable

from rabbitkeeper.agent.model.errors import DisruptionRefused
from rabbitkeeper.agent.runtime.clocks import monotonic
from rabbitkeeper.agent.runtime.job import Job, Launch, ThreadJob
from rabbitkeeper.coordinator.model.errors import CoordinationError, DisruptionBusy
from rabbitkeeper.coordinator.policy.disruption import why_not
from rabbitkeeper.coordinator.store.store import Store

LOG = logging.getLogger("rabbitkeeper.agent")

LONGEST = 120.0  # seconds for which the lock is kept for a broker that does not come back


class Disruption:
    """One agent's part. Belongs to the loop's thread, save :meth:`begin`.

    Args:
        name: the member's.
        store: makes a store for a job's thread.
        wake: called when a job has ended.
        clock: monotonic seconds.
        launch: begins a job.
    """

    def __init__(
        self,
        name: str,
        store: Callable[[], Store],
        *,
        wake: Callable[[], None],
        clock: Callable[[], float] = monotonic,
        launch: Launch = ThreadJob,
    ) -> None:
        self._name = name
        self._store = store
        self._wake = wake
        self._clock = clock
        self._launch = launch
        self._since: float | None = None  # since when the lock is ours, as far as we know
        self._job: Job | None = None

    def begin(self, reason: str, *, needs_majority: bool) -> None:
        """Take the lock, and look at the others once more. From a job's thread.

        Args:
            reason: why the broker is taken down, for people.
            needs_majority: a majority of the other brokers must be well. If not, the broker serves nobody as
                it is; then a ZooKeeper that is away is no reason to leave it so.

        Raises:
            DisruptionRefused: not now.
        """
        try:
            store = self._store()
            lock = store.disruption_lock()
            lock.take(self._name, reason)
            self._since = self._clock()
            obstacle = why_not(store.snapshot(watch=False), self._name) if needs_majority else None
            if obstacle is not None:
                lock.release()
                self._since = None
        except DisruptionBusy as error:
            raise DisruptionRefused(str(error)) from None
        except CoordinationError as error:
            if needs_majority:
                raise DisruptionRefused(f"the other brokers cannot be asked after: {error}") from None
            return
        if obstacle is not None:
            raise DisruptionRefused(obstacle)

    def turn(self, now: float, *, back: bool) -> None:
        """Give the lock back when it is not needed any more.

        Args:
            now: seconds, monotonic.
            back: the broker serves, and nothing is being done to it.
        """
        if self._job is not None and self._job.done:
            self._job = None
        if self._since is None or self._job is not None:
            return
        if back or now > self._since + LONGEST:
            self._since = None
            self._job = self._launch(
                "disruption", lambda: self._store().disruption_lock().release(), self._wake
            )

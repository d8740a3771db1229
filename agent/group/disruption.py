"""Leave to take our broker down: asked of the group just before, and given back when it is there again.

One broker is taken down at a time, and only while a majority of the others is well: the lock and the rule are
the coordinator's (``disruption_lock.py``, ``policy/disruption.py``). Whoever ends, restarts or drains the
broker calls :meth:`Disruption.begin` first.

A broker that serves nobody as it is may go whatever the others do, and without ZooKeeper if need be. Several
that hang together, with what they have in common, may all be well a moment later, and two that boot may wait
for one that hangs: so they go one after the other, :data:`TURN` seconds apart. Those that have ZooKeeper go
first and by the lock. Those that do not know nothing of one another but the names, and go by these.
"""

import logging
from collections.abc import Callable

from rabbitkeeper.agent.model.errors import DisruptionRefused
from rabbitkeeper.agent.runtime.clocks import monotonic
from rabbitkeeper.agent.runtime.job import Job, Launch, ThreadJob
from rabbitkeeper.coordinator.model.errors import CoordinationError, DisruptionBusy
from rabbitkeeper.coordinator.model.view import GroupView
from rabbitkeeper.coordinator.policy.disruption import members, no_majority, why_not
from rabbitkeeper.coordinator.store.store import Store

LOG = logging.getLogger("rabbitkeeper.agent")

LONGEST = 120.0  # seconds for which the lock is kept for a broker that does not come back
TURN = 30.0  # the same while no majority of the others is well: the next that serves nobody may go then
RETRY = 2.0  # seconds until it is given back again, when it is not known whether it was


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
        self._alone_since: float | None = None  # since when leave is asked for in vain, without ZooKeeper
        self._released: float | None = None  # since when the one was ours that is being given back
        self._due = 0.0  # not before is it given back
        self._place = 0  # among the members, by name, as they were known last
        self._job: Job | None = None

    def begin(self, reason: str, *, needs_majority: bool) -> None:
        """Take the lock, and look at the others once more. From a job's thread.

        Args:
            reason: why the broker is taken down, for people.
            needs_majority: a majority of the other brokers must be well. If not, the broker serves nobody as
                it is; then a ZooKeeper that is away is no reason to leave it so, when its turn has come.

        Raises:
            DisruptionRefused: not now.
        """
        try:
            store = self._store()
            lock = store.disruption_lock()
            # From now on: it may be taken and the answer lost.
            self._since = self._clock()
            lock.take(self._name, reason)
            self._alone_since = None
            obstacle = why_not(store.snapshot(watch=False), self._name) if needs_majority else None
            if obstacle is not None:
                lock.release()
                self._since = None
        except DisruptionBusy as error:
            self._since = self._alone_since = None
            raise DisruptionRefused(str(error)) from None
        except CoordinationError as error:
            if needs_majority:
                raise DisruptionRefused(f"the other brokers cannot be asked after: {error}") from None
            self._await_turn(error)
            return
        if obstacle is not None:
            raise DisruptionRefused(obstacle)

    def _await_turn(self, error: CoordinationError) -> None:
        """Without ZooKeeper: raises :class:`DisruptionRefused` until those that may go first have gone."""
        now = self._clock()
        if self._alone_since is None:
            self._alone_since = now
        wait = TURN * (self._place + 1)
        if now < self._alone_since + wait:
            raise DisruptionRefused(
                f"others may be taken down too, and cannot be asked after; it waits for {wait:g} s: {error}"
            ) from None

    def turn(self, now: float, view: GroupView | None, *, back: bool) -> None:
        """Give the lock back when it is not needed any more.

        Args:
            now: seconds, monotonic.
            view: the last snapshot; None while it may be out of date.
            back: the broker serves, and nothing is being done to it.
        """
        if view is not None:
            self._place = sum(name < self._name for name in members(view))
        if back:
            self._alone_since = None
        if self._job is not None and self._job.done:
            if self._job.failure is not None:
                self._due = now + RETRY
            elif self._since == self._released:
                self._since = None
            self._job = None
        if self._since is None or self._job is not None or view is None or now < self._due:
            return
        alone = no_majority(view, self._name) is not None
        if back or now > self._since + (TURN if alone else LONGEST):
            self._released = self._since
            self._job = self._launch(
                "disruption", lambda: self._store().disruption_lock().release(), self._wake
            )

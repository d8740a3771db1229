"""This agent's znodes: registered, kept up to date, led with and given up; every error taken for what it is.

Between the loop, which decides, and the store, which does one atomic thing each. An operation that was not
answered is unknown: :attr:`Membership.view` is dropped then, and the next turn reads what there is.
"""

import logging
import math
import random
import time
from collections.abc import Callable
from contextlib import suppress

from rabbitkeeper.agent.group.announcement import Announcer
from rabbitkeeper.agent.runtime.clocks import monotonic
from rabbitkeeper.agent.runtime.job import Launch, ThreadJob
from rabbitkeeper.agent.runtime.wakeup import Wakeup
from rabbitkeeper.coordinator.backend.interface import Backend
from rabbitkeeper.coordinator.model.errors import (
    AccessDenied,
    CoordinationError,
    DuplicateMember,
    LeaderExists,
    NotRegistered,
    RecordError,
    UnknownGroup,
)
from rabbitkeeper.coordinator.model.records import (
    GroupConfig,
    HistoryEntry,
    IncarnationRecord,
    MemberRecord,
    utcnow,
)
from rabbitkeeper.coordinator.model.view import GroupView
from rabbitkeeper.coordinator.store.store import Store

LOG = logging.getLogger("rabbitkeeper.agent")

REREAD = 10.0  # seconds between snapshots that nothing has asked for
TOLD_AGAIN = 60.0  # seconds until the same trouble is told again
TROUBLED_PAUSE = 0.25  # seconds until an operation that failed is followed by a new snapshot
SESSION_PATIENCE = 2.0  # seconds for a session that takes the place of one that was given up
HISTORY_PATIENCE = 60.0  # seconds for which an entry of the history is tried to be written
DUPLICATE_MARGIN = 2.0  # seconds beyond a session timeout: ZooKeeper looks for dead sessions once a tick


class Membership:
    """One agent's part in its group. Belongs to the loop's thread.

    Args:
        backend: started.
        store: of the group, through ``backend``.
        announcer: who this agent is.
        wakeup: rung when the group is to be read again.
        beat: called between operations, each of which may take its timeout.
        clock: monotonic seconds.
        wall: seconds since 1970: the number of an incarnation when nobody remembers the one before.
        draw: random numbers in [0, 1).
        launch: begins a job.
        see: makes of each snapshot what is decided on.
    """

    def __init__(
        self,
        backend: Backend,
        store: Store,
        announcer: Announcer,
        wakeup: Wakeup,
        beat: Callable[[], None],
        *,
        clock: Callable[[], float] = monotonic,
        wall: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
        launch: Launch = ThreadJob,
        see: Callable[[GroupView], GroupView] = lambda view: view,
    ) -> None:
        self._backend = backend
        self._see = see
        self._store = store
        self._announcer = announcer
        self._wakeup = wakeup
        self._beat = beat
        self._clock = clock
        self._wall = wall
        self._draw = draw
        self._launch = launch
        self._duplicate_since: float | None = None
        self._troubles: dict[str, float] = {}  # what has failed, and when that was told
        self._ended = False  # the session was given up, and none has begun since
        self._read_due = 0.0
        self._missing = False  # the group is, or a part of it, by the last read
        self._last_config = GroupConfig()  # as it was read last
        self._switchover: str | None = None  # the id of the pending request
        self._rollbacks = 0  # by the last read
        self._forgotten = False  # what ZooKeeper had known; the incarnation has not been raised since
        self.incarnation = 0  # of the group: the highest that has been seen, and the least that may be
        self.held_until = 0.0  # by when whoever led before ZooKeeper forgot it knows that; monotonic
        self.view: GroupView | None = None
        self.vacant_since: float | None = None
        self.switchover_since: float | None = None  # since when the pending request has been seen
        self.been_registered = False
        self.paused = True  # by the last snapshot, also while that is dropped; until the first, to be safe

    @property
    def registered(self) -> bool:
        """Whether our member znode is there, in the session there is now."""
        return self._store.registered

    def read(self, now: float) -> float:
        """Take a new snapshot if something has changed or it is time to.

        The old one stays if none can be had.

        Args:
            now: seconds, monotonic.

        Returns:
            When it will be time again, monotonic seconds; never while there is no connection.
        """
        if self._ended:
            self._begin_session()
        if not self._backend.connected:
            return math.inf
        if now >= self._read_due:
            self._adopt_permissions()
        if self._wakeup.take_group_changed() or now >= self._read_due:
            # Nothing should be missed by the watches; what is missed nevertheless is found like this.
            self._read_due = now + REREAD * (0.8 + 0.4 * self._draw())
            self._read(now)
        return self._read_due

    def _adopt_permissions(self) -> None:
        """Who may do what with the group's nodes can be changed while we run: what we create is like them."""
        with suppress(CoordinationError):  # the read that follows says it
            self._backend.adopt_acl(self._store.paths.root)

    def create_group(self) -> None:
        """Create the group unless it is there.

        Raises:
            CoordinationError: it cannot be.
        """
        begun = self._incarnation("the group begins")
        self._store.create_group(self._last_config, begun)

    def announce(self, now: float, record: MemberRecord) -> None:
        """Register, or write what is new about the member.

        Args:
            now: seconds, monotonic.
            record: what is true now.

        Raises:
            DuplicateMember: another agent has had this name for longer than an earlier run of this one can.
        """
        if self._missing:
            self._create_group()
        try:
            if self._store.registered:
                self._store.update(record)
            else:
                self._register(now, record)
        except DuplicateMember as error:
            self._wait_for_name(now, error)
        except NotRegistered as error:
            LOG.warning("%s", error)
            self._wakeup.ring_group()
        except UnknownGroup:
            self._missing = True
            self._wakeup.ring_group()
        except CoordinationError as error:
            self._troubled("the member's state cannot be written", error)
        self._beat()

    def take_lead(self, cause: str) -> int | None:
        """Campaign for a vacant lead.

        Returns:
            The epoch; None if the lead was not taken, as far as is known.
        """
        try:
            return self._store.take_lead(self._announcer.leader(cause, utcnow()))
        except (LeaderExists, NotRegistered) as error:
            LOG.info("%s", error)
        except CoordinationError as error:
            self._troubled("it is not known whether the lead was taken", error)
        finally:
            self._forget()
        return None

    def resign(self, record: MemberRecord) -> bool:
        """Give up the lead and, in the same step, say why.

        Args:
            record: of the member, with the state that is the reason.

        Returns:
            Whether this has been done.
        """
        leader = self.view.leader if self.view is not None else None
        if leader is None:
            return False
        try:
            return self._store.resign(leader, record)
        except NotRegistered as error:
            LOG.warning("%s", error)
        except AccessDenied as error:
            LOG.warning("the lead cannot be given up, so the session is, and the lead with it: %s", error)
            self._backend.close()
            self._ended = True
        except CoordinationError as error:
            self._troubled("it is not known whether the lead was given up", error)
        finally:
            self._forget()
        return False

    def record_change(self, entry: HistoryEntry) -> None:
        """Write a change of the lead to the history, beside the loop, as soon as ZooKeeper takes it."""
        store = Store(self._backend, self._store.paths.group, clock=self._clock)
        self._launch("history", lambda: self._append(store, entry), self._wakeup.ring)

    def leave(self) -> None:
        """Delete our znodes, as far as ZooKeeper can be told."""
        try:
            self._store.unregister()
        except CoordinationError as error:
            LOG.info("the member's znode goes when the session ends: %s", error)

    # -- inside

    def _begin_session(self) -> None:
        try:
            self._backend.start(SESSION_PATIENCE)
            self._ended = False
        except CoordinationError as error:
            self._troubled("no new session could be begun", error)
        self._beat()

    def _append(self, store: Store, entry: HistoryEntry) -> None:
        deadline = self._clock() + HISTORY_PATIENCE
        while True:
            seen = self._backend.events
            try:
                store.append_history(entry)
            except (RecordError, CoordinationError) as error:
                if self._clock() > deadline:
                    LOG.warning("epoch %d is missing in the history: %s", entry.epoch, error)
                    return
                self._backend.await_event(seen, 1.0)
            else:
                return

    def _read(self, now: float) -> None:
        try:
            view = self._store.snapshot(watch=True)
        except UnknownGroup:
            self._missing = True
        except CoordinationError as error:
            self._troubled("the group cannot be read", error)
        else:
            if not self._in_this_incarnation(view):
                self._wakeup.ring_group()
                return
            self._mend(view)
            self._note_switchover(now, view)
            self.view = self._see(view)
            self._last_config = self._last_config if view.config is None else view.config.record
            self.paused = view.pause is not None
            if view.leader is not None or view.leader_unreadable is not None:
                self.vacant_since = None
            elif self.vacant_since is None:
                self.vacant_since = now
        self._beat()

    def _in_this_incarnation(self, view: GroupView) -> bool:
        """Whether the epochs in ``view`` are newer than all that we have seen; if not, it is seen to."""
        if view.rollbacks != self._rollbacks:
            self._rollbacks, self._forgotten = view.rollbacks, True
            self.incarnation += 1
            # Its lease was answered by a ZooKeeper that still knew of it; nothing ends that before its time.
            self.held_until = self._clock() + self._backend.timeout
        if view.incarnation >= self.incarnation:
            self.incarnation, self._forgotten = view.incarnation, False
            return True
        if self._forgotten:
            begun = self._incarnation("ZooKeeper has forgotten what it knew of the group")
        else:
            begun = self._incarnation("it was changed or deleted by somebody else", self.incarnation)
        try:
            if self._store.begin_incarnation(view, begun):
                LOG.warning("the group is in its incarnation %d: %s", begun.number, begun.reason)
        except CoordinationError as error:
            self._troubled("a new incarnation of the group cannot be begun", error)
        return False

    def _incarnation(self, reason: str, number: int | None = None) -> IncarnationRecord:
        if number is None:
            number = max(self.incarnation, int(self._wall()))
        return IncarnationRecord(number=number, since=utcnow(), by=self._announcer.config.name, reason=reason)

    def _mend(self, view: GroupView) -> None:
        """What is ours and was changed or deleted by somebody else is written again, and told once."""
        if self._store.mend_member(view, self._announcer.config.name):
            LOG.warning("the member's znode was changed or deleted by somebody else: it is written again")
        try:
            if self._store.mend_lead(view):
                LOG.warning("the leader's znode was changed by somebody else: it is written again")
                self._wakeup.ring_group()
        except CoordinationError as error:
            self._troubled("the leader's znode cannot be written again", error)
        if view.config is None and view.config_unreadable is None:
            LOG.warning("the group's znodes are not all there: what is missing is made again")
            self._missing = True

    def _note_switchover(self, now: float, view: GroupView) -> None:
        pending = None if view.switchover is None else view.switchover.record.id
        if pending != self._switchover:
            self._switchover = pending
            self.switchover_since = None if pending is None else now

    def _register(self, now: float, record: MemberRecord) -> None:
        self._store.register(record)
        again = " again" if self.been_registered else ""
        LOG.info("registered%s as member %s, instance %s", again, record.name, record.instance)
        self._duplicate_since = None
        self.been_registered = True
        self._wakeup.ring_group()

    def _wait_for_name(self, now: float, error: DuplicateMember) -> None:
        if self._duplicate_since is None:
            self._duplicate_since = now
            LOG.info("waiting for an earlier session to end: %s", error)
        elif now > self._duplicate_since + self._backend.timeout + DUPLICATE_MARGIN:
            raise error

    def _create_group(self) -> None:
        self._missing = False
        self._wakeup.ring_group()
        try:
            self.create_group()
        except CoordinationError as error:
            self._troubled("the group cannot be created", error)

    def _forget(self) -> None:
        # What was written may be there or not; an older snapshot would say the contrary.
        self.view = None
        self._wakeup.ring_group()
        self._beat()

    def _troubled(self, what: str, error: CoordinationError) -> None:
        now = self._clock()
        if now >= self._troubles.get(what, -math.inf) + TOLD_AGAIN:
            self._troubles[what] = now
            LOG.warning("%s: %s", what, error)
        self._read_due = min(self._read_due, now + TROUBLED_PAUSE)

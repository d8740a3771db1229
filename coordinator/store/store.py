"""The group's atomic operations: each says what is atomic, what it raises, and why it is safe to repeat.

Nothing is decided here (``policy/`` does) and nothing is repeated behind the caller's back, save the two
compare-and-set loops that say so. After :class:`ZooKeeperUnreachable` the outcome is unknown; every operation
can then be called again, and looks at what is there first.

What is behind it is a backend, whichever it is; what the agent knows of its own member and lead is in
``own_member.py`` and ``leadership.py``.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from rabbitkeeper.coordinator.backend.access import may_not_create
from rabbitkeeper.coordinator.backend.interface import Backend
from rabbitkeeper.coordinator.backend.node import Create
from rabbitkeeper.coordinator.model.errors import AccessDenied, Conflict, NodeExists, NoNode
from rabbitkeeper.coordinator.model.paths import ROOT, GroupPaths, check_name
from rabbitkeeper.coordinator.model.records import (
    ClusterRecord,
    GroupConfig,
    History,
    HistoryEntry,
    IncarnationRecord,
    LeaderRecord,
    MemberRecord,
)
from rabbitkeeper.coordinator.model.view import ClusterView, GroupView, LeaderView
from rabbitkeeper.coordinator.store.disruption_lock import DisruptionLock
from rabbitkeeper.coordinator.store.formation_lock import FormationLock
from rabbitkeeper.coordinator.store.leadership import Leadership
from rabbitkeeper.coordinator.store.own_member import OwnMember, current_session
from rabbitkeeper.coordinator.store.reader import GroupReader, groups, read_node

__all__ = ["FormationLock", "Store", "groups"]


class Store:
    """One group, through one session. Belongs to one thread.

    Args:
        backend: started.
        group: the group's name.
        clock: seconds, monotonic; the backend's own.
        answered: called between the requests of what takes several: a snapshot, a lead, a member.

    Attributes:
        backend: for what concerns no group's records: watching a node, waiting.
        paths: where the group's nodes are.
        clock: as given.

    Raises:
        InvalidName: ``group`` cannot be a name.
    """

    def __init__(
        self,
        backend: Backend,
        group: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        answered: Callable[[], None] = lambda: None,
    ) -> None:
        self.backend = backend
        self.paths = GroupPaths(group)
        self.clock = clock
        self._reader = GroupReader(backend, self.paths, clock=clock, answered=answered)
        self._answered = answered
        self._member = OwnMember(backend, self.paths, answered=answered)
        self._lead = Leadership(backend, self.paths, self._member, answered=answered)

    # -- the group

    def create_group(self, config: GroupConfig, incarnation: IncarnationRecord | None = None) -> None:
        """Create the group's persistent nodes unless they are there.

        Atomic: the group appears with all of them or not at all. Several agents may call it at once. What a
        group that is there already has stays, whatever it holds.

        Args:
            config: of a group that begins.
            incarnation: of a group that begins; one that is there has none, or its own.
        """
        paths = self.paths
        self.backend.ensure_path(ROOT)
        self._answered()
        skeleton = (
            Create(paths.root, b""),
            Create(paths.config, config.to_bytes()),
            Create(paths.members, b""),
            Create(paths.history, History().to_bytes()),
        )
        first = () if incarnation is None else (Create(paths.incarnation, incarnation.to_bytes()),)
        try:
            self.backend.transaction((*skeleton, *first))
        except (NodeExists, AccessDenied) as error:
            # The parent's ACL is looked at first, be it there or not.
            self._answered()
            if isinstance(error, AccessDenied) and self.backend.stat(paths.root) is None:
                raise may_not_create(paths.root) from None
            # Mend what somebody has deleted; each of these is what a new group starts with.
            for missing in skeleton[1:]:
                with suppress(NodeExists):
                    self.backend.create(missing.path, missing.data)
                self._answered()

    def snapshot(self, *, watch: bool = True) -> GroupView:
        """All of the group at about one moment; see :meth:`GroupReader.read`."""
        return self._reader.read(watch=watch)

    def begin_incarnation(self, view: GroupView, record: IncarnationRecord) -> bool:
        """Say that the group has begun another life, so that the epochs to come count as newer than all.

        Atomic: a compare-and-set.

        Args:
            view: a snapshot of this store.

        Returns:
            False if somebody was faster: read again.
        """
        path = self.paths.incarnation
        try:
            if view.incarnation_version is None:
                self.backend.create(path, record.to_bytes())
            else:
                self.backend.set(path, record.to_bytes(), view.incarnation_version)
        except (NodeExists, NoNode, Conflict):
            return False
        return True

    # -- our member

    @property
    def registered(self) -> bool:
        """Whether our member node was written in the session that is there now."""
        return self._member.registered

    def register(self, record: MemberRecord) -> None:
        """Create our ephemeral ``members/<name>``, or take it if this session has it already.

        Atomic: the create. Safe to repeat: after a lost answer the node is known by its owner.

        Raises:
            DuplicateMember: another session has it: another agent under this name, or an earlier run of this
                one whose session has not ended yet.
            UnknownGroup: the group has not been created.
        """
        self._member.register(record)

    def update(self, record: MemberRecord) -> None:
        """Write our member's record if it says something new.

        Atomic: a compare-and-set on our own node. If somebody else has changed it (there is no reason to),
        our content wins.

        Raises:
            NotRegistered: this session has no such node; register again.
        """
        self._member.update(record)

    def unregister(self) -> None:
        """Delete our member node, if this session has one."""
        self._member.unregister()

    # -- the lead

    def take_lead(self, record: LeaderRecord) -> int:
        """Create the ephemeral ``leader``: the campaign.

        Atomic: one transaction that checks our own member node and creates ``leader``, so that nobody leads
        who is not a member, and of all who try one succeeds.

        Returns:
            The epoch.

        Raises:
            LeaderExists: another session leads.
            NotRegistered: our member node is not what we wrote last.
            ZooKeeperUnreachable: unknown. The next snapshot tells, by the leader's ``owner``.
        """
        return self._lead.take(record)

    def mend_member(self, view: GroupView, name: str) -> bool:
        """See to it that our member node is written again if somebody else has changed or deleted it.

        Nothing is sent: the next :meth:`update` or :meth:`register` does it.

        Args:
            view: a snapshot of this store.
            name: our member's.

        Returns:
            Whether there is something to mend.
        """
        there = view.members.get(name)
        unread = -1 if name in view.members_unreadable else None  # a version that no node has
        return not self._member.seen(unread if there is None else there.version)

    def mend_lead(self, view: GroupView) -> bool:
        """Write the record of our lead again if somebody else has changed it.

        Atomic: a compare-and-set on our own node.

        Args:
            view: a snapshot of this store.

        Returns:
            Whether it was written.

        Raises:
            Conflict, NoNode: it has changed since, or is gone: read again.
        """
        return view.leader_node is not None and self._lead.mend(*view.leader_node)

    def resign(self, leader: LeaderView, record: MemberRecord | None = None) -> bool:
        """Delete ``leader`` if it is ours.

        Atomic: one transaction that checks our own member node, or writes ``record`` to it, and deletes
        ``leader`` with the version seen. ``leadership.py`` tells why the member is part of it.

        Args:
            leader: as the last snapshot shows it.
            record: our member's new record, so that others see in one step that the lead is vacant and why
                this member does not take it again.

        Returns:
            False if it was not ours, or not any more.

        Raises:
            NotRegistered: our member node is not what we wrote last; register again, then resign.
            ZooKeeperUnreachable: unknown.
        """
        return self._lead.resign(leader, record)

    # -- the history

    def history(self) -> tuple[HistoryEntry, ...]:
        """The leader changes kept, oldest first.

        Raises:
            RecordError: the node cannot be read.
        """
        node = read_node(self.backend, self.paths.history)
        return () if node is None else History.from_bytes(node.path, node.data).entries

    def append_history(self, entry: HistoryEntry, timeout: float = 2.0) -> None:
        """Add an entry, unless one of its epoch is there.

        Atomic: a compare-and-set, repeated after a conflict until it succeeds. Idempotent by epoch.

        Args:
            timeout: seconds for all.

        Raises:
            RecordError: the node cannot be read; it is left as it is.
            Conflict: others were always faster until the deadline.
        """
        path, deadline = self.paths.history, self.clock() + timeout
        while True:
            node = read_node(self.backend, path)
            history = History() if node is None else History.from_bytes(path, node.data)
            longer = history.with_entry(entry)
            if longer is history:
                return
            try:
                if node is None:
                    self.backend.create(path, longer.to_bytes())
                else:
                    self.backend.set(path, longer.to_bytes(), node.version)
            except (Conflict, NodeExists, NoNode):
                if self.clock() > deadline:
                    raise
            else:
                return

    # -- the RabbitMQ cluster

    def cluster(self) -> ClusterView | None:
        """The formed cluster; None before it is founded.

        Raises:
            RecordError: the node cannot be read.
        """
        node = read_node(self.backend, self.paths.cluster)
        if node is None:
            return None
        return ClusterView(ClusterRecord.from_bytes(node.path, node.data), node.version)

    def write_cluster(self, record: ClusterRecord, version: int | None) -> ClusterView:
        """Write ``cluster`` if it is still what the caller has seen.

        Atomic: a compare-and-set.

        Args:
            version: of the record that this one replaces; None if there was none.

        Raises:
            Conflict: it has changed; read again. After a lost answer this can be one's own write.
        """
        path = self.paths.cluster
        try:
            if version is None:
                node = self.backend.create(path, record.to_bytes())
            else:
                node = self.backend.set(path, record.to_bytes(), version)
        except (NodeExists, NoNode) as error:
            raise Conflict(f"{path} has been changed in the meantime: {error}", path) from None
        return ClusterView(record, node.version)

    def disruption_lock(self) -> DisruptionLock:
        """The lock of whoever takes a broker down; it is not taken by that."""
        return DisruptionLock(self.backend, self.paths.disruption)

    @contextmanager
    def formation_lock(self, holder: str, timeout: float) -> Iterator[FormationLock]:
        """Hold the lock under which the cluster is founded or joined.

        Atomic: the create of an ephemeral ``formation``. There is no queue: whoever waits tries again
        when the node goes. The lock goes with the session; :meth:`FormationLock.held` asks.

        Args:
            holder: the member's name, for those who wait.
            timeout: seconds to wait for it.

        Raises:
            FormationBusy: another held it until the deadline.
            SessionLost: the session was lost while waiting.
        """
        lock = FormationLock(self.backend, self.paths.formation, current_session(self.backend), self.clock)
        lock.acquire(check_name("member", holder), timeout)
        try:
            yield lock
        finally:
            lock.release()

"""The group's atomic operations: each says what is atomic, what it raises, and why it is safe to repeat.

Nothing is decided here (``election.py`` does) and nothing is repeated behind the caller's back, save the two
compare-and-set loops that say so. After :class:`ZooKeeperUnreachable` the outcome is unknown; every operation
can then be called again, and looks at what is there first.

A store belongs to one thread.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from rabbitkeeper.coordinator.model.errors import (
    Conflict,
    DuplicateMember,
    LeaderExists,
    NotRegistered,
    NoZnode,
    RecordError,
    SessionLost,
    ZnodeExists,
    ZooKeeperUnreachable,
)
from rabbitkeeper.coordinator.model.paths import ROOT, GroupPaths, check_name
from rabbitkeeper.coordinator.model.records import (
    ClusterRecord,
    GroupConfig,
    History,
    HistoryEntry,
    LeaderRecord,
    MemberRecord,
)
from rabbitkeeper.coordinator.model.view import ClusterView, GroupView, LeaderView
from rabbitkeeper.coordinator.store.formation_lock import FormationLock
from rabbitkeeper.coordinator.store.reader import GroupReader, groups, unknown_group
from rabbitkeeper.coordinator.zookeeper.session import Session
from rabbitkeeper.coordinator.zookeeper.znode import Check, Create, Delete, Operation, Set, Znode

__all__ = ["FormationLock", "Store", "groups"]


@dataclass(frozen=True, slots=True)
class _Own:
    """Our member znode, as we wrote it last."""

    path: str
    session: int
    version: int
    data: bytes | None  # None: a write was not answered, so what is there is not known

    def unsure(self) -> "_Own":
        return replace(self, data=None)


class Store:
    """One group, through one session.

    Args:
        session: a started session.
        group: the group's name.

    Raises:
        InvalidName: ``group`` cannot be a name.
    """

    def __init__(self, session: Session, group: str) -> None:
        self.session = session
        self.paths = GroupPaths(group)
        self._reader = GroupReader(session, self.paths)
        self._own: _Own | None = None

    # -- the group

    def create_group(self, config: GroupConfig) -> None:
        """Create the group's persistent znodes unless they are there.

        Atomic: the group appears with all of them or not at all. Several agents may call it at once. What a
        group that is there already has stays, whatever it holds.
        """
        paths = self.paths
        self.session.ensure_path(ROOT)
        skeleton = (
            Create(paths.root, b""),
            Create(paths.config, config.to_bytes()),
            Create(paths.members, b""),
            Create(paths.history, History().to_bytes()),
        )
        try:
            self.session.transaction(skeleton)
        except ZnodeExists:
            # Mend what somebody has deleted; each of these is what a new group starts with.
            for missing in skeleton:
                with suppress(ZnodeExists):
                    self.session.create(missing.path, missing.data)

    def snapshot(self, *, watch: bool = True) -> GroupView:
        """All of the group at about one moment; see :meth:`GroupReader.read`."""
        return self._reader.read(watch=watch)

    # -- our member

    @property
    def registered(self) -> bool:
        """Whether our member znode was written in the session that is there now."""
        return self._own is not None and self._own.session == self.session.session_id

    def register(self, record: MemberRecord) -> None:
        """Create our ephemeral ``members/<name>``, or take it if this session has it already.

        Atomic: the create. Safe to repeat: after a lost answer the znode is known by its owner.

        Raises:
            DuplicateMember: another session has it: another agent under this name, or an earlier run of this
                one whose session has not ended yet.
            UnknownGroup: the group has not been created.
        """
        path, data, session = self.paths.member(record.name), record.to_bytes(), self._session_id()
        try:
            znode = self.session.create(path, data, ephemeral=True, in_session=session)
        except NoZnode:
            raise unknown_group(self.session, self.paths.group) from None
        except ZnodeExists:
            there = self._read(path)
            if there is None:
                raise ZooKeeperUnreachable(f"{path} went away while it was looked at: try again") from None
            if there.owner != session:
                raise self._duplicate(record, there) from None
            self._own = _Own(path, session, there.version, there.data)
            self.update(record)
        else:
            self._own = _Own(path, session, znode.version, data)

    def update(self, record: MemberRecord) -> None:
        """Write our member's record if it says something new.

        Atomic: a compare-and-set on our own znode. If somebody else has changed it (there is no reason to),
        our content wins.

        Raises:
            NotRegistered: this session has no such znode; register again.
        """
        own, data = self._registered(), record.to_bytes()
        if data == own.data:
            return
        self._own = own.unsure()
        try:
            znode = self.session.set(own.path, data, own.version, in_session=own.session)
        except (Conflict, NoZnode):
            own = self._reread(own)
            znode = self.session.set(own.path, data, own.version, in_session=own.session)
        except SessionLost:
            self._own = None
            raise NotRegistered(f"{own.path} went with its session: register again") from None
        self._own = replace(own, version=znode.version, data=data)

    def unregister(self) -> None:
        """Delete our member znode, if this session has one."""
        own, self._own = self._own, None
        if own is None:
            return
        with suppress(SessionLost):
            znode = self._read(own.path)
            if znode is not None and znode.owner == own.session:
                with suppress(NoZnode):
                    self.session.delete(own.path, znode.version, in_session=own.session)

    # -- the lead

    def take_lead(self, record: LeaderRecord) -> int:
        """Create the ephemeral ``leader``: the campaign.

        Atomic: one transaction that checks our own member znode and creates ``leader``, so that nobody leads
        who is not a member, and of all who try one succeeds.

        Returns:
            The epoch.

        Raises:
            LeaderExists: another session leads.
            NotRegistered: our member znode is not what we wrote last.
            ZooKeeperUnreachable: unknown. The next snapshot tells, by the leader's ``owner``.
        """
        own, path = self._registered(), self.paths.leader
        try:
            self.session.transaction(
                (Check(own.path, own.version), Create(path, record.to_bytes(), ephemeral=True)),
                in_session=own.session,
            )
        except ZnodeExists:
            pass
        except (NoZnode, Conflict, SessionLost) as error:
            self._own = None
            raise NotRegistered(f"may not lead: {error}") from None
        leader = self._read(path)
        if leader is None:
            raise ZooKeeperUnreachable(f"{path} went away while it was looked at: try again")
        if leader.owner != own.session:
            raise LeaderExists(f"the lead was taken by {_said(leader, LeaderRecord)}")
        return leader.czxid

    def resign(self, leader: LeaderView, record: MemberRecord | None = None) -> bool:
        """Delete ``leader`` if it is ours.

        Atomic: one transaction that checks our own member znode, or writes ``record`` to it, and deletes
        ``leader`` with the version seen. Why the member znode is part of it: ZooKeeper cannot make a delete
        depend on ``ephemeralOwner``, and each new leader znode has version 0, so a delete alone that comes
        late could hit the *next* leader. Our member znode exists only in the session that also owns this
        leader, and a session's requests are done in their order; so while it is as we wrote it last, our
        session lives and the ``leader`` of this epoch, if it is there, is ours.

        Args:
            leader: as the last snapshot shows it.
            record: our member's new record, so that others see in one step that the lead is vacant and why
                this member does not take it again.

        Returns:
            False if it was not ours, or not any more.

        Raises:
            NotRegistered: our member znode is not what we wrote last; register again, then resign.
            ZooKeeperUnreachable: unknown.
        """
        if leader.owner != self.session.session_id:
            return False
        own, path = self._registered(), self.paths.leader
        there = self._read(path)
        if there is None or there.owner != own.session or there.czxid != leader.epoch:
            return False
        ours: Operation = Check(own.path, own.version)
        if record is not None:
            ours = Set(own.path, record.to_bytes(), own.version)
        if record is not None:
            self._own = own.unsure()
        try:
            self.session.transaction((ours, Delete(path, there.version)), in_session=own.session)
        except SessionLost:
            self._own = None
            return False
        except (NoZnode, Conflict) as error:
            if error.path == path:
                return False
            self._own = None
            raise NotRegistered(f"cannot resign safely: {error}") from None
        if record is not None:
            self._own = replace(own, version=own.version + 1, data=record.to_bytes())
        return True

    # -- the history

    def history(self) -> tuple[HistoryEntry, ...]:
        """The leader changes kept, oldest first.

        Raises:
            RecordError: the znode cannot be read.
        """
        znode = self._read(self.paths.history)
        return () if znode is None else History.from_bytes(znode.path, znode.data).entries

    def append_history(self, entry: HistoryEntry, timeout: float = 2.0) -> None:
        """Add an entry, unless one of its epoch is there.

        Atomic: a compare-and-set, repeated after a conflict until it succeeds. Idempotent by epoch.

        Args:
            timeout: seconds for all.

        Raises:
            RecordError: the znode cannot be read; it is left as it is.
            Conflict: others were always faster until the deadline.
        """
        path, deadline = self.paths.history, time.monotonic() + timeout
        while True:
            znode = self._read(path)
            history = History() if znode is None else History.from_bytes(path, znode.data)
            longer = history.with_entry(entry)
            if longer is history:
                return
            try:
                if znode is None:
                    self.session.create(path, longer.to_bytes())
                else:
                    self.session.set(path, longer.to_bytes(), znode.version)
            except (Conflict, ZnodeExists, NoZnode):
                if time.monotonic() > deadline:
                    raise
            else:
                return

    # -- the RabbitMQ cluster

    def cluster(self) -> ClusterView | None:
        """The formed cluster; None before it is founded.

        Raises:
            RecordError: the znode cannot be read.
        """
        znode = self._read(self.paths.cluster)
        if znode is None:
            return None
        return ClusterView(ClusterRecord.from_bytes(znode.path, znode.data), znode.version)

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
                znode = self.session.create(path, record.to_bytes())
            else:
                znode = self.session.set(path, record.to_bytes(), version)
        except (ZnodeExists, NoZnode) as error:
            raise Conflict(f"{path} has been changed in the meantime: {error}", path) from None
        return ClusterView(record, znode.version)

    @contextmanager
    def formation_lock(self, holder: str, timeout: float) -> Iterator[FormationLock]:
        """Hold the lock under which the cluster is founded or joined.

        Atomic: the create of an ephemeral ``formation``. There is no queue: whoever waits tries again
        when the znode goes. The lock goes with the session; :meth:`FormationLock.held` asks.

        Args:
            holder: the member's name, for those who wait.
            timeout: seconds to wait for it.

        Raises:
            FormationBusy: another held it until the deadline.
            SessionLost: the session was lost while waiting.
        """
        lock = FormationLock(self.session, self.paths.formation, self._session_id())
        lock.acquire(check_name("member", holder), timeout)
        try:
            yield lock
        finally:
            lock.release()

    # -- inside

    def _read(self, path: str) -> Znode | None:
        return self.session.read([path])[path]

    def _session_id(self) -> int:
        session_id = self.session.session_id
        if not session_id:
            raise ZooKeeperUnreachable(f"there is no ZooKeeper session with {self.session.hosts}")
        return session_id

    def _registered(self) -> _Own:
        if self._own is None or self._own.session != self.session.session_id:
            self._own = None
            raise NotRegistered("this session has no member znode: register first")
        return self._own

    def _reread(self, own: _Own) -> _Own:
        there = self._read(own.path)
        if there is None or there.owner != own.session:
            self._own = None
            raise NotRegistered(f"{own.path} is not ours any more: register again")
        return replace(own, version=there.version, data=there.data)

    def _duplicate(self, record: MemberRecord, there: Znode) -> DuplicateMember:
        return DuplicateMember(
            f"member name {record.name!r} is taken in group {self.paths.group!r} by "
            f"{_said(there, MemberRecord)}: give this agent a name of its own, or stop the other one "
            "(an earlier run of this agent goes when its session ends, within seconds)"
        )


def _said(znode: Znode, kind: type[MemberRecord] | type[LeaderRecord]) -> str:
    """Who a znode says it is, for an error."""
    try:
        record = kind.from_bytes(znode.path, znode.data)
    except RecordError:
        return f"session 0x{znode.owner & (1 << 64) - 1:x}, whose record cannot be read"
    return f"{record.name} (instance {record.instance}, node {record.node})"

"""Our own ``members/<name>``: made in each session, written when it says something new.

What was written last is remembered, so that a write which says nothing new is not sent, and so that taking
and giving up the lead (``leadership.py``) can be bound to the very node that this session has.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from rabbitkeeper.coordinator.backend.interface import Backend
from rabbitkeeper.coordinator.backend.node import Node
from rabbitkeeper.coordinator.model.errors import (
    Conflict,
    DuplicateMember,
    NodeExists,
    NoNode,
    NotRegistered,
    RecordError,
    SessionLost,
    ZooKeeperUnreachable,
)
from rabbitkeeper.coordinator.model.paths import GroupPaths
from rabbitkeeper.coordinator.model.records import LeaderRecord, MemberRecord
from rabbitkeeper.coordinator.store.reader import read_node, unknown_group


@dataclass(frozen=True, slots=True)
class Written:
    """Our member's node, as we wrote it last."""

    path: str
    session: int
    version: int
    data: bytes | None  # None: a write was not answered, so what is there is not known

    def unsure(self) -> "Written":
        """A write is sent, and not answered yet."""
        return replace(self, data=None)


class OwnMember:
    """One agent's member. Belongs to one thread, like its store.

    Args:
        backend: started.
        paths: of the group.
        answered: called between two requests, each of which may take its timeout.
    """

    def __init__(
        self, backend: Backend, paths: GroupPaths, *, answered: Callable[[], None] = lambda: None
    ) -> None:
        self._backend = backend
        self._answered = answered
        self._paths = paths
        self._written: Written | None = None

    @property
    def registered(self) -> bool:
        """Whether it was written in the session that is there now."""
        return self._written is not None and self._written.session == self._backend.session_id

    def require(self) -> Written:
        """It, as this session wrote it last.

        Raises:
            NotRegistered: this session has none.
        """
        if self._written is None or not self.registered:
            self._written = None
            raise NotRegistered("this session has no member znode: register first")
        return self._written

    def keep(self, written: Written) -> None:
        """It has been written by somebody of ours (in the transaction that gives up the lead)."""
        self._written = written

    def forget(self) -> None:
        """It is not what we wrote last: it must be registered again."""
        self._written = None

    def seen(self, version: int | None) -> bool:
        """Whether a snapshot shows it as this session wrote it last; if not, the next write mends it.

        Args:
            version: of our node there; None: it is not there.
        """
        own = self._written
        if own is None or own.session != self._backend.session_id or own.version == version:
            return True
        if own.data is None and version is not None:
            return True  # a write of our own was not answered, so that it is written again anyway
        self._written = None if version is None else own.unsure()
        return False

    def register(self, record: MemberRecord) -> None:
        """See :meth:`Store.register`."""
        path, data, session = (
            self._paths.member(record.name),
            record.to_bytes(),
            current_session(self._backend),
        )
        try:
            node = self._backend.create(path, data, ephemeral=True, in_session=session)
        except NoNode:
            raise unknown_group(self._backend, self._paths.group) from None
        except NodeExists:
            self._answered()
            there = read_node(self._backend, path)
            self._answered()
            if there is None:
                raise ZooKeeperUnreachable(f"{path} went away while it was looked at: try again") from None
            if there.owner != session:
                raise self._duplicate(record, there) from None
            self._written = Written(path, session, there.version, there.data)
            self.update(record)
        else:
            self._written = Written(path, session, node.version, data)

    def update(self, record: MemberRecord) -> None:
        """See :meth:`Store.update`."""
        own, data = self.require(), record.to_bytes()
        if data == own.data:
            return
        self._written = own.unsure()
        try:
            node = self._backend.set(own.path, data, own.version, in_session=own.session)
        except (Conflict, NoNode):
            self._answered()
            own = self._reread(own)
            self._answered()
            node = self._backend.set(own.path, data, own.version, in_session=own.session)
        except SessionLost:
            self._written = None
            raise NotRegistered(f"{own.path} went with its session: register again") from None
        self._written = replace(own, version=node.version, data=data)

    def unregister(self) -> None:
        """See :meth:`Store.unregister`."""
        own, self._written = self._written, None
        if own is None:
            return
        with suppress(SessionLost):
            node = read_node(self._backend, own.path)
            self._answered()
            if node is not None and node.owner == own.session:
                with suppress(NoNode):
                    self._backend.delete(own.path, node.version, in_session=own.session)

    def _reread(self, own: Written) -> Written:
        there = read_node(self._backend, own.path)
        if there is None or there.owner != own.session:
            self._written = None
            raise NotRegistered(f"{own.path} is not ours any more: register again")
        return replace(own, version=there.version, data=there.data)

    def _duplicate(self, record: MemberRecord, there: Node) -> DuplicateMember:
        return DuplicateMember(
            f"member name {record.name!r} is taken in group {self._paths.group!r} by "
            f"{said_to_be(there, MemberRecord)}: give this agent a name of its own, or stop the other one "
            "(an earlier run of this agent goes when its session ends, within seconds)"
        )


def current_session(backend: Backend) -> int:
    """The session that there is now.

    Raises:
        ZooKeeperUnreachable: there is none.
    """
    number = backend.session_id
    if not number:
        raise ZooKeeperUnreachable(f"there is no ZooKeeper session with {backend.hosts}")
    return number


def said_to_be(node: Node, kind: type[MemberRecord] | type[LeaderRecord]) -> str:
    """Who a member's or a leader's node says it is, for an error."""
    try:
        record = kind.from_bytes(node.path, node.data)
    except RecordError:
        return f"session 0x{node.owner & (1 << 64) - 1:x}, whose record cannot be read"
    return f"{record.name} (instance {record.instance}, node {record.node})"

"""Taking the lead and giving it up: each one transaction that is bound to our own member's node.

Why the member's node is part of it: a delete cannot be made to depend on who owns a node, and each new
leader's node has version 0, so a delete alone that comes late could hit the *next* leader. Our member's node
exists only in the session that also owns this leader, and a session's requests are done in their order; so
while it is as we wrote it last, our session lives and the ``leader`` of this epoch, if it is there, is ours.
"""

from collections.abc import Callable
from dataclasses import replace

from rabbitkeeper.coordinator.backend.interface import Backend
from rabbitkeeper.coordinator.backend.node import Check, Create, Delete, Set, TransactionStep
from rabbitkeeper.coordinator.model.errors import (
    Conflict,
    LeaderExists,
    NodeExists,
    NoNode,
    NotRegistered,
    SessionLost,
    ZooKeeperUnreachable,
)
from rabbitkeeper.coordinator.model.paths import GroupPaths
from rabbitkeeper.coordinator.model.records import LeaderRecord, MemberRecord
from rabbitkeeper.coordinator.model.view import LeaderView
from rabbitkeeper.coordinator.store.own_member import OwnMember, said_to_be
from rabbitkeeper.coordinator.store.reader import read_node


class Leadership:
    """One agent's way to the lead. Belongs to one thread, like its store.

    Args:
        backend: started.
        paths: of the group.
        member: the agent's own, through the same backend.
        answered: called between two requests, each of which may take its timeout.
    """

    def __init__(
        self,
        backend: Backend,
        paths: GroupPaths,
        member: OwnMember,
        *,
        answered: Callable[[], None] = lambda: None,
    ) -> None:
        self._backend = backend
        self._answered = answered
        self._path = paths.leader
        self._member = member
        self._written: tuple[int, int, LeaderRecord] | None = None  # session, version, record: the last lead

    def take(self, record: LeaderRecord) -> int:
        """See :meth:`Store.take_lead`."""
        own, path = self._member.require(), self._path
        self._written = own.session, 0, record
        try:
            self._backend.transaction(
                (Check(own.path, own.version), Create(path, record.to_bytes(), ephemeral=True)),
                in_session=own.session,
            )
        except NodeExists:
            pass
        except (NoNode, Conflict, SessionLost) as error:
            self._member.forget()
            raise NotRegistered(f"may not lead: {error}") from None
        self._answered()
        leader = read_node(self._backend, path)
        if leader is None:
            raise ZooKeeperUnreachable(f"{path} went away while it was looked at: try again")
        if leader.owner != own.session:
            raise LeaderExists(f"the lead was taken by {said_to_be(leader, LeaderRecord)}")
        return leader.created

    def mend(self, owner: int, version: int) -> bool:
        """See :meth:`Store.mend_lead`."""
        if self._written is None or self._written[0] != owner or owner != self._backend.session_id:
            return False
        session, known, record = self._written
        if known == version:
            return False
        node = self._backend.set(self._path, record.to_bytes(), version, in_session=session)
        self._written = session, node.version, record
        return True

    def resign(self, leader: LeaderView, record: MemberRecord | None) -> bool:
        """See :meth:`Store.resign`."""
        if leader.owner != self._backend.session_id:
            return False
        own, path = self._member.require(), self._path
        there = read_node(self._backend, path)
        self._answered()
        if there is None or there.owner != own.session or there.created != leader.epoch:
            return False
        ours: TransactionStep = Check(own.path, own.version)
        if record is not None:
            ours = Set(own.path, record.to_bytes(), own.version)
            self._member.keep(own.unsure())
        try:
            self._backend.transaction((ours, Delete(path, there.version)), in_session=own.session)
        except SessionLost:
            self._member.forget()
            return False
        except (NoNode, Conflict) as error:
            if error.path == path:
                return False
            self._member.forget()
            raise NotRegistered(f"cannot resign safely: {error}") from None
        if record is not None:
            self._member.keep(replace(own, version=own.version + 1, data=record.to_bytes()))
        return True

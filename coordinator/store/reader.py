"""Read a group from its backend into one immutable :class:`GroupView`. Reads only; agents and clients use it.

A node that cannot be understood never stops the reading: it is named in ``problems`` and, where the safe
side is another, stands for the worst (a ``pause`` that cannot be read pauses; a ``leader`` that cannot be
read is still a leader, so the lead is not vacant).
"""

import time
from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType
from typing import TypeVar

from rabbitkeeper.coordinator.backend.interface import Backend
from rabbitkeeper.coordinator.backend.node import Node
from rabbitkeeper.coordinator.model.errors import (
    InvalidName,
    RecordError,
    UnknownGroup,
    ZooKeeperUnreachable,
)
from rabbitkeeper.coordinator.model.paths import ROOT, GroupPaths
from rabbitkeeper.coordinator.model.record import StoredRecord
from rabbitkeeper.coordinator.model.records import (
    ClusterRecord,
    GroupConfig,
    History,
    HistoryEntry,
    IncarnationRecord,
    LeaderRecord,
    MaintenanceRecord,
    MemberRecord,
    PauseRecord,
    SwitchoverRecord,
)
from rabbitkeeper.coordinator.model.view import (
    ClusterView,
    ConfigView,
    GroupView,
    LeaderView,
    MaintenanceView,
    MemberView,
    SwitchoverView,
)

RecordT = TypeVar("RecordT", bound=StoredRecord)


class GroupReader:
    """Reads one group again and again, and spares the history while it has not changed.

    Whoever is one of thousands reads ``whole=False`` after an event: what has not changed is not asked for
    again. Ten thousand watchers of a group that all read twenty nodes at each event would keep ZooKeeper from
    answering the agents for seconds.

    Args:
        backend: started.
        group: its name, or its paths.
        with_history: whether ``last_change`` is wanted; the history is the one large node.
        clock: seconds, monotonic; the backend's own.
        answered: called after each answer, and before the first request: there is time to wait until then.
    """

    def __init__(
        self,
        backend: Backend,
        group: str | GroupPaths,
        *,
        with_history: bool = True,
        clock: Callable[[], float] = time.monotonic,
        answered: Callable[[], None] = lambda: None,
    ) -> None:
        self._answered = answered
        self._backend = backend
        self._paths = GroupPaths(group) if isinstance(group, str) else group
        self._with_history = with_history
        self._clock = clock
        self._connection = self._rollbacks = 0
        self._history_modified = 0
        self._last_change: HistoryEntry | None = None
        self._history_problem: str | None = None
        self._names: tuple[str, ...] | None = None  # of the members
        self._known: dict[str, Node | None] = {}  # nodes as they were read, with a watch each
        self._touched: set[str] = set()  # and those that have changed since

    def read(self, *, watch: bool = True, timeout: float = 2.0, whole: bool = True) -> GroupView:
        """Read the group.

        After a new connection, which may be to a server that lags behind, the server is synced first.

        Args:
            watch: be woken by the next change of what was read, history excepted.
            timeout: seconds for each of the round trips (two or three; four when the history has changed).
            whole: read all of it; else what is watched and has not changed since it was read is not read
                again. With ``watch`` only, and the reader must be the only one who asks this backend for
                ``touched``.

        Raises:
            UnknownGroup: it does not exist; the message names those that do.
            CoordinationError: as :meth:`Nodes.read`.
        """
        backend, paths, now = self._backend, self._paths, self._clock()
        self._answered()
        connection = backend.connections
        if connection != self._connection:
            backend.sync(timeout=timeout)
            self._connection = connection
            if backend.rollbacks != self._rollbacks:  # the history can be another one with the same number
                self._rollbacks, self._history_modified = backend.rollbacks, 0
            self._answered()
            whole = True  # there are no watches
        if whole:
            self._names, self._known = None, {}
        self._touched |= backend.touched()
        names = self._names
        if names is None or paths.members in self._touched:
            self._names = names = backend.children(paths.members, watch=watch, timeout=timeout)
            self._touched.discard(paths.members)
            self._answered()
        if names is None and backend.stat(paths.root, timeout=timeout) is None:
            raise unknown_group(backend, paths.group)
        if self._with_history:
            self._read_history(timeout)
            self._answered()
        problems = [] if self._history_problem is None else [self._history_problem]
        wanted = [
            paths.incarnation,
            paths.config,
            paths.cluster,
            paths.pause,
            paths.switchover,
            paths.maintenance,
        ]
        members: dict[str, str] = {}
        for name in names or ():
            try:
                members[name] = paths.member(name)
            except InvalidName as error:
                problems.append(f"{paths.members} has a znode that is no member: {error}")
        wanted += [*members.values(), paths.leader]  # the leader's last
        asked = [path for path in wanted if path in self._touched or path not in self._known]
        if asked:
            self._known |= backend.read(asked, watch=watch, timeout=timeout)
            self._touched.difference_update(asked)
            self._answered()
        if backend.connections != connection:  # some of it may be of a server that has not been synced
            raise ZooKeeperUnreachable("the connection to ZooKeeper has changed while the group was read")
        found = {path: self._known[path] for path in wanted}
        self._known = found if watch else {}
        self._names = names if watch else None
        self._touched.intersection_update([*wanted, paths.members])
        view = _view(paths, found, members, self._last_change, problems, now)
        return replace(view, rollbacks=self._rollbacks)

    def _read_history(self, timeout: float) -> None:
        path = self._paths.history
        stat = self._backend.stat(path, timeout=timeout)
        self._answered()
        if stat is None:
            self._history_modified, self._last_change, self._history_problem = 0, None, None
            return
        if stat.modified == self._history_modified:
            return
        problems: list[str] = []
        node = self._backend.read([path], timeout=timeout)[path]
        history = _decode(History, node, problems)
        self._history_modified = 0 if node is None else node.modified
        self._last_change = history.entries[-1] if history is not None and history.entries else None
        self._history_problem = problems[0] if problems else None


def read_node(backend: Backend, path: str) -> Node | None:
    """One node; None if there is none."""
    return backend.read([path])[path]


def read_group(
    backend: Backend,
    paths: GroupPaths,
    *,
    watch: bool = False,
    now: float | None = None,
    with_history: bool = True,
    timeout: float = 2.0,
) -> GroupView:
    """Read a group once; :class:`GroupReader` is for reading it again and again.

    Args:
        now: what the view says it was read at, seconds monotonic; by default this moment.
    """
    reader = GroupReader(
        backend, paths, with_history=with_history, clock=time.monotonic if now is None else lambda: now
    )
    return reader.read(watch=watch, timeout=timeout)


def groups(backend: Backend, *, timeout: float = 2.0) -> tuple[str, ...]:
    """Names of the groups in this backend."""
    return backend.children(ROOT, timeout=timeout) or ()


def unknown_group(backend: Backend, group: str) -> UnknownGroup:
    """The error for a group that does not exist, naming those that do."""
    known = groups(backend)
    remedy = f"the groups there are: {', '.join(known)}" if known else "there is no group at all yet"
    chroot = backend.hosts.partition("/")[2]
    if chroot and not known and backend.stat("/") is None:
        remedy = f"its /{chroot}, with which that address ends, is not there either: is it meant so?"
    return UnknownGroup(
        f"group {group!r} does not exist in ZooKeeper at {backend.hosts}: {remedy} "
        "(a group begins with its first agent)"
    )


def _view(
    paths: GroupPaths,
    found: dict[str, Node | None],
    members: dict[str, str],
    last_change: HistoryEntry | None,
    problems: list[str],
    now: float,
) -> GroupView:
    views: dict[str, MemberView] = {}
    unread: set[str] = set()
    for name, path in members.items():
        node = found[path]
        member = _decode(MemberRecord, node, problems)
        if node is not None and (member is None or member.name != name):
            unread.add(name)
        if node is not None and member is not None:
            if member.name != name:
                problems.append(f"{path} says it is member {member.name!r}: it is left out")
                continue
            views[name] = MemberView(member, node.version, node.owner)
    incarnation_node = found[paths.incarnation]
    incarnation = _decode(IncarnationRecord, incarnation_node, problems)
    cluster_node, leader_node = found[paths.cluster], found[paths.leader]
    cluster = _decode(ClusterRecord, cluster_node, problems)
    config_node = found[paths.config]
    config = _decode(GroupConfig, config_node, problems)
    config_unreadable = problems[-1] if config is None and config_node is not None else None
    switchover_node, maintenance_node = found[paths.switchover], found[paths.maintenance]
    switchover = _decode(SwitchoverRecord, switchover_node, problems)
    maintenance = _decode(MaintenanceRecord, maintenance_node, problems)
    leader, unreadable = _leader(leader_node, problems)
    return GroupView(
        read_at=now,
        incarnation=0 if incarnation is None else incarnation.number,
        incarnation_version=None if incarnation_node is None else incarnation_node.version,
        leader=leader,
        leader_unreadable=unreadable,
        leader_node=None if leader_node is None else (leader_node.owner, leader_node.version),
        members_unreadable=frozenset(unread),
        cluster_unreadable=cluster_node.version if cluster_node is not None and cluster is None else None,
        members=MappingProxyType(views),
        cluster=ClusterView(cluster, cluster_node.version) if cluster and cluster_node else None,
        config=ConfigView(config, config_node.version) if config and config_node else None,
        config_unreadable=config_unreadable,
        pause=_pause(found[paths.pause], problems),
        switchover=SwitchoverView(switchover, switchover_node.version)
        if switchover and switchover_node
        else None,
        maintenance=MaintenanceView(maintenance, maintenance_node.version)
        if maintenance and maintenance_node
        else None,
        last_change=last_change,
        problems=tuple(problems),
    )


def _leader(node: Node | None, problems: list[str]) -> tuple[LeaderView | None, str | None]:
    if node is None:
        return None, None
    record = _decode(LeaderRecord, node, problems)
    if record is None:
        return None, problems[-1]
    return LeaderView(record, epoch=node.created, version=node.version, owner=node.owner), None


def _pause(node: Node | None, problems: list[str]) -> PauseRecord | None:
    if node is None:
        return None
    return _decode(PauseRecord, node, problems) or PauseRecord(by="unknown", since="", reason=problems[-1])


def _decode(kind: type[RecordT], node: Node | None, problems: list[str]) -> RecordT | None:
    if node is None:
        return None
    try:
        return kind.from_bytes(node.path, node.data)
    except RecordError as error:
        problems.append(str(error))
        return None

"""The group as one immutable snapshot: what every decision is made on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from rabbitkeeper.coordinator.model.records import (
    ClusterNode,
    ClusterRecord,
    GroupConfig,
    HistoryEntry,
    LeaderRecord,
    MaintenanceRecord,
    MemberRecord,
    PauseRecord,
    SwitchoverRecord,
)


@dataclass(frozen=True, slots=True)
class LeaderView:
    """The ``leader`` node."""

    record: LeaderRecord
    epoch: int  # the number that its node was created with: grows with every new leader
    version: int  # for a checked delete; 0 is a version like any other
    owner: int  # the session that holds it


@dataclass(frozen=True, slots=True)
class MemberView:
    """One ``members/<name>`` node."""

    record: MemberRecord
    version: int
    owner: int


@dataclass(frozen=True, slots=True)
class ClusterView:
    record: ClusterRecord
    version: int


@dataclass(frozen=True, slots=True)
class ConfigView:
    """The ``config`` node."""

    record: GroupConfig
    version: int  # of the node: a change is written only over the one that it was made from


@dataclass(frozen=True, slots=True)
class SwitchoverView:
    """The ``switchover`` node."""

    record: SwitchoverRecord
    version: int


@dataclass(frozen=True, slots=True)
class MaintenanceView:
    """The ``maintenance`` node."""

    record: MaintenanceRecord
    version: int


@dataclass(frozen=True, slots=True)
class GroupView:
    """All that a group's backend holds at about one moment.

    The nodes are read one after the other in one session, so a later one can be newer than an earlier
    one, never older. ``leader`` is read last: a view that shows no leader shows members that are at least
    as old as that.
    """

    read_at: float  # seconds, monotonic: when the first read was sent
    rollbacks: int = 0  # how often the backend had been found to have forgotten something by then
    incarnation: int = 0  # of the group: an epoch of a later one is newer, whatever its number
    incarnation_version: int | None = None  # of the node that says so; None: there is none
    leader: LeaderView | None = None
    leader_unreadable: str | None = None  # why, if there is a ``leader`` that cannot be understood
    leader_node: tuple[int, int] | None = None  # the owner and the version of that ``leader``, or of any
    members_unreadable: frozenset[str] = frozenset()  # whose nodes cannot be understood
    cluster_unreadable: int | None = None  # the version of a ``cluster`` that cannot be understood
    members: Mapping[str, MemberView] = field(default_factory=lambda: MappingProxyType({}))
    cluster: ClusterView | None = None
    config: ConfigView | None = None
    config_unreadable: str | None = None  # why, if there is a ``config`` that cannot be understood
    pause: PauseRecord | None = None
    switchover: SwitchoverView | None = None
    maintenance: MaintenanceView | None = None
    last_change: HistoryEntry | None = None
    problems: tuple[str, ...] = ()  # nodes that could not be understood, a sentence each

    @property
    def nodes(self) -> Mapping[str, ClusterNode]:
        """The nodes of the recorded cluster, by Erlang name; empty while none is recorded."""
        return {} if self.cluster is None else self.cluster.record.nodes

    @property
    def era(self) -> tuple[int, int]:
        """Whose leaders are newer: of two views of one reader, the one with the larger. Epochs are compared
        within the same one."""
        return self.rollbacks, self.incarnation

    def leads(self, session: int) -> bool:
        """Whether the lead was held by this session when the group was read.

        Args:
            session: its id: one's own, or the owner of a member; 0, for no session, never leads.
        """
        return self.leader is not None and session != 0 and self.leader.owner == session

"""What the nodes hold: JSON records, frozen, that keep the keys they do not know.

Every record has ``"v": 1``. A reader takes a record with more keys than it knows and writes them back as they
are, so that old and new agents can share a group. Wall-clock times are ISO 8601 in UTC, for people only.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import Field, StringConstraints, ValidationError, model_validator

from rabbitkeeper.coordinator.model.record import Record, StoredRecord

HISTORY_LIMIT = 1000  # leader changes kept; at about 250 bytes each well below ZooKeeper's 1 MiB a znode
OPERATIONS_LIMIT = 200  # operations kept; at about 500 bytes each
LOG_BYTES = 400_000  # of history or operations at most, whatever is in them: ZooKeeper takes less than 1 MiB
LONGEST_TEXT = 2_000  # characters of a reason or an outcome that are kept in a log

HostPort = Annotated[str, StringConstraints(pattern=r"^(\[[0-9A-Za-z:.%_~-]+\]|[^\s:/@\[\]]+):[0-9]{1,5}$")]


class MemberStatus(StrEnum):
    """What an agent says of its broker."""

    STARTING = "starting"  # booting, or joining the cluster
    RUNNING = "running"  # takes messages
    ALARMED = "alarmed"  # a memory or disk alarm blocks publishers, on every node of the cluster
    MINORITY = "minority"  # well by itself, but no majority confirms
    HUNG = "hung"  # keeps its connections and answers nothing
    DRAINING = "draining"  # listeners suspended for maintenance
    STOPPED = "stopped"  # not running, and not about to be
    UNREACHABLE = "unreachable"  # the agent cannot connect to it
    SPLIT = "split"  # well by itself, but it and the other nodes do not count each other in
    STARVING = "starving"  # takes messages and feeds no consumer that was there

    @property
    def serves(self) -> bool:
        """Whether clients may use the broker and its replicas count for the majority: it runs, or is ill in a
        way in which others are as well (an alarm blocks publishers on every node; without a majority nobody
        else has one, as a rule). A leader that serves keeps the lead."""
        return self in (MemberStatus.RUNNING, MemberStatus.ALARMED, MemberStatus.MINORITY)

    @property
    def may_lead(self) -> bool:
        """Whether the member may *take* the lead: only one that runs. Its tags are another question."""
        return self is MemberStatus.RUNNING

    @property
    def down(self) -> bool:
        """Whether the broker takes nothing, through a failure: clients leave it, and others say that it is
        down. One that boots or drains is not down."""
        return self in (
            MemberStatus.HUNG,
            MemberStatus.STOPPED,
            MemberStatus.UNREACHABLE,
            MemberStatus.SPLIT,
            MemberStatus.STARVING,
        )


_NEWER = frozenset({MemberStatus.SPLIT, MemberStatus.STARVING})
"""States that versions before them read as ``unreachable``, with the true one in ``condition``."""


def utcnow() -> str:
    """Now, for people: ISO 8601 in UTC to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Tags(Record):
    """What an operator says of a member."""

    priority: int = 100  # the higher leads, other things being equal
    site: str | None = None  # data centre, zone or rack
    no_failover: bool = False  # never leads


class Versions(Record):
    agent: str
    rabbitmq: str | None = None
    erlang: str | None = None


class TakenConfig(Record):
    """Which group configuration an agent goes by, and what its own file says of the same keys."""

    version: int | None  # of the ``config`` node; None: none has been taken yet
    problem: str | None = None  # why a newer one, or none, is not taken; a sentence
    restart_pending: tuple[str, ...] = ()  # keys whose new values hold once the agent has been started again
    own: dict[str, Any] = Field(default_factory=dict)  # by key, as in "health.interval"


FORGET_NODES = "forget nodes"
"""What agents know that carry out the removal of a node; older ones do nothing, and say that it is done."""


class MemberRecord(StoredRecord):
    """``members/<name>``: who an agent is, what clients connect to, and how its broker is."""

    name: str
    instance: str  # of this run of the agent: a restarted agent has another
    node: str  # the Erlang node, as in rabbit@host
    versions: Versions
    amqp: HostPort | None  # what clients connect to
    amqps: HostPort | None = None
    api: str | None = None  # the agent's HTTP API
    state: MemberStatus
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()  # what a person should see to, whatever the state
    since: str  # of this state
    tags: Tags = Tags()
    load: dict[str, int] = Field(default_factory=dict)
    config: TakenConfig | None = None
    dropped: tuple[str, ...] = ()  # nodes that this one's broker has dropped by force
    uncounted: tuple[str, ...] = ()  # nodes that run by their agents' word, and not by this one's
    knows: tuple[str, ...] = ()  # which requests its agent knows that agents before it do not
    condition: str | None = None  # a state that versions before it read as another one, as in ``split``

    @model_validator(mode="before")
    @classmethod
    def _state_behind_another(cls, content: Any) -> Any:
        if isinstance(content, dict) and content.get("condition") in _NEWER:
            return {**content, "state": MemberStatus(content["condition"])}
        return content

    def fields_to_store(self) -> dict[str, Any]:
        """As versions understand it that do not know every state: such a node is no good to anybody."""
        fields = super().fields_to_store()
        if self.state in _NEWER:
            fields |= {"state": MemberStatus.UNREACHABLE.value, "condition": self.state.value}
        else:
            del fields["condition"]
        return fields


class LeaderRecord(StoredRecord):
    """``leader``: whom clients prefer. The number that its node was created with is the epoch."""

    name: str
    instance: str
    node: str
    amqp: HostPort | None
    amqps: HostPort | None = None
    api: str | None = None
    since: str
    cause: str  # one word or two: why the lead changed, as in "first leader", "broker died"


class ClusterNode(Record):
    """A node of the formed RabbitMQ cluster."""

    member: str
    joined: str


class ClusterRecord(StoredRecord):
    """``cluster``: the RabbitMQ cluster that was formed, by Erlang node name."""

    founder: str  # the Erlang node that the others join
    formed: str
    nodes: dict[str, ClusterNode]


class GroupConfig(StoredRecord):
    """``config``: what holds for the whole group, over what each agent's file says.

    Besides ``mode`` it holds settings of the agents, in the sections of their files. They are the agents' to
    understand, so that they are kept here as they are found.
    """

    mode: Literal["cluster"] = "cluster"
    preferred_site: str | None = None  # members of this site lead, if they can

    @property
    def settings(self) -> dict[str, Any]:
        """What it sets, without the format's version and the mode."""
        fields = self.model_dump(mode="json", exclude={"v", "mode"}, exclude_none=True)
        return {key: value for key, value in fields.items() if value != {}}

    def fields_to_store(self) -> dict[str, Any]:
        """Only what is set."""
        return {"v": self.v, "mode": self.mode, **self.settings}


class IncarnationRecord(StoredRecord):
    """``incarnation``: which life of the group this is: the epochs of a later one are newer, whatever their
    number. It is raised when the backend was found to have forgotten what it had known.
    """

    number: int = Field(ge=0)
    since: str
    by: str  # the agent or the operator who has begun it
    reason: str


class PauseRecord(StoredRecord):
    """``pause``: maintenance; nobody takes the lead by himself while it is there."""

    by: str
    since: str
    reason: str | None = None
    id: str | None = None  # of the operation; none when it was made with a plain ZooKeeper client


class OperationKind(StrEnum):
    """What an operator can ask for."""

    SWITCHOVER = "switchover"  # move the lead from a leader that is well
    FAILOVER = "failover"  # give the lead to a named member, whoever has it
    FAILBACK = "failback"  # a switchover that a better member's agent asks for
    PAUSE = "pause"
    RESUME = "resume"
    RESTART = "restart"  # one broker
    ROLLING_RESTART = "rolling-restart"  # all of them, one after the other
    REMOVE = "remove"  # a member from the RabbitMQ cluster
    CONFIG = "config"  # change the group's configuration


class OperationState(StrEnum):
    PENDING = "pending"  # accepted; its time has not come, or nobody has begun it yet
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        """Whether the operation has ended, so that its state does not change any more."""
        return self in (OperationState.DONE, OperationState.FAILED)


class SwitchoverRecord(StoredRecord):
    """``switchover``: the one move of the lead that is asked for and has not ended yet."""

    id: str
    kind: Literal[OperationKind.SWITCHOVER, OperationKind.FAILOVER, OperationKind.FAILBACK]
    previous: str | None = Field(validation_alias="from", serialization_alias="from")  # who led when asked
    epoch: int | None  # of that lead
    to: str | None  # None: the best candidate
    at: str | None = None  # not before this time, UTC; None: now
    by: str
    reason: str | None = None
    requested: str


class MaintenanceStep(StrEnum):
    """How far the member is whose turn it is."""

    DRAIN = "drain"  # gives up the lead, makes sure that its replicas are not missed, closes its listeners
    RESTART = "restart"  # its broker ends and boots again


class MaintenanceRecord(StoredRecord):
    """``maintenance``: the one restart or removal under way.

    Agents take it step by step with compare-and-set, so that any of them can die between two steps and its
    next run, or another agent, finds where it stands.
    """

    id: str
    kind: Literal[OperationKind.RESTART, OperationKind.ROLLING_RESTART, OperationKind.REMOVE]
    members: tuple[str, ...]  # what is still to be done, in this order; the first is the one under way
    done: tuple[str, ...] = ()
    step: MaintenanceStep | None = None  # of the first of ``members``; None: not begun
    process: str | None = None  # the broker process that is to end, as its agent knows it
    force: bool = False  # also if the majority is lost meanwhile
    by: str
    reason: str | None = None
    requested: str


class BoundedLog(StoredRecord):
    """Entries, the oldest first, bounded in number and in bytes.

    An entry that this version cannot read, as from a newer one, hides itself alone, and is written back.
    """

    unread: tuple[Any, ...] = Field(default=(), exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _set_aside(cls, content: Any) -> Any:
        entries = content.get("entries") if isinstance(content, dict) else None
        if not isinstance(entries, list):
            return content
        kind = get_args(cls.model_fields["entries"].annotation)[0]
        unread = tuple(entry for entry in entries if isinstance(entry, dict) and not _reads(kind, entry))
        return {**content, "entries": [entry for entry in entries if entry not in unread], "unread": unread}

    def fields_to_store(self) -> dict[str, Any]:
        fields = super().fields_to_store()
        fields["entries"] = [*self.unread, *fields["entries"]]
        return fields


def _reads(kind: type[Record], entry: dict[str, Any]) -> bool:
    try:
        kind.model_validate(entry)
    except ValidationError:
        return False
    return True


EntryT = TypeVar("EntryT", bound=Record)


def _bounded(entries: tuple[EntryT, ...]) -> tuple[EntryT, ...]:
    """The last entries that fit into a node; the newest in any case."""
    left, kept = LOG_BYTES, 0
    for entry in reversed(entries):
        left -= len(entry.model_dump_json(by_alias=True).encode()) + 1
        if left < 0 and kept:
            break
        kept += 1
    return entries[len(entries) - kept :]


def _shortened(text: str | None) -> str | None:
    return text if text is None or len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]} …"


class OperationEntry(Record):
    """One operation and what has become of it."""

    id: str
    kind: OperationKind
    state: OperationState
    target: str | None = None  # the member or members that it is about
    at: str | None = None  # the time that it was asked for
    by: str
    reason: str | None = None
    requested: str
    ended: str | None = None
    outcome: str | None = None  # a sentence


class OperationLog(BoundedLog):
    """``operations``: the last :data:`OPERATIONS_LIMIT` operations, oldest first."""

    entries: tuple[OperationEntry, ...] = ()

    def with_entry(self, entry: OperationEntry) -> "OperationLog":
        """A log with ``entry`` in it, in the place of an older state of the same operation."""
        texts = {"reason": _shortened(entry.reason), "outcome": _shortened(entry.outcome)}
        entry = entry.model_copy(update=texts)
        if any(known.id == entry.id for known in self.entries):
            entries = tuple(entry if known.id == entry.id else known for known in self.entries)
        else:
            entries = (*self.entries, entry)
        return self.model_copy(update={"entries": _bounded(entries[-OPERATIONS_LIMIT:])})


class HistoryEntry(Record):
    """One change of the lead."""

    epoch: int
    incarnation: int = 0  # of the group, in which the epoch counts
    # The member that led before.
    previous: str | None = Field(validation_alias="from", serialization_alias="from")
    to: str
    node: str
    cause: str
    by: str  # the agent or the operator who made it
    at: str
    operation: str | None = None  # the id of the operator's request that it follows from
    reason: str | None = None  # the operator's
    timings: dict[str, float] = Field(default_factory=dict)  # seconds, by phase
    event_id: str | None = None  # under which agents tell of it


class History(BoundedLog):
    """``history``: the last :data:`HISTORY_LIMIT` changes of the lead, oldest first."""

    entries: tuple[HistoryEntry, ...] = ()

    def with_entry(self, entry: HistoryEntry) -> "History":
        """A history with ``entry`` in it; the same one if it is there already.

        Entries are in the order of events: a new one is the last, unless a later epoch of its incarnation has
        been written before it.
        """
        if any(
            (known.incarnation, known.epoch) == (entry.incarnation, entry.epoch) for known in self.entries
        ):
            return self
        entry = entry.model_copy(update={"reason": _shortened(entry.reason)})
        place = len(self.entries)
        while place and _follows(self.entries[place - 1], entry):
            place -= 1
        entries = (*self.entries[:place], entry, *self.entries[place:])
        return self.model_copy(update={"entries": _bounded(entries[-HISTORY_LIMIT:])})


def _follows(known: HistoryEntry, entry: HistoryEntry) -> bool:
    return known.incarnation == entry.incarnation and known.epoch > entry.epoch

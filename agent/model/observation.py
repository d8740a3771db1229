"""What is known of the broker at one moment: the facts that the health judge decides on.

Plain frozen data between those who look (probe, driver, formation) and the one who judges (``judge.py``).
All times are monotonic seconds.
"""

from dataclasses import dataclass, field
from enum import StrEnum


class ConnectFailure(StrEnum):
    """How an attempt to connect to the broker ended."""

    REFUSED = "refused"  # nothing listens, or no way there
    SILENT = "silent"  # something listens and does not answer
    DENIED = "denied"  # the broker answers and refuses the credentials
    NO_VHOST = "no vhost"  # the broker answers; the agents' vhost is not there, or not ours yet
    BROKEN = "broken"  # anything else: closed in the middle, another protocol


ANSWERED = frozenset({ConnectFailure.DENIED, ConnectFailure.NO_VHOST})  # failures that a live broker sends


@dataclass(frozen=True, slots=True)
class ConnectionFacts:
    """The probe's connection to the broker and the canaries on it."""

    up_since: float | None = None  # None: not connected
    answered_at: float | None = None  # when a live broker last accepted or turned away a connection
    heard_at: float | None = None  # when it was last known to be well: connected, or a canary confirmed
    failures: int = 0  # failed attempts in a row since it was up
    failure: ConnectFailure | None = None  # of the last attempt
    error: str | None = None  # the same as a sentence
    silent: float = 0.0  # seconds for which the broker was asked and has not answered; see response_timer.py
    confirmed: int = 0  # canaries confirmed in a row on this connection
    latency: float | None = None  # seconds, of the last confirmed canary
    blocked: str | None = None  # the broker's reason for blocking publishers
    unfed: int = 0  # majority canaries confirmed in a row without one that their consumer got
    unfed_since: float | None = None  # when the first of them was confirmed
    version: str | None = None  # RabbitMQ's, of the last connection

    def since(self, moment: float) -> "ConnectionFacts":
        """The same, without what is known of a broker that ended before ``moment``."""
        if self.answered_at is None or self.answered_at >= moment:
            return self
        return ConnectionFacts(version=self.version, heard_at=self.heard_at)

    def let_in_since(self, moment: float) -> bool:
        """Whether the broker has let this agent in since ``moment``, whatever it does now."""
        return self.heard_at is not None and self.heard_at >= moment

    @property
    def answers(self) -> bool:
        """Whether a live broker is there, be it one that turns this agent away."""
        return self.up_since is not None or self.failure in ANSWERED


@dataclass(frozen=True, slots=True)
class MajorityFacts:
    """What the canaries on a majority of the cluster have shown: how the last ones ended, in a row."""

    confirmed: int = 0
    failed: int = 0
    error: str | None = None  # of the last one, if it failed: a sentence

    def confirmed_again(self) -> "MajorityFacts":
        return MajorityFacts(confirmed=self.confirmed + 1)

    def failed_again(self, error: str | None) -> "MajorityFacts":
        return MajorityFacts(failed=self.failed + 1, error=error)


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """The broker's process, as far as the driver can see it."""

    running: bool | None = None  # None: this driver cannot tell
    since: float | None = None
    exited: str | None = None  # how it ended, a sentence
    problem: str | None = None  # why it could not be started, a sentence
    given_up: str | None = None  # why it is not started again soon, a sentence
    last_lines: tuple[str, ...] = ()  # of its log, with ``given_up``


class NodeState(StrEnum):
    """How a node is that runs and refuses connections, as it says itself; or that it says nothing."""

    SERVING = "serving"  # by its own account; then it boots, or a firewall is in the way
    DRAINED = "drained"  # in maintenance mode, by an operator: its listeners are suspended
    DRAINED_BY_AGENT = "drained by an agent"  # the same, for a restart that an agent was to carry out
    PAUSED = "paused"  # by RabbitMQ, until it sees a majority of its cluster
    RESUMING = "resuming"  # RabbitMQ sees that majority, and starts the broker again
    RESUMING_APART = "resuming apart"  # the same, but its database has not found those of nodes it can reach
    BOOTING = "booting"
    APART = "booting apart"  # from nodes that it can reach by now, and whose database it has not found
    STOPPED = "stopped"  # the broker is, inside a living Erlang machine
    SILENT = "silent"  # its Erlang machine, which has answered its tools before, does not any more


RESUMES = frozenset({NodeState.RESUMING, NodeState.RESUMING_APART})
"""States of a broker that RabbitMQ starts again after a pause."""

WAITING = frozenset({NodeState.DRAINED, NodeState.DRAINED_BY_AGENT, NodeState.PAUSED}) | RESUMES
"""States of a broker that has booted and is well by itself, though nobody can connect."""

STARTS_AGAIN = frozenset({NodeState.PAUSED, NodeState.BOOTING, NodeState.APART}) | RESUMES
"""States of a broker that meets its cluster afresh before it serves: what it dropped is of the past."""


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What a node that refuses connections has said of itself."""

    state: NodeState
    since: float  # when that was first seen


@dataclass(frozen=True, slots=True)
class Alarm:
    """A resource alarm: on which node, and of what, ``memory`` or ``disk``."""

    node: str
    what: str


@dataclass(frozen=True, slots=True)
class Load:
    """What a node carries."""

    connections: int
    classic_queues: int


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the whole cluster carries, as RabbitMQ counts it; for people alone."""

    publish: float  # messages a second that come in
    deliver: float  # messages a second that go out, fetched ones too
    ready: int  # messages that wait in queues
    unacknowledged: int  # messages that consumers have and have not answered
    connections: int
    consumers: int


@dataclass(frozen=True, slots=True)
class ManagementFacts:
    """What RabbitMQ's management API has said last; nothing of it makes a broker ill or well."""

    failed: tuple[str, ...] = ()  # of RabbitMQ's health checks: a sentence each
    alarms: tuple[Alarm, ...] = ()  # of all nodes
    load: Load | None = None
    problem: str | None = None  # why it cannot be asked, when it has not answered for a while: a sentence


BOOTING = "booting"  # the phase of a broker that was started and has not answered yet


@dataclass(frozen=True, slots=True)
class FormationFacts:
    """Where the broker stands in the RabbitMQ cluster."""

    formed: bool = False  # it is in the cluster, since its last start
    phase: str | None = None  # what is being done about it now
    problem: str | None = None  # why the last try did not succeed, a sentence


@dataclass(frozen=True, slots=True)
class ToldOfOthers:
    """What other members' agents are to be told of their nodes, in our record.

    Attributes:
        dropped: nodes that our broker has dropped by force.
        uncounted: nodes that run by their agents' word, and that ours does not count.
    """

    dropped: frozenset[str] = frozenset()
    uncounted: frozenset[str] = frozenset()


NOTHING_TOLD = ToldOfOthers()


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that a verdict is founded on."""

    watched_since: float  # since when this broker process (or, if unknown, any) has been watched
    connection: ConnectionFacts = field(default_factory=ConnectionFacts)
    process: ProcessFacts = field(default_factory=ProcessFacts)
    formation: FormationFacts = field(default_factory=FormationFacts)
    been_up: bool = False  # it has answered since ``watched_since``, be it that it turned the agent away
    let_in: bool = True  # it has let the agent in since then
    majority: MajorityFacts = field(default_factory=MajorityFacts)
    node: NodeFacts | None = None  # None: not asked, or no answer
    management: ManagementFacts = field(default_factory=ManagementFacts)
    node_name: str = ""  # this node's, as alarms name it
    cluster_size: int | None = None  # nodes that are recorded; None: not known, or not for long enough
    replicas: str | None = None  # which queues have fewer than they are to have: a sentence
    canary: str | None = None  # what is done about a canary's queue without a leader: a sentence
    split: str | None = None  # why the node and the others do not count each other in, a sentence
    doubt: str | None = None  # why that may be so, and is being asked
    split_elsewhere: str | None = None  # the same of other nodes
    starving: str | None = None  # that it feeds nobody, and that it is its turn to leave for that; a sentence
    strangers: tuple[str, ...] = ()  # in what RabbitMQ's cluster and the group's record differ: sentences
    draining: str | None = None  # why this member is being taken out of service

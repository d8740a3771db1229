"""What one turn of the agent's loop has come to, as one immutable snapshot, and the board where it is put up.

Everybody but the loop (the HTTP API, metrics, hooks, systemd's status line) knows the agent by this alone, so
that nothing of theirs can wait for the loop or keep it waiting. Times are monotonic seconds unless they are
texts.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from rabbitkeeper.agent.model.observation import ConnectionFacts
from rabbitkeeper.agent.model.verdict import Verdict
from rabbitkeeper.coordinator.model.records import HistoryEntry
from rabbitkeeper.coordinator.model.view import GroupView
from rabbitkeeper.coordinator.policy.election import Action, Decision


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """The agent's ZooKeeper session."""

    id: int  # 0: there is none
    connected_since: float | None  # None: not connected
    disconnected_since: float | None  # None: connected
    lease_until: float  # until when it is certain to live, less the margin
    timeout: float  # seconds, as the server granted it
    registered: bool  # the member's znode is there, in this session
    established_at: float | None = None  # when this session began; None: there is none

    @property
    def connected(self) -> bool:
        return self.connected_since is not None

    def lease_valid(self, now: float) -> bool:
        """Whether the session is certain to live at ``now``."""
        return now < self.lease_until


@dataclass(frozen=True, slots=True)
class BrokerFacts:
    """What the agent does with its broker's process."""

    ends: int = 0  # how often it has died, was killed, or could not be started, in this run of the agent
    start_due: float | None = None  # when it is started again; None while it runs, or is not ours to start
    step: str | None = None  # what is being done to it now


@dataclass(frozen=True, slots=True)
class AgentState:
    """One agent after one turn of its loop."""

    group: str
    name: str
    instance: str  # of this run
    node: str
    turn: int  # its number
    at: float  # when it ended
    took: float  # seconds
    verdict: Verdict
    since: str  # of the verdict's status, UTC
    decision: Decision
    sentence: str  # how the broker is, what is done and why
    session: SessionFacts
    connection: ConnectionFacts
    broker: BrokerFacts
    view: GroupView | None  # None: it is being read again
    serves: bool  # clients may use the broker if this member leads
    serves_beside: bool  # clients may use it while another leads
    lead: HistoryEntry | None = None  # the lead that this run of the agent has taken last

    @property
    def owns_lead(self) -> bool:
        """Whether the ``leader`` znode was ours when the group was last read."""
        return self.view is not None and self.view.leads(self.session.id)

    @property
    def epoch(self) -> int | None:
        """Of the leader that there is."""
        leader = None if self.view is None else self.view.leader
        return None if leader is None else leader.epoch

    @property
    def incarnation(self) -> int | None:
        """Of the group, in which the epoch counts."""
        return None if self.view is None else self.view.incarnation

    @property
    def leader(self) -> str | None:
        """The name of the member that leads."""
        leader = None if self.view is None else self.view.leader
        return None if leader is None else leader.record.name

    def leads(self, now: float) -> bool:
        """Whether this agent leads for certain at ``now``: with a lease that is valid."""
        return self.owns_lead and self.session.lease_valid(now)

    def holds_lead(self, now: float) -> bool:
        """Whether it leads, or led when it last knew and has no ZooKeeper to say otherwise."""
        return self.leads(now) or (self.owns_lead and self.decision.action is Action.HOLD)


def _nobody(_state: AgentState) -> None:
    """Nobody is to be told."""


def _no_session() -> tuple[int, float]:
    """None that anything is known of."""
    return 0, 0.0


class Board:
    """Where the loop puts up its state. Reading and writing are single assignments: nobody waits.

    Args:
        clock: monotonic seconds.

    Attributes:
        state: the last one; None before the first turn has ended.
        waiting: what the agent waits for before its loop begins, a sentence; None: it waits for nothing.
        tell: called with each new state, on the loop's thread; must return at once.
        lease: the session that there is, and until when it is certain to live (monotonic seconds); from any
            thread.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._beaten_at = clock()
        self.tell: Callable[[AgentState], None] = _nobody
        self.lease: Callable[[], tuple[int, float]] = _no_session
        self.state: AgentState | None = None
        self.waiting: str | None = None

    def wait_for(self, what: str | None) -> None:
        """The loop has not begun, and does not come round for the time being.

        Args:
            what: is waited for, a sentence; None: nothing any more.
        """
        self.waiting = what
        self.beat()

    def put_up(self, state: AgentState) -> None:
        self.state = state
        self.tell(state)

    @property
    def current(self) -> AgentState | None:
        """The last state with the lease that there is now.

        The lease is renewed while the loop waits for the answers of a slow store, which takes longer than a
        lease lasts. Whoever leads has not ceased to meanwhile.
        """
        state = self.state
        if state is None:
            return None
        session, until = self.lease()
        if session != state.session.id or until <= state.session.lease_until:
            return state
        return replace(state, session=replace(state.session, lease_until=until))

    def beat(self) -> None:
        """The loop comes round."""
        self._beaten_at = self._clock()

    @property
    def silent(self) -> float:
        """Seconds since the loop has come round, or should have begun."""
        if self.waiting is not None:
            return 0.0
        return max(0.0, self._clock() - self._beaten_at)

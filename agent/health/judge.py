"""The health judge: facts in, verdict out. Pure; it looks at nothing itself.

The order of the rules is the order of certainty: a process that is not there, then a boot or a formation
under way, then what the connection and the canary say. A verdict's reasons never contain a number that
grows, because a member's znode is written whenever its status or reasons change.
"""

from dataclasses import dataclass

from rabbitkeeper.agent.model.observation import (
    BOOTING,
    ConnectFailure,
    ConnectionFacts,
    MajorityFacts,
    NodeState,
    Observation,
)
from rabbitkeeper.agent.model.verdict import Verdict
from rabbitkeeper.agent.rabbitmq.versions import unsupported
from rabbitkeeper.coordinator.model.records import MemberStatus

BOOT_PATIENCE = 15.0  # seconds until a broker that boots is asked how far it is; most are up in 10
_TWO = 2
TWO_BROKERS = (
    "the cluster has two brokers and tolerates the loss of neither: without one of them no queue has a "
    "majority; add a third"
)
_SAYS_WHY = {
    NodeState.DRAINED: (
        MemberStatus.DRAINING,
        "its listeners are suspended by an operator (rabbitmq-upgrade drain); revive opens them",
    ),
    NodeState.DRAINED_BY_AGENT: (
        MemberStatus.DRAINING,
        "an agent has suspended its listeners for a restart that is not asked for any more: they are opened",
    ),
    NodeState.PAUSED: (
        MemberStatus.UNREACHABLE,
        "RabbitMQ has paused it: it sees no majority of its cluster, and goes on by itself when it does; "
        "if it is not back then within half a minute, it is started anew",
    ),
    NodeState.RESUMING: (
        MemberStatus.UNREACHABLE,
        "RabbitMQ had paused it, sees a majority of its cluster again and starts it; "
        "if that takes longer than half a minute, it is started anew",
    ),
    NodeState.RESUMING_APART: (
        MemberStatus.UNREACHABLE,
        "RabbitMQ had paused it and starts it again, but its database has not found those of nodes that it "
        "can reach: if that lasts for some seconds, it is started anew",
    ),
    NodeState.BOOTING: (MemberStatus.STARTING, "the broker boots inside its Erlang machine"),
    NodeState.APART: (
        MemberStatus.STARTING,
        "it was cut off when it began to boot, and waits for its cluster in vain: it is started anew",
    ),
    NodeState.STOPPED: (
        MemberStatus.STOPPED,
        "the broker is stopped inside its living Erlang machine: by stop_app, or a start that failed",
    ),
}
_DENIED = (
    "the user or its password is wrong (broker.amqp), or RabbitMQ cannot ask its authentication backend; "
    "the agent goes on trying"
)
_DENIED_SINCE = (
    "it has let its agent in before: if it does not within a minute, and finds no virtual host either, "
    "it is started again while a majority of the other brokers is well"
)
_SILENT = "its Erlang machine does not answer its tools either"


@dataclass(frozen=True, slots=True)
class HealthPolicy:
    """When a broker counts as ill. The same names and units as ``health`` in the configuration."""

    hung_after: float = 2.0  # seconds without an answer
    fall: int = 1  # failed reconnections, or canaries on a majority, until that counts
    rise: int = 1  # confirmed canaries until a broker counts as running, or as having a majority, again
    start_grace: float = 30.0  # seconds for which a broker that was never up is "starting"
    majority_interval: float = 5.0  # seconds between canaries on a majority
    majority_timeout: float = 5.0  # seconds that one may take: longer than a queue's election

    @property
    def minority_patience(self) -> float:
        """Seconds by which members can differ in noticing that there is no majority: one interval, which
        varies by a fifth, and what a busy host adds."""
        return 1.2 * self.majority_interval + 2.0


def judge(
    observation: Observation, now: float, policy: HealthPolicy, previous: Verdict | None = None
) -> Verdict:
    """Say how the broker is.

    Args:
        observation: what is known now.
        now: seconds, monotonic.
        policy: what is tolerated.
        previous: the verdict before, None for the first. It matters in two places: a broker that was well
            stays so while its connection is being made again, and ``since`` is carried on.

    Returns:
        The verdict; its ``since`` is that of ``previous`` while the status stays the same.
    """
    status, reasons = _status(observation, now, policy, previous)
    since = previous.since if previous is not None and previous.status is status else now
    return Verdict(status, reasons, since, _warnings(observation))


def _alarms(observation: Observation) -> tuple[str, ...]:
    """Whose alarm it is, as far as that is known: it blocks publishers on every node of the cluster."""
    return tuple(
        f"{alarm.what} alarm on "
        + (f"this node, {alarm.node}" if alarm.node == observation.node_name else alarm.node)
        for alarm in observation.management.alarms
    )


def _warnings(observation: Observation) -> tuple[str, ...]:
    management = observation.management
    warnings = [TWO_BROKERS] if observation.cluster_size == _TWO else []
    if observation.connection.up_since is not None:  # otherwise what was said is of the past
        warnings += management.failed
        if observation.connection.blocked is None:
            warnings += _alarms(observation)
    version = unsupported(observation.connection.version)
    of_cluster = (observation.canary, observation.replicas, observation.split_elsewhere)
    for more in (version, management.problem, *of_cluster):
        if more is not None:
            warnings.append(more)
    return (*warnings, *observation.strangers)


def worth_asking(observation: Observation, now: float, policy: HealthPolicy) -> bool:
    """Whether a broker that runs refuses connections, nothing is being done to it, and it has had its time.

    Args:
        observation, now, policy: as in :func:`judge`.
    """
    connection = observation.connection
    patience = BOOT_PATIENCE if observation.formation.phase == BOOTING else policy.start_grace
    return (
        connection.up_since is None
        and connection.failure is ConnectFailure.REFUSED
        and observation.process.running is not False
        and observation.draining is None
        and observation.formation.phase in (None, BOOTING)
        and (observation.been_up or now >= observation.watched_since + patience)
    )


def _status(
    observation: Observation, now: float, policy: HealthPolicy, previous: Verdict | None
) -> tuple[MemberStatus, tuple[str, ...]]:
    process, formation = observation.process, observation.formation
    if process.running is False:
        return _not_running(observation)
    if observation.draining is not None:
        return MemberStatus.DRAINING, (observation.draining,)
    connected = observation.connection.up_since is not None
    apart = not connected and observation.node is not None and observation.node.state is NodeState.APART
    if formation.phase is not None and not apart:
        return MemberStatus.STARTING, (formation.phase,)
    if not connected:
        return _not_connected(observation, now, policy, previous)
    if not formation.formed and observation.connection.silent < policy.hung_after:
        return MemberStatus.STARTING, (formation.problem or "not in the cluster yet",)
    return _connected(observation, policy, previous)


def _not_running(observation: Observation) -> tuple[MemberStatus, tuple[str, ...]]:
    process, formation = observation.process, observation.formation
    if formation.phase is not None:
        return MemberStatus.STARTING, (formation.phase,)
    reasons = [process.problem or process.exited or "the broker is not running"]
    if process.given_up is not None:
        reasons += [process.given_up, *(f"its log: {line}" for line in process.last_lines)]
    return MemberStatus.STOPPED, tuple(reasons)


def _connected(
    observation: Observation, policy: HealthPolicy, previous: Verdict | None
) -> tuple[MemberStatus, tuple[str, ...]]:
    connection = observation.connection
    if connection.silent >= policy.hung_after:
        return MemberStatus.HUNG, (f"no answer to a canary within {policy.hung_after:g} s",)
    if connection.blocked is not None:
        return MemberStatus.ALARMED, (f"publishers are blocked: {connection.blocked}", *_alarms(observation))
    if connection.confirmed < policy.rise and not (previous is not None and previous.well):
        canaries = "a canary" if policy.rise == 1 else f"{policy.rise} canaries in a row"
        return MemberStatus.STARTING, (f"connected, waiting for {canaries} to be confirmed",)
    status, reasons = _with_majority(observation.majority, policy, previous)
    if status is MemberStatus.RUNNING and observation.split is not None:
        return MemberStatus.SPLIT, (observation.split,)
    if status is MemberStatus.RUNNING and observation.doubt is not None:
        return MemberStatus.STARTING, (observation.doubt,)
    if status is MemberStatus.RUNNING and observation.starving is not None:
        return MemberStatus.STARVING, (observation.starving,)
    return status, reasons


def _with_majority(
    majority: MajorityFacts, policy: HealthPolicy, previous: Verdict | None
) -> tuple[MemberStatus, tuple[str, ...]]:
    before = previous if previous is not None and previous.status is MemberStatus.MINORITY else None
    if before is not None and majority.confirmed < policy.rise:
        return before.status, before.reasons  # the answers may differ from one canary to the next
    if majority.failed >= policy.fall:
        return MemberStatus.MINORITY, (majority.error or "no majority confirms a message",)
    return MemberStatus.RUNNING, ()


def _not_connected(
    observation: Observation, now: float, policy: HealthPolicy, previous: Verdict | None
) -> tuple[MemberStatus, tuple[str, ...]]:
    connection = observation.connection
    if observation.node is not None and observation.node.state in _SAYS_WHY:
        status, reason = _SAYS_WHY[observation.node.state]
        return status, (reason,)
    if not observation.been_up and now < observation.watched_since + policy.start_grace:
        return MemberStatus.STARTING, (_why(connection, "connecting for the first time"),)
    # While its vhosts and users are being made, a new broker may stand still on a busy host.
    new = connection.failure is ConnectFailure.SILENT and not observation.let_in
    if new and connection.silent < max(policy.hung_after, BOOT_PATIENCE):
        return MemberStatus.STARTING, (_why(connection, "it does not answer yet"),)
    if connection.silent >= policy.hung_after:
        return MemberStatus.HUNG, (f"accepts connections and answers none within {policy.hung_after:g} s",)
    if connection.failure is ConnectFailure.NO_VHOST and not (previous is not None and previous.well):
        return MemberStatus.STARTING, (_why(connection, "the agents' vhost is missing"),)
    if previous is not None and previous.well and connection.failures < policy.fall:
        return previous.status, previous.reasons
    silent = observation.node is not None and observation.node.state is NodeState.SILENT
    why = _why(connection, "the connection broke")
    if connection.failure is ConnectFailure.DENIED:
        return MemberStatus.UNREACHABLE, (why, _DENIED, *((_DENIED_SINCE,) if observation.let_in else ()))
    return MemberStatus.UNREACHABLE, (why, _SILENT) if silent else (why,)


def _why(connection: ConnectionFacts, otherwise: str) -> str:
    return connection.error if connection.error is not None else otherwise

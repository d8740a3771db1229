"""States of an agent made by hand, for what reads nothing else."""

from types import MappingProxyType

from rabbitkeeper.agent.loop.cluster_mode import ClusterMode
from rabbitkeeper.agent.model.observation import ConnectionFacts
from rabbitkeeper.agent.model.state import AgentState, BrokerFacts, SessionFacts
from rabbitkeeper.agent.model.verdict import Verdict
from rabbitkeeper.coordinator.model.records import (
    HistoryEntry,
    LeaderRecord,
    MemberRecord,
    MemberStatus,
    PauseRecord,
    Versions,
)
from rabbitkeeper.coordinator.model.view import (
    ClusterView,
    GroupView,
    LeaderView,
    MaintenanceView,
    MemberView,
    SwitchoverView,
)
from rabbitkeeper.coordinator.policy.election import Action, Decision

GROUP, NAME = "orders", "node1"
OUR_SESSION = 11
SINCE = "2026-01-31T12:00:00.000Z"
NOW = 1000.0  # seconds, monotonic
CONNECTION = ConnectionFacts(up_since=NOW - 8, confirmed=3, latency=0.002, version="3.10.8")


def _owner(name: str) -> int:
    """The session of a member: ours has one, the others have theirs."""
    return OUR_SESSION if name == NAME else 1000 + sum(name.encode())


def member(name: str, state: MemberStatus = MemberStatus.RUNNING, *reasons: str) -> MemberView:
    record = MemberRecord(
        name=name,
        instance=f"{name}-1",
        node=f"rabbit@{name}",
        versions=Versions(agent="0.1.0", rabbitmq="3.10.8"),
        amqp=f"{name}:5672",
        state=state,
        reasons=reasons,
        since=SINCE,
    )
    return MemberView(record, version=1, owner=_owner(name))


def leader(name: str, epoch: int = 7, cause: str = "broker unreachable") -> LeaderView:
    record = LeaderRecord(
        name=name, instance=f"{name}-1", node=f"rabbit@{name}", amqp=f"{name}:5672", since=SINCE, cause=cause
    )
    return LeaderView(record, epoch, version=0, owner=_owner(name))


def view(
    lead: LeaderView | None = None,
    *members: MemberView,
    leader_unreadable: str | None = None,
    cluster: ClusterView | None = None,
    pause: PauseRecord | None = None,
    switchover: SwitchoverView | None = None,
    maintenance: MaintenanceView | None = None,
    problems: tuple[str, ...] = (),
) -> GroupView:
    there = members or (member(NAME), member("node2"), member("node3"))
    return GroupView(
        read_at=NOW,
        leader=lead,
        leader_unreadable=leader_unreadable,
        members=MappingProxyType({one.record.name: one for one in there}),
        cluster=cluster,
        pause=pause,
        switchover=switchover,
        maintenance=maintenance,
        problems=problems,
    )


def state(
    status: MemberStatus = MemberStatus.RUNNING,
    *reasons: str,
    view: GroupView | None = None,
    action: Action = Action.FOLLOW,
    decision: Decision | None = None,
    lease_left: float = 4.0,
    connected: bool = True,
    connection: ConnectionFacts = CONNECTION,
    lead: HistoryEntry | None = None,
) -> AgentState:
    """Of :data:`NAME`, after a turn that ended at :data:`NOW`."""
    decided = decision or Decision(action, "as decided")
    return AgentState(
        group=GROUP,
        name=NAME,
        instance=f"{NAME}-1",
        node=f"rabbit@{NAME}",
        turn=1,
        at=NOW,
        took=0.001,
        verdict=Verdict(status, reasons, NOW - 5),
        since=SINCE,
        decision=decided,
        sentence=f"the broker is {status}; {decided.reason}",
        session=SessionFacts(
            id=OUR_SESSION,
            connected_since=NOW - 9 if connected else None,
            disconnected_since=None if connected else NOW - 3,
            lease_until=NOW + lease_left,
            timeout=5.5,
            registered=True,
        ),
        connection=connection,
        broker=BrokerFacts(),
        view=view,
        serves=ClusterMode.admits(status, leads=True),
        serves_beside=ClusterMode.admits(status, leads=False),
        lead=lead,
    )

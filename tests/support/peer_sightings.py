"""What an agent on node a knows of its peers b and c, made by hand."""

from dataclasses import replace

from rabbitkeeper.agent.cluster.suspects import PeerSighting
from rabbitkeeper.coordinator.model.records import (
    ClusterNode,
    ClusterRecord,
    MemberRecord,
    MemberStatus,
    PauseRecord,
    Tags,
    Versions,
)
from rabbitkeeper.coordinator.model.view import GroupView, MemberView

NODES = ("rabbit@a", "rabbit@b", "rabbit@c")
CLUSTER = ClusterRecord(
    founder="rabbit@a", formed="", nodes={node: ClusterNode(member=node[-1], joined="") for node in NODES}
)


def member(name: str, state: MemberStatus = MemberStatus.RUNNING) -> MemberView:
    record = MemberRecord(
        name=name,
        instance="1",
        node=f"rabbit@{name}",
        versions=Versions(agent="0"),
        amqp=f"{name}:5672",
        amqps=None,
        api=None,
        state=state,
        reasons=(),
        since="",
        tags=Tags(priority=100, site=None, no_failover=False),
        load={},
    )
    return MemberView(record, version=0, owner=1)


def view(*members: MemberView, pause: PauseRecord | None = None) -> GroupView:
    return GroupView(0.0, members={each.record.name: each for each in members}, pause=pause)


ALL = PeerSighting(
    node="rabbit@a",
    cluster=CLUSTER,
    view=view(member("a"), member("b"), member("c")),
    broker_up=True,
    registered=True,
    connected_since=0.0,
    lease_valid=True,
)
B_GONE = replace(ALL, view=view(member("a"), member("c")))
CUT_OFF = replace(ALL, connected_since=None, lease_valid=False)

"""When a group is ready, and what is said while it is not."""

import pytest

from rabbitkeeper.compose.local.readiness import founded, ready
from rabbitkeeper.coordinator.model.records import (
    ClusterRecord,
    LeaderRecord,
    MemberRecord,
    MemberStatus,
    Versions,
)
from rabbitkeeper.coordinator.model.view import ClusterView, GroupView, LeaderView, MemberView

NOW = "2026-01-01T00:00:00.000Z"


def member(name: str, status: MemberStatus = MemberStatus.RUNNING, *reasons: str) -> MemberView:
    record = MemberRecord(
        name=name,
        instance="1",
        node=f"rabbit@{name}",
        versions=Versions(agent="0"),
        amqp=None,
        state=status,
        reasons=reasons,
        since=NOW,
    )
    return MemberView(record, version=0, owner=1)


LEADER = LeaderView(
    LeaderRecord(name="a", instance="1", node="rabbit@a", amqp=None, since=NOW, cause="first leader"),
    epoch=1,
    version=0,
    owner=1,
)


def group(*members: MemberView, leader: LeaderView | None = LEADER) -> GroupView:
    return GroupView(0.0, leader=leader, members={each.record.name: each for each in members})


def test_ready_is_a_leader_and_everybody_running() -> None:
    assert ready(["a", "b"])(group(member("a"), member("b"))) is None


@pytest.mark.parametrize(
    ("view", "missing"),
    [
        (group(member("a")), "b: not registered"),
        (group(member("a"), member("b"), leader=None), "nobody leads"),
        (group(member("a"), member("b", MemberStatus.STARTING, "booting")), "b: starting (booting)"),
        (group(leader=None), "a: not registered, b: not registered"),
    ],
)
def test_what_is_missing_is_said(view: GroupView, missing: str) -> None:
    assert missing in (ready(["a", "b"])(view) or "")


def test_founded_is_a_recorded_cluster() -> None:
    assert "nobody is registered" in (founded(group()) or "")
    record = ClusterRecord(founder="rabbit@a", formed=NOW, nodes={})
    assert founded(GroupView(0.0, cluster=ClusterView(record, 0))) is None

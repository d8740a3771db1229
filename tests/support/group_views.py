"""Snapshots of a group, made by hand for what decides on them: members a, b and c, of which a is ours."""

from dataclasses import replace
from types import MappingProxyType

from rabbitkeeper.coordinator.model.records import (
    HistoryEntry,
    LeaderRecord,
    MemberRecord,
    MemberStatus,
    OperationKind,
    PauseRecord,
    SwitchoverRecord,
    Tags,
    Versions,
)
from rabbitkeeper.coordinator.model.view import GroupView, LeaderView, MemberView, SwitchoverView
from rabbitkeeper.coordinator.policy.election import MemberState

NOW = 1000.0
MINE, OTHER, THIRD = 0x1, 0x2, 0x3
RUNNING = MemberStatus.RUNNING


def member(name: str, owner: int, state: MemberStatus = RUNNING, **tags: object) -> MemberView:
    record = MemberRecord(
        name=name,
        instance=f"{name}-1",
        node=f"rabbit@{name}",
        versions=Versions(agent="1"),
        amqp=f"{name}:5672",
        state=state,
        since="",
        tags=Tags.model_validate(tags),
    )
    return MemberView(record, version=0, owner=owner)


def leader(name: str, owner: int, epoch: int = 7) -> LeaderView:
    record = LeaderRecord(
        name=name, instance=f"{name}-1", node=f"rabbit@{name}", amqp=f"{name}:5672", since="", cause=""
    )
    return LeaderView(record, epoch=epoch, version=0, owner=owner)


def change(to: str) -> HistoryEntry:
    return HistoryEntry(epoch=5, previous=None, to=to, node="", cause="", by=to, at="")


def view(*members: MemberView, **fields: object) -> GroupView:
    by_name = MappingProxyType({one.record.name: one for one in members})
    return replace(GroupView(read_at=NOW, members=by_name), **fields)  # type: ignore[arg-type]


ME = MemberState(
    name="a",
    instance="a-1",
    session=MINE,
    status=RUNNING,
    reasons=(),
    status_since=0.0,
    connected=True,
    lease_valid=True,
    session_established_at=0.0,
    disconnected_since=None,
    registered=True,
    tags=Tags(),
    vacant_since=NOW,
    connected_since=0.0,
)
A, B, C = member("a", MINE), member("b", OTHER), member("c", THIRD)
PAUSE = PauseRecord(by="ann", since="")


def asked(
    to: str | None = "b",
    *,
    epoch: int | None = 7,
    previous: str | None = "a",
    kind: OperationKind = OperationKind.SWITCHOVER,
    at: str | None = None,
) -> SwitchoverView:
    record = SwitchoverRecord.model_validate(
        {
            "id": "op1",
            "kind": kind,
            "from": previous,
            "epoch": epoch,
            "to": to,
            "at": at,
            "by": "ann",
            "reason": None,
            "requested": "",
        }
    )
    return SwitchoverView(record, 0)

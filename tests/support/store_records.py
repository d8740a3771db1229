"""Records that a test of the store writes, and what it looks at."""

from rabbitkeeper.coordinator.backend.node import Node
from rabbitkeeper.coordinator.model.records import (
    HistoryEntry,
    LeaderRecord,
    MemberRecord,
    MemberStatus,
    Versions,
    utcnow,
)
from rabbitkeeper.coordinator.model.view import LeaderView
from rabbitkeeper.coordinator.store.store import Store


def member(name: str, instance: str = "1", state: MemberStatus = MemberStatus.RUNNING) -> MemberRecord:
    return MemberRecord(
        name=name,
        instance=instance,
        node=f"rabbit@{name}",
        versions=Versions(agent="0.1.0"),
        amqp=f"{name}:5672",
        state=state,
        since=utcnow(),
    )


def leader(name: str, cause: str = "first leader") -> LeaderRecord:
    return LeaderRecord(
        name=name, instance="1", node=f"rabbit@{name}", amqp=f"{name}:5672", since=utcnow(), cause=cause
    )


def change(epoch: int, to: str = "a") -> HistoryEntry:
    return HistoryEntry(
        epoch=epoch, previous=None, to=to, node=f"rabbit@{to}", cause="test", by=to, at=utcnow()
    )


def there(store: Store, path: str) -> Node:
    znode = store.backend.read([path])[path]
    assert znode is not None
    return znode


def led(store: Store) -> LeaderView:
    view = store.snapshot(watch=False)
    assert view.leader is not None
    return view.leader

"""The demo's group as a test looks at it: who led in what order, and whether every message arrived."""

from rabbitkeeper.compose.demo.local_traffic import LocalTraffic
from rabbitkeeper.compose.demo.observer import Observer
from rabbitkeeper.compose.demo.timeline import ObservedLeader
from rabbitkeeper.compose.local import Local
from rabbitkeeper.coordinator.connect import backend_at
from rabbitkeeper.coordinator.model.records import MemberStatus
from rabbitkeeper.coordinator.store.store import Store
from support.waiting import wait_for


def nothing_is_lost(load: LocalTraffic) -> None:
    """Every message was confirmed and delivered."""
    assert load.finish(60) == frozenset()
    load.check()
    totals = load.totals()
    assert load.failures == ()
    assert totals.confirmed == totals.published == totals.delivered


def whole(observer: Observer) -> ObservedLeader:
    """The leader, once the group is whole."""
    wait_for(observer.is_whole, "the group is whole", 120)
    return observer.leaders[-1]


def state(observer: Observer, member: str) -> MemberStatus | None:
    """What is known of a member; None if it is not registered."""
    view = observer.view
    seen = None if view is None else view.members.get(member)
    return None if seen is None else seen.record.state


def reasons(observer: Observer, member: str) -> str:
    view = observer.view
    seen = None if view is None else view.members.get(member)
    return "" if seen is None else "; ".join(seen.record.reasons)


def the_history_agrees(local: Local, observer: Observer) -> None:
    """Each epoch once and in order, and all that were seen to lead are in the history as they were seen.

    A leader writes its entry just after it has taken the lead, so the last one is waited for.
    """
    seen = {each.epoch: each.member for each in observer.leaders}
    assert list(seen) == sorted(seen)
    session = backend_at(local.zookeeper_hosts, name="test-history")
    session.start(10)
    try:
        store = Store(session, local.group)
        wait_for(
            lambda: any(entry.epoch == max(seen) for entry in store.history()),
            "the last leader is in the history",
        )
        written = {entry.epoch: entry.to for entry in store.history()}
    finally:
        session.close()
    epochs = list(written)
    assert epochs == sorted(set(epochs))
    assert {epoch: written.get(epoch) for epoch in seen} == seen

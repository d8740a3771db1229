"""Every state of a real group, as it comes: for tests that wait until agents have done something."""

import threading
import time
from collections.abc import Callable

from rabbitkeeper.coordinator.connect import backend_at
from rabbitkeeper.coordinator.model.errors import CoordinationError
from rabbitkeeper.coordinator.model.records import MemberStatus
from rabbitkeeper.coordinator.model.view import GroupView
from rabbitkeeper.coordinator.store.reader import GroupReader, groups

PATIENCE = 60.0  # seconds; a broker boots in eight, on a busy host in more


class Watch:
    """Sees every state of a group that lasts, in the order of ZooKeeper."""

    def __init__(self, hosts: str, group: str) -> None:
        self._bell = threading.Event()
        self._session = backend_at(hosts, wake=self._bell.set, name="test")
        self._session.start(10)
        self._reader = GroupReader(self._session, group)
        self.view: GroupView | None = None

    def close(self) -> None:
        self._session.close()

    def groups(self) -> tuple[str, ...]:
        """The groups that there are in this ZooKeeper."""
        return groups(self._session)

    def until(
        self, condition: Callable[[GroupView], bool], what: str, timeout: float = PATIENCE
    ) -> tuple[GroupView, float]:
        """Wait until the group is as wanted; the view, and after how many seconds it was seen."""
        started = time.monotonic()
        while time.monotonic() - started < timeout:
            self._bell.clear()
            self._session.renew()
            try:
                self.view = self._reader.read()
            except CoordinationError:  # ZooKeeper is away, or the group not there yet
                self._bell.wait(0.1)
                continue
            if condition(self.view):
                return self.view, time.monotonic() - started
            self._bell.wait(0.2)
        raise AssertionError(f"not within {timeout:g} s: {what}; last seen: {_told(self.view)}")

    def leader(self, timeout: float = PATIENCE) -> GroupView:
        """The group once it has a leader and every member that is registered runs."""
        return self.until(
            lambda view: view.leader is not None and set(states(view).values()) == {MemberStatus.RUNNING},
            "there is a leader, and everybody runs",
            timeout,
        )[0]


def _told(view: GroupView | None) -> str:
    """A snapshot as a person wants it who reads why a test failed."""
    if view is None:
        return "nothing"
    members = [
        f"{name} {its.record.state} since {its.record.since}"
        + "".join(f" ({each})" for each in (*its.record.reasons, *its.record.warnings))
        for name, its in sorted(view.members.items())
    ]
    leader = "nobody leads" if view.leader is None else f"{leader_of(view)} leads"
    requests = [str(each) for each in (view.maintenance, view.switchover, view.pause) if each is not None]
    return "; ".join([leader, *members, *requests, *map(str, view.problems)])


def states(view: GroupView) -> dict[str, MemberStatus]:
    return {name: member.record.state for name, member in view.members.items()}


def epoch(view: GroupView) -> int | None:
    return None if view.leader is None else view.leader.epoch


def leader_of(view: GroupView) -> str | None:
    return None if view.leader is None else view.leader.record.name

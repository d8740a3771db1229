"""The demo's eye: reads the group from ZooKeeper again and again, as any client could."""

import threading
import time
from dataclasses import dataclass

from rabbitkeeper.coordinator.errors import CoordinationError
from rabbitkeeper.coordinator.records import MemberStatus
from rabbitkeeper.coordinator.session import Session
from rabbitkeeper.coordinator.snapshot import GroupReader
from rabbitkeeper.coordinator.view import GroupView

REREAD = 0.5  # seconds at the most between two reads


@dataclass(frozen=True, slots=True)
class LeaderSeen:
    """A leader's znode, and when it was first seen (seconds, monotonic)."""

    member: str
    epoch: int
    at: float


class Observer:
    """Watches a group on a thread of its own."""

    def __init__(self, zookeeper: str, group: str, members: tuple[str, ...]) -> None:
        self.members = members
        self.view: GroupView | None = None
        self.leaders: list[LeaderSeen] = []
        self._wake = threading.Event()
        self._stopping = False
        self._session = Session(zookeeper, wake=self._wake.set, name="demo-observer")
        self._reader = GroupReader(self._session, group, with_history=False)
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)

    def start(self) -> None:
        self._session.start()
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(5)
        self._session.close()

    @property
    def leader(self) -> str | None:
        """Who leads now."""
        view = self.view
        return None if view is None or view.leader is None else view.leader.record.name

    def elected_since(self, moment: float) -> LeaderSeen | None:
        """The first leader that was announced after ``moment``."""
        return next((seen for seen in self.leaders if seen.at > moment), None)

    def is_whole(self) -> bool:
        """There is a leader, and every member runs."""
        view = self.view
        if view is None or view.leader is None:
            return False
        states = {name: member.record.state for name, member in view.members.items()}
        return all(states.get(name) is MemberStatus.RUNNING for name in self.members)

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(REREAD)
            self._wake.clear()
            self._session.renew()
            try:
                self._saw(self._reader.read(watch=True))
            except CoordinationError:
                continue  # the next read will tell; the demo shows the last view until then

    def _saw(self, view: GroupView) -> None:
        self.view = view
        leader = view.leader
        if leader is not None and (not self.leaders or self.leaders[-1].epoch < leader.epoch):
            self.leaders.append(LeaderSeen(leader.record.name, leader.epoch, time.monotonic()))

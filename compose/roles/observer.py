"""The demo's eye: tells what it has ``seen`` in ZooKeeper, and when: the leader and the members."""

import signal
import threading
import time
from typing import Any

from rabbitkeeper.compose.demo.observer import Observer
from rabbitkeeper.compose.demo.timeline import GroupState
from rabbitkeeper.compose.roles import environment
from rabbitkeeper.compose.roles.output import OutputWriter
from rabbitkeeper.coordinator.backend.access import BackendAccess
from rabbitkeeper.coordinator.model.errors import ZooKeeperUnreachable


class ReportingObserver(Observer):
    """Keeps each state that differs from the one before until it has been told."""

    def __init__(self, zookeeper: str, group: str, members: tuple[str, ...], access: BackendAccess) -> None:
        super().__init__(zookeeper, group, members, access)
        self._untold: list[dict[str, Any]] = []

    def record(self, state: GroupState, at: float) -> None:
        if state != self.now:
            members = {name: [seen.state, *seen.reasons] for name, seen in state.members.items()}
            self._untold.append(
                {
                    "at": round(at, 4),
                    "leader": state.leader,
                    "epoch": state.epoch,
                    "incarnation": state.incarnation,
                    "members": members,
                }
            )
        super().record(state, at)

    def news(self) -> dict[str, Any]:
        told = self._untold[:]  # only this thread takes away, only the other one adds
        del self._untold[: len(told)]
        return {"seen": told} if told else {}


def main() -> None:
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    observer = ReportingObserver(
        environment.zookeeper(), environment.group(), environment.members(), environment.access()
    )
    writer = OutputWriter(observer.news)
    while not stopping.is_set():
        try:
            observer.start()
            break
        except ZooKeeperUnreachable as error:
            environment.wait_because(error)
    writer.start()
    while not stopping.is_set():
        time.sleep(0.1)
    writer.stop()
    observer.stop()


if __name__ == "__main__":
    main()

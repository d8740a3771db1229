"""The demo's eye: tells what it has ``seen`` in ZooKeeper: leader, epoch and members, and when that was."""

import signal
import threading
import time
from typing import Any

from rabbitkeeper.compose.demo.observer import Observer
from rabbitkeeper.compose.demo.sightings import Sighting
from rabbitkeeper.compose.roles import surroundings
from rabbitkeeper.compose.roles.telling import Teller
from rabbitkeeper.coordinator.model.errors import ZooKeeperUnreachable


class TellingObserver(Observer):
    """Keeps each sighting that differs from the one before until it has been told."""

    def __init__(self, zookeeper: str, group: str, members: tuple[str, ...]) -> None:
        super().__init__(zookeeper, group, members)
        self._untold: list[dict[str, Any]] = []

    def saw(self, sighting: Sighting, at: float) -> None:
        if sighting != self.now:
            members = {name: [seen.state, *seen.reasons] for name, seen in sighting.members.items()}
            self._untold.append(
                {
                    "at": round(at, 4),
                    "leader": sighting.leader,
                    "epoch": sighting.epoch,
                    "members": members,
                }
            )
        super().saw(sighting, at)

    def news(self) -> dict[str, Any]:
        told = self._untold[:]  # only this thread takes away, only the other one adds
        del self._untold[: len(told)]
        return {"seen": told} if told else {}


def main() -> None:
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    observer = TellingObserver(surroundings.zookeeper(), surroundings.group(), surroundings.members())
    teller = Teller(observer.news)
    while not stopping.is_set():
        try:
            observer.start()
            break
        except ZooKeeperUnreachable as error:
            surroundings.wait_because(error)
    teller.start()
    while not stopping.is_set():
        time.sleep(0.1)
    teller.stop()
    observer.stop()


if __name__ == "__main__":
    main()

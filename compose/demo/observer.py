"""The demo's eye: reads the group from ZooKeeper again and again, as any client could."""

import threading
import time

from rabbitkeeper.compose.demo.timeline import GroupState, GroupTimeline
from rabbitkeeper.coordinator.backend.access import ANYBODY, BackendAccess
from rabbitkeeper.coordinator.connect import backend_at
from rabbitkeeper.coordinator.model.errors import CoordinationError
from rabbitkeeper.coordinator.model.view import GroupView
from rabbitkeeper.coordinator.store.reader import GroupReader

REREAD = 0.5  # seconds at the most between two reads


class Observer(GroupTimeline):
    """Watches a group on a thread of its own."""

    def __init__(
        self, zookeeper: str, group: str, members: tuple[str, ...], access: BackendAccess = ANYBODY
    ) -> None:
        super().__init__(members)
        self.view: GroupView | None = None
        self._wake = threading.Event()
        self._stopping = False
        self._session = backend_at(zookeeper, wake=self._wake.set, access=access, name="demo-observer")
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

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(REREAD)
            self._wake.clear()
            self._session.renew()
            try:
                self.view = self._reader.read(watch=True)
            except CoordinationError:
                continue  # the next read will tell; the demo shows the last view until then
            self.record(GroupState.of(self.view), time.monotonic())

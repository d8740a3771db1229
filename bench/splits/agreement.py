"""``bench endurance --agreement``: for how long a group calls itself whole while its nodes disagree."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from rabbitkeeper.agent.rabbitmq.ctl import RabbitmqCtlError
from rabbitkeeper.compose.demo.observer import Observer
from rabbitkeeper.compose.local import Local

EVERY = 1.0  # seconds between two looks


class Agreement:
    """Asks each node for its cluster, on a thread of its own, for as long as the group says that all run.

    Attributes:
        disagreed: seconds for which the group called itself whole, at the longest, until its nodes agreed; in
            it is the time that the tools take to ask.
        looks: how often all nodes were asked.
    """

    def __init__(self, local: Local, observer: Observer) -> None:
        self.disagreed = 0.0
        self.looks = 0
        self._local = local
        self._observer = observer
        self._nodes = frozenset(local.node(member) for member in local.members)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="agreement", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def finish(self) -> None:
        """Look once more, and end."""
        self._ending.set()
        self._thread.join()

    def _watch(self) -> None:
        well_since: float | None = None
        with ThreadPoolExecutor(len(self._nodes)) as pool:
            while True:
                last = self._ending.is_set()
                if not self._observer.is_whole():
                    well_since = None
                else:
                    well_since = time.monotonic() if well_since is None else well_since
                    agree = all(pool.map(self._sees_all, self._local.members))
                    self.looks += 1
                    if not self._observer.is_whole():
                        agree = True  # by now it says that it is not
                    if not agree:
                        self.disagreed = max(self.disagreed, time.monotonic() - well_since)
                    well_since = None if agree else well_since
                if last and well_since is None:
                    return
                self._ending.wait(EVERY)
                if last:
                    time.sleep(EVERY)

    def _sees_all(self, member: str) -> bool:
        try:
            status = self._local.ctl(member).cluster_status()
        except RabbitmqCtlError:
            return False
        return status.running == self._nodes and not status.partitions

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
    """

    def __init__(self, local: Local, observer: Observer) -> None:
        self.disagreed = 0.0
        self._local = local
        self._observer = observer
        self._nodes = frozenset(local.node(member) for member in local.members)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="agreement", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def finish(self) -> None:
        """Look once more, and until they agree, and end."""
        self._ending.set()
        self._thread.join()

    def _watch(self) -> None:
        since: float | None = None  # it calls itself whole, and its nodes do not agree
        ending = False
        with ThreadPoolExecutor(len(self._nodes)) as pool:
            while not ending or since is not None:
                ending = self._ending.wait(EVERY)
                began = time.monotonic() if since is None else since
                since = began if self._disagrees(pool) else None
                if since is not None:
                    self.disagreed = max(self.disagreed, time.monotonic() - since)

    def _disagrees(self, pool: ThreadPoolExecutor) -> bool:
        if not self._observer.is_whole() or all(pool.map(self._sees_all, self._local.members)):
            return False
        return self._observer.is_whole()  # else it says by now that it is not

    def _sees_all(self, member: str) -> bool:
        try:
            status = self._local.ctl(member).cluster_status()
        except RabbitmqCtlError:
            return False
        return status.running == self._nodes and not status.partitions

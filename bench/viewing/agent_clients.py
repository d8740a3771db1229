"""Clients that find their group through one agent, without their connections to brokers."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from rabbitkeeper.client.discovery.agent_address import check_agents
from rabbitkeeper.client.discovery.agent_watch import AgentWatch, agent_watch
from rabbitkeeper.client.model.errors import AgentsUnreachable
from rabbitkeeper.client.model.events import AgentsLost, Event
from rabbitkeeper.client.routing.listener import Listener

_AT_ONCE = 16  # that start at the same time
_START = 30.0  # seconds for each


class AgentClients:
    """So many of them, from :meth:`start` to :meth:`stop`, each with its watch on a thread.

    Args:
        url: the agent's.
        group: that it tells of.
        count: how many.
    """

    def __init__(self, url: str, group: str, count: int) -> None:
        self._agents = check_agents([url])
        self._group = group
        self._count = count
        self._lock = threading.Lock()
        self._watches: list[AgentWatch] = []
        self.answers: list[float] = []  # seconds that the first answer took
        self.failures: list[str] = []

    @property
    def listening(self) -> int:
        """How many know the group."""
        return len(self._watches)

    def start(self) -> None:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self._begin, range(self._count)))

    def stop(self) -> None:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(AgentWatch.stop, self._watches))

    def _begin(self, number: int) -> None:
        watch = agent_watch(self._agents, self._group, token=None, ca=None, name=f"client-{number}")
        watch.add(Listener(lambda _targets: None, self._emit))
        began = time.perf_counter()
        try:
            watch.start(_START)
        except AgentsUnreachable as error:
            self.failures.append(f"client {number}: {error}")
            return
        with self._lock:
            self.answers.append(time.perf_counter() - began)
            self._watches.append(watch)

    def _emit(self, event: Event) -> None:
        if isinstance(event, AgentsLost):
            self.failures.append(str(event))

"""``bench failover --discovery`` and ``--asyncio``: two of our clients over the same faults."""

import asyncio
import statistics
import threading
import time
from concurrent.futures import Future
from typing import Protocol

from common import wait

from rabbitkeeper.client import AsyncClient, Client, Queue, RabbitKeeperError, Receipt, events
from rabbitkeeper.compose.demo.message_log import longest_pause
from rabbitkeeper.compose.demo.observer import Observer
from rabbitkeeper.compose.local import Local

FAULTS = {"broker": Local.kill_broker, "hung": Local.stop_broker, "node": Local.kill_node}
WINDOW = {"broker": 4.0, "hung": 8.0, "node": 8.0}  # seconds in which the gap is looked for
PERIOD = 0.005  # seconds between two publishes
SETTLE = 3.0  # seconds of publishing before a fault
PATIENCE = 180.0  # seconds for any one wait
WITHIN = 0.1  # seconds by which the medians of two discoveries may differ
AT_MOST = 1.1  # times the gap of Client
BODY = b"x" * 256
SHORT = {"x-max-length": 1000}


class Publisher(Protocol):
    """One client that publishes all the time. ``confirmed`` has the moments of its confirms."""

    confirmed: list[float]

    def moved_after(self, struck: float) -> float:
        """Seconds until it went over another connection."""

    def stop(self) -> None: ...


class _Switches:
    """When a client went over another connection."""

    def __init__(self) -> None:
        self.confirmed: list[float] = []
        self._switched: list[float] = []

    def moved_after(self, struck: float) -> float:
        return next((at - struck for at in self._switched[:] if at > struck), float("inf"))

    def note(self, event: events.Event) -> None:
        if isinstance(event, events.Switched):
            self._switched.append(time.monotonic())


class ThreadPublisher(_Switches):
    """A :class:`Publisher` with ``Client``."""

    def __init__(self, client: Client, queue: str) -> None:
        super().__init__()
        self._client = client
        self._queue = queue
        client.declare(Queue(queue, arguments=SHORT))
        client.on_event(self.note)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._client.close()

    def _run(self) -> None:
        while not self._stopping.wait(PERIOD):
            future = self._client.publish_nowait("", self._queue, BODY, timeout=120.0)
            future.add_done_callback(self._done)

    def _done(self, future: Future[Receipt]) -> None:
        if future.exception() is None:
            self.confirmed.append(time.monotonic())


class AsyncPublisher(_Switches):
    """A :class:`Publisher` with ``AsyncClient``, whose event loop has a thread of its own."""

    def __init__(self, client: AsyncClient, queue: str) -> None:
        super().__init__()
        self._client = client
        self._queue = queue
        self._is_stopping = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._is_stopping = True
        self._thread.join()

    async def _run(self) -> None:
        async with self._client as client, asyncio.TaskGroup() as tasks:
            client.on_event(self.note)
            await client.declare(Queue(self._queue, arguments=SHORT))
            while not self._is_stopping:
                tasks.create_task(self._publish())
                await asyncio.sleep(PERIOD)

    async def _publish(self) -> None:
        try:
            await self._client.publish("", self._queue, BODY, timeout=120.0)
        except RabbitKeeperError:
            return
        self.confirmed.append(time.monotonic())


def discoveries(local: Local) -> dict[str, Publisher]:
    """One client that asks ZooKeeper, and one that asks the agents."""
    agents = [local.api(name) for name in local.members]
    return {
        "zookeeper": ThreadPublisher(
            Client(local.zookeeper_hosts, local.group, local.credentials), "by-zookeeper"
        ),
        "agents": ThreadPublisher(
            Client(agents=agents, group=local.group, credentials=local.credentials), "by-agents"
        ),
    }


def fronts(local: Local) -> dict[str, Publisher]:
    """``Client`` and ``AsyncClient``."""
    where = (local.zookeeper_hosts, local.group, local.credentials)
    return {
        "threads": ThreadPublisher(Client(*where), "by-threads"),
        "asyncio": AsyncPublisher(AsyncClient(*where), "by-asyncio"),
    }


def measure(local: Local, runs: int, fault: str, publishers: dict[str, Publisher]) -> list[dict[str, float]]:
    """A gap of each for each fault; the publishers are stopped then."""
    observer = Observer(local.zookeeper_hosts, local.group, local.members)
    observer.start()
    results = []
    try:
        for number in range(1, runs + 1):
            leader = wait(lambda: observer.leader, "somebody leads", PATIENCE)
            time.sleep(SETTLE)
            struck = time.monotonic()
            FAULTS[fault](local, leader)
            time.sleep(WINDOW[fault])
            end = time.monotonic()
            result = {name: one.moved_after(struck) for name, one in publishers.items()}
            gaps = {name: longest_pause(one.confirmed[:], struck, end) for name, one in publishers.items()}
            results.append(result | {f"{name} gap": gap for name, gap in gaps.items()})
            moved = ", ".join(
                f"{name} {seconds:.3f} s (gap {gaps[name]:.3f} s)" for name, seconds in result.items()
            )
            print(f"{number:3}. {leader}: {moved}", flush=True)
            if fault == "node":
                local.start_agent(leader)
                wait(lambda: not observer.is_whole(), f"{leader} is missed", PATIENCE)
            wait(observer.is_whole, f"{leader} is back", PATIENCE)
    finally:
        for one in publishers.values():
            one.stop()
        observer.stop()
    return results


def show_discoveries(results: list[dict[str, float]]) -> None:
    """Medians, and whether they are near enough to one another."""
    medians = _medians(results, "zookeeper", "agents")
    later = medians["agents"] - medians["zookeeper"]
    verdict = "reached" if later <= WITHIN else "MISSED"
    print(f"agents: {later:+.3f} s; looked for: {WITHIN} s or less: {verdict}")


def show_fronts(results: list[dict[str, float]]) -> None:
    """Medians of the gaps, and their ratio."""
    medians = _medians(results, "threads gap", "asyncio gap")
    ratio = medians["asyncio gap"] / medians["threads gap"]
    verdict = "reached" if ratio <= AT_MOST else "MISSED"
    print(f"asyncio: {ratio:.2f} times; looked for: {AT_MOST} or less: {verdict}")


def _medians(results: list[dict[str, float]], *names: str) -> dict[str, float]:
    medians = {name: statistics.median(one[name] for one in results) for name in names}
    for name, median in medians.items():
        print(f"{name}: median {median:.3f} s, worst {max(one[name] for one in results):.3f} s")
    return medians

"""``bench failover --discovery``: a client that asks the agents, and one that asks ZooKeeper."""

import statistics
import threading
import time
from concurrent.futures import Future

from common import wait

from rabbitkeeper.client import Client, Queue, Receipt, events
from rabbitkeeper.compose.demo.message_log import longest_pause
from rabbitkeeper.compose.demo.observer import Observer
from rabbitkeeper.compose.local import Local

FAULTS = {"broker": Local.kill_broker, "hung": Local.stop_broker, "node": Local.kill_node}
WINDOW = {"broker": 4.0, "hung": 8.0, "node": 8.0}  # seconds in which the gap is looked for
PERIOD = 0.005  # seconds between two publishes
SETTLE = 3.0  # seconds of publishing before a fault
PATIENCE = 180.0  # seconds for any one wait
WITHIN = 0.1  # seconds by which the medians may differ


class Publisher:
    """One client that publishes all the time."""

    def __init__(self, client: Client, queue: str) -> None:
        self._client = client
        self._queue = queue
        client.declare(Queue(queue, arguments={"x-max-length": 1000}))
        self.confirmed: list[float] = []
        self._switched: list[float] = []
        client.on_event(self._note)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._client.close()

    def moved_after(self, struck: float) -> float:
        """Seconds until it went over another connection."""
        return next((at - struck for at in self._switched[:] if at > struck), float("inf"))

    def _note(self, event: events.Event) -> None:
        if isinstance(event, events.Switched):
            self._switched.append(time.monotonic())

    def _run(self) -> None:
        while not self._stopping.wait(PERIOD):
            future = self._client.publish_nowait("", self._queue, b"x" * 256, timeout=120.0)
            future.add_done_callback(self._done)

    def _done(self, future: Future[Receipt]) -> None:
        if future.exception() is None:
            self.confirmed.append(time.monotonic())


def measure(local: Local, runs: int, fault: str) -> list[dict[str, float]]:
    """A gap of each for each fault."""
    observer = Observer(local.zookeeper_hosts, local.group, local.members)
    observer.start()
    agents = [local.api(name) for name in local.members]
    publishers = {
        "zookeeper": Publisher(Client(local.zookeeper_hosts, local.group, local.credentials), "by-zookeeper"),
        "agents": Publisher(
            Client(agents=agents, group=local.group, credentials=local.credentials), "by-agents"
        ),
    }
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


def show(results: list[dict[str, float]]) -> None:
    """Medians, and whether they are near enough to one another."""
    medians = {name: statistics.median(one[name] for one in results) for name in ("zookeeper", "agents")}
    for name, median in medians.items():
        print(f"{name}: median {median:.3f} s, worst {max(one[name] for one in results):.3f} s")
    later = medians["agents"] - medians["zookeeper"]
    verdict = "reached" if later <= WITHIN else "MISSED"
    print(f"agents: {later:+.3f} s; looked for: {WITHIN} s or less: {verdict}")

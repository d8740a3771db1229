"""Many clients in one process, each of which publishes twice a second: a process of ``bench clients``.

It reads what to do as one line of JSON, and writes what it has seen as lines of JSON: when all are connected,
and at the end, which is a second line. Times are seconds, monotonic, which processes of one host share.
"""

import json
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import pika
from pika.exceptions import AMQPError

from rabbitkeeper.client import Client
from rabbitkeeper.client.model.errors import RabbitKeeperError

PERIOD = 0.5  # seconds between two publishes of a client
BODY = b"x" * 256
AT_ONCE = 64  # clients that are made at the same time; each waits for its first connection
PATIENCE = 120.0  # seconds to connect all


class Crowd(Protocol):
    """So many clients. ``confirmed`` has the moments of the confirms of each."""

    confirmed: list[list[float]]

    def connect(self) -> int:
        """Connect all; how many are."""

    def start(self) -> None:
        """Have each publish from now on."""

    def stop(self) -> None: ...


class OurClients:
    """RabbitKeeper's. One thread publishes for all of them, and waits for none."""

    def __init__(self, task: dict[str, Any], *, shared: bool) -> None:
        self._task = task
        self._shared = shared
        self._clients: list[Client] = []
        self.confirmed: list[list[float]] = [[] for _ in range(task["clients"])]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._publish, daemon=True)

    def connect(self) -> int:
        task = self._task

        def make(_number: int) -> Client | None:
            try:
                return Client(
                    task["zookeeper"],
                    task["group"],
                    tuple(task["credentials"]),
                    timeout=PATIENCE,
                    shared=self._shared,
                )
            except RabbitKeeperError as error:
                print(f"a client did not connect: {error}", file=sys.stderr)
                return None

        with ThreadPoolExecutor(AT_ONCE) as pool:
            made = list(pool.map(make, range(task["clients"])))
        self._clients = [client for client in made if client is not None]
        return len(self._clients)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
        for client in self._clients:
            client.close(0)

    def _publish(self) -> None:
        count = len(self._clients)
        begin, turn = time.monotonic(), 0
        while not self._stopping.is_set():
            for number, client in enumerate(self._clients):
                due = begin + PERIOD * (turn + number / count)
                if self._stopping.wait(max(0.0, due - time.monotonic())):
                    return
                future = client.publish_nowait("", self._task["queue"], BODY, timeout=60.0)
                future.add_done_callback(self._confirmed(self.confirmed[number]))
            turn += 1

    @staticmethod
    def _confirmed(moments: list[float]) -> Any:
        def done(future: Future[Any]) -> None:
            if future.exception() is None:
                moments.append(time.monotonic())

        return done


class PikaLoops:
    """Plain pika: a thread for each client, which goes through a list of hosts when its connection breaks."""

    def __init__(self, task: dict[str, Any]) -> None:
        self._task = task
        count = task["clients"]
        self.confirmed: list[list[float]] = [[] for _ in range(count)]
        self._stopping, self._go = threading.Event(), threading.Event()
        self._left = count
        self._lock = threading.Lock()
        self._all_connected = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(count)]

    def connect(self) -> int:
        for thread in self._threads:
            thread.start()
        self._all_connected.wait(PATIENCE)
        return len(self._threads) - int(self._left)

    def start(self) -> None:
        self._go.set()

    def stop(self) -> None:
        self._stopping.set()
        self._go.set()
        for thread in self._threads:
            thread.join(5.0)

    def _run(self, number: int) -> None:
        hosts, at, is_first = self._task["hosts"], 0, True
        while not self._stopping.is_set():
            host, port = hosts[at % len(hosts)]
            at += 1
            try:
                connection = pika.BlockingConnection(
                    pika.ConnectionParameters(
                        host, port, credentials=pika.PlainCredentials(*self._task["credentials"])
                    )
                )
                channel = connection.channel()
                channel.confirm_delivery()
                if is_first:
                    is_first = False
                    with self._lock:
                        self._left -= 1
                        if not self._left:
                            self._all_connected.set()
                self._go.wait()
                self._publish(connection, channel, self.confirmed[number])
            except (AMQPError, OSError):
                continue

    def _publish(self, connection: Any, channel: Any, moments: list[float]) -> None:
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                channel.basic_publish("", self._task["queue"], BODY, pika.BasicProperties(delivery_mode=2))
            except pika.exceptions.NackError:
                channel.close()
                channel = connection.channel()
                channel.confirm_delivery()
                continue
            moments.append(time.monotonic())
            connection.process_data_events(max(0.0, began + PERIOD - time.monotonic()))
        connection.close()


def usage() -> dict[str, float]:
    """Of this process."""
    status = Path("/proc/self/status").read_text()
    (rss,) = (int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    return {
        "threads": threading.active_count(),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "rss": rss / 1024,
        "cpu": time.process_time(),
    }


def main() -> None:
    task = json.loads(sys.stdin.readline())
    kind = task["kind"]
    crowd: Crowd = PikaLoops(task) if kind == "pika" else OurClients(task, shared=kind == "shared")
    before, began = usage(), time.monotonic()
    connected = crowd.connect()
    took, after = time.monotonic() - began, usage()
    told = {"connected": connected, "seconds": took, "before": before, "after": after}
    print(json.dumps(told), flush=True)
    crowd.start()
    sys.stdin.readline()  # until it is told to stop
    end = time.monotonic()
    confirmed = [list(moments) for moments in crowd.confirmed]
    print(json.dumps({"end": end, "confirmed": confirmed, "after": usage()}), flush=True)
    crowd.stop()


if __name__ == "__main__":
    main()

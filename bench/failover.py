"""How long a steady publisher waits when the leader's broker is killed, again and again.

    ./dev bench failover [--runs 10] [--fault broker|hung|node] [--discovery] [--asyncio] [--celery]
                         [--json FILE]

``broker``: SIGKILL to the leader's broker; ``hung``: SIGSTOP to it; ``node``: SIGKILL to its agent too, which
is started again when the gap has been measured. ``whole`` is from the fault until all run again.

Beside RabbitKeeper's client a bare loop runs on the same cluster at the same time, with pika alone: it knows
the next broker beforehand, opens a new connection at once and a new channel for each retry, and gives up
nothing else. That is the floor for a client without a warm standby; the ratio is what is of interest: at most
1.2 is looked for. Beside them publish kombu and pika with a list of hosts, and aio-pika's ``connect_robust``,
as their documentation has it: "never" is a run in which one had no confirm again before the group was whole.

With ``--discovery`` two of our clients are compared instead, one that asks the agents and one that asks
ZooKeeper: how soon each goes over another connection. What is looked for: medians that differ by 0.1 s at the
most. With ``--asyncio`` they are ``AsyncClient`` and ``Client``: the gap in its confirms is to be 1.1 times
the other's at the most. With ``--celery`` it is workers of Celery, one with our broker URL and one with a
list of brokers. What is looked for: a task runs again 2 s after a kill, and 4 s after a hang.
"""

import argparse
import json
import statistics
import threading
import time
from pathlib import Path

import pika
from common import wait
from peers import pairs
from peers.pairs import FAULTS, WINDOW
from peers.rivals import RIVALS
from pika.exceptions import AMQPError
from task_queues import workers

from rabbitkeeper.client import Queue
from rabbitkeeper.compose.demo.local_traffic import LocalTraffic
from rabbitkeeper.compose.demo.message_log import longest_pause
from rabbitkeeper.compose.demo.observer import Observer
from rabbitkeeper.compose.local import Local

BARE_QUEUE = "bare-loop"
PATIENCE = 120.0  # seconds for any one wait


class BareLoop:
    """Publishes with pika's BlockingConnection to a quorum queue of its own."""

    def __init__(self, local: Local) -> None:
        self._local = local
        self._target = ""
        self.next = ""  # where to go when the connection breaks
        self._confirmed: list[float] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self, target: str) -> None:
        self._target = target
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(10)

    def longest_pause(self, start: float, end: float) -> float:
        return longest_pause(self._confirmed[:], start, end)

    def move(self, target: str) -> None:
        """Be connected to ``target`` before the next run."""
        self._target = target

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._publish(self._target)
            except (AMQPError, OSError):
                self._target = self.next or self._target

    def _publish(self, target: str) -> None:
        host, port = self._local.amqp(target)
        credentials = pika.PlainCredentials(*self._local.credentials)
        connection = pika.BlockingConnection(pika.ConnectionParameters(host, port, credentials=credentials))
        channel = connection.channel()
        channel.confirm_delivery()
        while not self._stopping.is_set() and target == self._target:
            try:
                channel.basic_publish("", BARE_QUEUE, b"x", pika.BasicProperties(delivery_mode=2))
            except pika.exceptions.NackError:
                channel.close()
                channel = connection.channel()
                channel.confirm_delivery()
                continue
            self._confirmed.append(time.monotonic())
            time.sleep(0.004)
        connection.close()


def measure(local: Local, runs: int, fault: str) -> list[dict[str, float | str]]:
    observer = Observer(local.zookeeper_hosts, local.group, local.members)
    observer.start()
    load = LocalTraffic(local.zookeeper_hosts, local.group, local.credentials)
    load.start()
    load.producer.declare(Queue(BARE_QUEUE, arguments={"x-max-length": 1000}))
    bare = BareLoop(local)
    rivals = [rival(local) for rival in RIVALS]
    for rival in rivals:
        load.producer.declare(Queue(rival.queue))
    results: list[dict[str, float | str]] = []
    try:
        bare.start(_leader(observer))
        for rival in rivals:
            rival.start()
        for number in range(1, runs + 1):
            leader = _leader(observer)
            bare.next = next(name for name in local.members if name != leader)
            bare.move(leader)
            time.sleep(3)
            struck = time.monotonic()
            FAULTS[fault](local, leader)
            time.sleep(WINDOW[fault])
            end = time.monotonic()
            if fault == "node":
                local.start_agent(leader)
                wait(lambda: not observer.is_whole(), f"{leader} is missed", PATIENCE)
            seen = observer.elected_since(struck)
            result: dict[str, float | str] = {
                "leader": leader,
                "gap": load.longest_pause(struck, end),
                "bare": bare.longest_pause(struck, end),
                "elected": float("nan") if seen is None else seen.at - struck,
            }
            results.append(result)
            print(
                f"{number:3}. {leader}: gap {result['gap']:.3f} s, bare loop {result['bare']:.3f} s, "
                f"new leader after {result['elected']:.3f} s",
                flush=True,
            )
            wait(observer.is_whole, f"{leader} is back (its logs are in {local.logs(leader)})", PATIENCE)
            result["whole"] = time.monotonic() - struck
            for rival in rivals:
                result[rival.name] = rival.longest_pause(struck, time.monotonic())
        bare.stop()
        for rival in rivals:
            rival.stop()
            print("{}: lost {}, duplicated {}".format(rival.name, *rival.lost_and_duplicated()))
        lost = load.finish(30)
        totals = load.totals()
    finally:
        load.close()
        observer.stop()
    print(
        f"confirmed {totals.confirmed}, duplicated {totals.duplicated}, "
        f"failed {totals.failed}, lost {len(lost)}"
    )
    return results


def _leader(observer: Observer) -> str:
    return wait(lambda: observer.leader, "somebody leads", PATIENCE)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--fault", choices=FAULTS, default="broker")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--discovery", action="store_true")
    parser.add_argument("--asyncio", action="store_true")
    parser.add_argument("--celery", action="store_true")
    options = parser.parse_args()
    if options.celery:
        if options.fault not in workers.FAULTS:
            parser.error(f"--celery is tried with --fault {' or '.join(workers.FAULTS)}")
        with Local(zookeepers=1, members=3) as local:
            local.wait_ready(180)
            worked = workers.measure(local, options.runs, options.fault)
        workers.show(worked, options.fault)
        return
    if options.discovery or options.asyncio:
        make, show = (
            (pairs.discoveries, pairs.show_discoveries)
            if options.discovery
            else (pairs.fronts, pairs.show_fronts)
        )
        with Local(zookeepers=1, members=3, api=options.discovery) as local:
            local.wait_ready(180)
            compared = pairs.measure(local, options.runs, options.fault, make(local))
        show(compared)
        return
    with Local(zookeepers=1, members=3) as local:
        local.wait_ready(180)
        results = measure(local, options.runs, options.fault)
    for key, name in (
        ("gap", "RabbitKeeper"),
        ("bare", "bare loop"),
        ("elected", "new leader announced"),
        ("whole", "whole"),
    ):
        values = [float(result[key]) for result in results]
        print(f"{name}: median {statistics.median(values):.3f} s, worst {max(values):.3f} s")
    for rival in RIVALS:
        pauses = [float(result[rival.name]) for result in results]
        back = [pause for pause in pauses if pause < float("inf")]
        gaps = f"median {statistics.median(back):.3f} s, worst {max(back):.3f} s" if back else "no gap ended"
        print(f"{rival.name}: {gaps}, never {len(pauses) - len(back)} of {len(pauses)}")
    ratio = statistics.median(float(result["gap"]) / float(result["bare"]) for result in results)
    print(f"median ratio of the gap to the bare loop's: {ratio:.2f}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()

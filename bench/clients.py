"""Many clients lose one broker: how soon each publishes again, and what they cost.

    ./dev bench clients [--sizes 40,100,200] [--kinds shared,own,pika] [--json FILE]

So many clients in four processes publish twice a second each to one quorum queue; then the leader's broker is
killed. RabbitKeeper's clients are measured with one I/O thread for all of a process ("shared") and with one
each ("own"), beside as many plain loops of pika that go through a list of hosts, one after the other in the
same run, with every second size in the other order: brokers that have just booted are slower. The gap is the
longest pause between two confirms of one client after the kill; half a second of it is the pause between two
publishes. CPU is that of connecting, and of the time from then to the end of the round ("failover").
Counted are the connections that each other broker accepted since the kill, and the most in a second.
"""

import argparse
import json
import statistics
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from broker_logs.accepted import accepted_at
from common import hear, others, spawn, tell, wait

from rabbitkeeper.client import Client, Queue
from rabbitkeeper.compose.demo.message_log import longest_pause
from rabbitkeeper.compose.demo.observer import Observer
from rabbitkeeper.compose.local import Local

PROCESSES = 4
STEADY = 4.0  # seconds of publishing before the kill
AFTER = 25.0  # seconds after it
PATIENCE = 120.0  # seconds for any one wait
SETTLE = 3.0  # seconds between rounds
KINDS = ("shared", "own", "pika")
WORKER = Path(__file__).parent / "peers" / "many_clients.py"
QUEUE = "many-clients"


def measure(local: Local, observer: Observer, kind: str, size: int) -> dict[str, Any]:
    """One kill with ``size`` clients."""
    leader = wait(lambda: observer.leader, "somebody leads", PATIENCE)
    task = {
        "kind": kind,
        "clients": size // PROCESSES,
        "zookeeper": local.zookeeper_hosts,
        "group": local.group,
        "credentials": list(local.credentials),
        "hosts": [list(local.amqp(name)) for name in (leader, *others(local, leader))],
        "queue": QUEUE,
    }
    workers = spawn(WORKER, PROCESSES)
    try:
        for worker in workers:
            tell(worker, json.dumps(task))
        connected = [hear(worker) for worker in workers]
        time.sleep(STEADY)
        struck, since = time.monotonic(), datetime.now(UTC)
        local.kill_broker(leader)
        time.sleep(AFTER)
        accepted = [accepted_at(local.logs(name), since) for name in others(local, leader)]
        for worker in workers:
            tell(worker, "stop")
        seen = [hear(worker) for worker in workers]
    finally:
        for worker in workers:
            try:
                worker.wait(60)
            except subprocess.TimeoutExpired:
                worker.kill()
    gaps = sorted(longest_pause(moments, struck, one["end"]) for one in seen for moments in one["confirmed"])
    clients: int = max(1, sum(one["connected"] for one in connected))

    def each(key: str) -> float:
        return float(sum(one["after"][key] - one["before"][key] for one in connected)) / clients

    return {
        "kind": kind,
        "size": size,
        "connected": clients,
        "connecting": max(one["seconds"] for one in connected),
        "cpu_ms": each("cpu") * 1000,
        "threads": each("threads"),
        "descriptors": each("descriptors"),
        "rss_mb": each("rss"),
        "gap_median": statistics.median(gaps),
        "gap_90": gaps[int(len(gaps) * 0.9)],
        "gap_worst": gaps[-1],
        "accepted": [one.count for one in accepted],
        "accepted_most": max(one.most for one in accepted),
        "never": sum(gap >= AFTER - 1 for gap in gaps),
        "cpu_failover_ms": sum(
            one["after"]["cpu"] - before["after"]["cpu"] for one, before in zip(seen, connected, strict=True)
        )
        / clients
        * 1000,
    }


def show(results: list[dict[str, Any]]) -> None:
    """A row for each."""
    costs = ("CPU ms", "failover", "threads", "fds", "MB")
    heads = ("clients", "kind", "gap", "90 %", "worst", "connect s", *costs, "accepted", "a second")
    print("".join(f"{head:>10}" for head in heads))
    for one in results:
        row = (
            f"{one['connected']}/{one['size']}",
            one["kind"],
            *(f"{one[key]:.2f}" for key in ("gap_median", "gap_90", "gap_worst", "connecting")),
            *(f"{one[key]:.1f}" for key in ("cpu_ms", "cpu_failover_ms", "threads", "descriptors")),
            f"{one['rss_mb']:.2f}",
            "+".join(map(str, one["accepted"])),
            str(one["accepted_most"]),
        )
        print("".join(f"{field:>10}" for field in row))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="40,100,200")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results: list[dict[str, Any]] = []
    with Local(zookeepers=1, members=3) as local:
        local.wait_ready(180)
        observer = Observer(local.zookeeper_hosts, local.group, local.members)
        observer.start()
        with Client(local.zookeeper_hosts, local.group, local.credentials) as client:
            client.declare(Queue(QUEUE, arguments={"x-max-length": 1000}))
        kinds = options.kinds.split(",")
        for number, size in enumerate(map(int, options.sizes.split(","))):
            for kind in kinds if number % 2 == 0 else reversed(kinds):
                results.append(measure(local, observer, kind, size))
                show(results[-1:])
                wait(observer.is_whole, "the broker is back", PATIENCE)
                time.sleep(SETTLE)
        observer.stop()
    print()
    show(results)
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()

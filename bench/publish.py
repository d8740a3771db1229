"""Messages a second, and the client's CPU for each, of RabbitKeeper and its peers publishing with confirms.

    ./dev bench publish [--rounds 5] [--seconds 1.5] [--only NAME ...] [--loops] [--json FILE]

Persistent messages of 256 bytes, confirms on, at most 1,000 without a confirm, to a durable queue of one
broker: classic, then quorum. Each client runs in a process of its own, for the same time, in turn with the
others, round after round; what is shown are medians. CPU is the user and system time of that process while it
publishes. "raw" is a socket and frames that were encoded beforehand: what the broker takes at the most here.
What is looked for: at least 0.95 of that, and at most 0.3 of the CPU of pika's SelectConnection.

With ``--loops`` something else is measured, of AsyncClient and aio-pika. "latency" is from a publish to a
quorum queue until its task goes on, one after the other; that of Client beside it. "held" is by how much a
task that sleeps for a millisecond is late while 1,000 tasks publish as fast as they can. Then the loop is
blocked for four heartbeats of two seconds: "again" is in how many seconds it publishes after that, and
"failed" in how many rounds that failed. What is looked for: the loop never held over 10 ms.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from common import ROOM
from peers import event_loops

from rabbitkeeper.compose.local import Local
from rabbitkeeper.coordinator.backend.interface import Backend
from rabbitkeeper.coordinator.connect import backend_at
from rabbitkeeper.coordinator.model.paths import GroupPaths
from rabbitkeeper.coordinator.model.records import LeaderRecord, MemberRecord, MemberStatus, Versions, utcnow

CLIENTS = (
    "raw",
    "rabbitkeeper",
    "rabbitkeeper-many",
    "rabbitkeeper-async",
    "rabbitkeeper-async-nowait",
    "rabbitkeeper-async-many",
    "pika-select",
    "aio-pika",
    "kombu",
    "pika-blocking",
    "amqpstorm",
)
KINDS = ("classic", "quorum")
GROUP = "bench"
OF_RAW = 0.95  # of the raw socket's rate, at least
OF_SELECT = 0.3  # of SelectConnection's CPU a message, at the most


def announce(local: Local) -> Backend:
    """Say in ZooKeeper what an agent would say of the one broker."""
    session = backend_at(local.zookeeper_hosts, timeout=20, name="bench")
    session.start()
    paths = GroupPaths(GROUP)
    session.ensure_path(paths.members)
    host, port = local.amqp("node1")
    node, amqp, since = local.node("node1"), f"{host}:{port}", utcnow()
    member = MemberRecord(
        name="node1",
        instance="1",
        node=node,
        versions=Versions(agent="bench"),
        amqp=amqp,
        state=MemberStatus.RUNNING,
        since=since,
    )
    session.create(paths.member("node1"), member.to_bytes(), ephemeral=True)
    leader = LeaderRecord(name="node1", instance="1", node=node, amqp=amqp, since=since, cause="bench")
    session.create(paths.leader, leader.to_bytes(), ephemeral=True)
    return session


def measure(local: Local, client: str, kind: str, seconds: float) -> dict[str, float]:
    """One client in a process of its own: messages a second, microseconds of CPU a message."""
    host, port = local.amqp("node1")
    order = {
        "client": client,
        "kind": kind,
        "seconds": seconds,
        "host": host,
        "port": port,
        "credentials": local.credentials,
        "zookeeper": local.zookeeper_hosts,
        "group": GROUP,
    }
    worker = Path(__file__).parent / "peers" / "publishing.py"
    done = subprocess.run(
        [sys.executable, worker],
        input=json.dumps(order),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def show(
    results: dict[tuple[str, str], list[dict[str, float]]], kinds: list[str], clients: list[str]
) -> None:
    def median(client: str, kind: str, what: str) -> float:
        return statistics.median(one[what] for one in results[client, kind])

    for kind in kinds:
        print(f"\n{kind} queue   messages/s        spread   of raw   CPU µs/message   of pika-select")
        for client in clients:
            rates = [one["rate"] for one in results[client, kind]]
            rate, cpu = median(client, kind, "rate"), median(client, kind, "cpu_us")
            of_raw = f"{rate / median('raw', kind, 'rate'):8.0%}" if "raw" in clients else " " * 8
            of_select = (
                f"{cpu / median('pika-select', kind, 'cpu_us'):16.2f}" if "pika-select" in clients else ""
            )
            spread = f"{min(rates):,.0f}–{max(rates):,.0f}"
            print(f"{client:18}{rate:9,.0f} {spread:>16} {of_raw} {cpu:16.1f} {of_select}")
        for ours in (client for client in clients if client.startswith("rabbitkeeper")):
            if "raw" in clients:
                ratio = median(ours, kind, "rate") / median("raw", kind, "rate")
                verdict = "reached" if ratio >= OF_RAW else "MISSED"
                print(f"{ours}: {ratio:.2f} of raw; looked for: {OF_RAW} or more: {verdict}")
            if "pika-select" in clients:
                ratio = median(ours, kind, "cpu_us") / median("pika-select", kind, "cpu_us")
                verdict = "reached" if ratio <= OF_SELECT else "MISSED"
                print(f"{ours}: {ratio:.2f} of pika-select's CPU; looked for: {OF_SELECT} or less: {verdict}")
        if "pika-blocking" in clients:
            for ours in (client for client in clients if client.startswith("rabbitkeeper")):
                ratio = median(ours, kind, "rate") / median("pika-blocking", kind, "rate")
                print(f"{ours} publishes {ratio:.0f} times as many as pika-blocking")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5, help="for which each client publishes")
    parser.add_argument("--only", nargs="+", choices=CLIENTS, default=list(CLIENTS), metavar="NAME")
    parser.add_argument("--kind", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--loops", action="store_true")
    options = parser.parse_args()
    clients = [client for client in CLIENTS if client in options.only]
    results: dict[tuple[str, str], list[dict[str, float]]] = {}
    with Local(zookeepers=1, members=1, agents=False, broker_config=ROOM) as local:
        session = announce(local)
        if options.loops:
            event_loops.show(event_loops.compare(local, GROUP, options.rounds))
            return
        for number in range(options.rounds):
            turn = number % len(clients)  # nobody is always the first
            for kind in options.kind:
                for client in clients[turn:] + clients[:turn]:
                    result = measure(local, client, kind, options.seconds)
                    results.setdefault((client, kind), []).append(result)
            print(f"round {number + 1} of {options.rounds} done", file=sys.stderr)
        session.close()
    show(results, options.kind, clients)
    if options.json:
        rows = [{"client": client, "kind": kind, "runs": runs} for (client, kind), runs in results.items()]
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()

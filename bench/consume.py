"""How fast clients consume with acks, and with how much CPU: ours, five others and a raw socket.

    ./dev bench consume [--runs 5] [--messages 40000] [--json FILE]

Persistent messages of 256 bytes, a prefetch of 2,000, one ack for each 500; a quorum and a classic queue on
the same broker. Each client has a process of its own for each run and consumes a queue that was filled
before; the order of the clients changes from run to run. What is looked for: at least twice pika's
BlockingConnection and 0.75 of the raw socket on quorum queues, and at least 0.9 of the raw socket on classic
ones, where the broker is the limit.
"""

import argparse
import random
from pathlib import Path

from common import BODY, Result, Where, median, one_broker, run, save

from rabbitkeeper.client import Client, Queue

OURS, BLOCKING, RAW = "rabbitkeeper_client", "pika_blocking", "raw_socket"
PEERS = (OURS, BLOCKING, "pika_select", "aio_pika_client", "kombu_client", "amqpstorm_client", RAW)
KINDS = ("quorum", "classic")


def fill(where: Where, name: str, kind: str, count: int) -> None:
    """Have ``count`` messages in a new queue."""
    with Client(where.zookeeper, where.group, (where.username, where.password)) as client:
        client.declare(Queue(name, type=kind))  # type: ignore[arg-type]
        futures = [client.publish_nowait("", name, BODY) for _ in range(count)]
        for future in futures:
            future.result(60)


def measure(where: Where, runs: int, count: int, peers: list[str]) -> dict[str, list[Result]]:
    results: dict[str, list[Result]] = {f"{kind} {peer}": [] for kind in KINDS for peer in peers}
    for number in range(1, runs + 1):
        for kind in KINDS:
            for peer in random.sample(peers, len(peers)):
                queue = f"{kind}-{peer}-{number}"
                fill(where, queue, kind, count)
                result = run(peer, "consume", where, queue=queue, count=count)
                results[f"{kind} {peer}"].append(result)
                print(
                    f"{number}. {kind:8}{peer:20}{result.rate:9,.0f} /s{result.cpu_each:7.1f} µs", flush=True
                )
    return results


def report(results: dict[str, list[Result]], peers: list[str]) -> None:
    for kind in KINDS:
        print(f"\n{kind} queue: medians of {len(results[f'{kind} {peers[0]}'])}")
        for peer in peers:
            found = results[f"{kind} {peer}"]
            rate, cpu = median(found, "rate"), median(found, "cpu_each")
            print(f"  {peer:22}{rate:9,.0f} messages/s{cpu:7.1f} µs of CPU a message")
    for kind, other, bar in (("quorum", BLOCKING, 2.0), ("quorum", RAW, 0.75), ("classic", RAW, 0.9)):
        if OURS in peers and other in peers:
            ratio = median(results[f"{kind} {OURS}"], "rate") / median(results[f"{kind} {other}"], "rate")
            verdict = "reached" if ratio >= bar else "MISSED"
            print(f"{kind}: {ratio:.2f} times {other}; looked for: {bar} or more: {verdict}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--messages", type=int, default=40000)
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with one_broker() as where:
        results = measure(where, options.runs, options.messages, options.peers)
    report(results, options.peers)
    save(options.json, results)


if __name__ == "__main__":
    main()

"""How long the majority waits when the leader's node is cut off: no packet passes, and nobody is told.

    ./dev bench partition [--runs 3] [--seconds 20] [--net-ticktime 60] [--net-setuptime 7]
                          [--poll-interval 1000] [--no-fast-nodedown] [--json FILE]

Three nodes, each with broker and agent in a network of its own (so it needs root); ZooKeeper and the clients
are on the majority's side. For each run the leader's node is cut off for ``--seconds`` and healed again.
Times are in seconds from the cut, to the first success of something that was begun after the cut:

- ``sdk``: the longest pause in the confirms of RabbitKeeper's client, which was connected to the cut node
- ``old``: a publish over a connection that was open before, to a surviving node, into a quorum queue whose
  leader was on the cut node
- ``new``: the same over a new connection
- ``declare``: a new connection declares a quorum queue
- ``elected``: the new leader's znode
"""

import argparse
import json
import statistics
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pika
from common import NotInTime, wait
from pika.exceptions import AMQPError

from rabbitkeeper.compose.demo.local_traffic import LocalTraffic
from rabbitkeeper.compose.demo.observer import Observer
from rabbitkeeper.compose.local import Local

QUEUE = "partition-bench"
QUORUM = {"x-queue-type": "quorum"}
PROBES = 1.0  # seconds between attempts that may hang
WHOLE = 180.0  # seconds for the group to be whole after the cut has been healed

Publish = Callable[[], None]


def connect(local: Local, member: str) -> pika.BlockingConnection:
    host, port = local.amqp(member)
    return pika.BlockingConnection(
        pika.ConnectionParameters(
            host, port, credentials=pika.PlainCredentials(*local.credentials), socket_timeout=2, heartbeat=0
        )
    )


def confirming(connection: pika.BlockingConnection) -> Publish:
    """Publishes on a channel of its own until a message is confirmed."""

    def publish() -> None:
        while True:
            channel = connection.channel()
            channel.confirm_delivery()
            try:
                channel.basic_publish("", QUEUE, b"x", pika.BasicProperties(delivery_mode=2))
            except pika.exceptions.NackError:
                channel.close()
                time.sleep(0.05)
            else:
                return

    return publish


class FirstSuccess:
    """Tries something that may hang, again and again in threads of their own, until it has succeeded once.

    Args:
        attempt: what to do.
        every: seconds between attempts; None: only one.
    """

    def __init__(self, attempt: Callable[[], None], every: float | None = PROBES) -> None:
        self.at: float | None = None  # seconds, monotonic
        self._attempt = attempt
        self._every = every
        self._over = threading.Event()
        threading.Thread(target=self._begin, daemon=True).start()

    def stop(self) -> None:
        self._over.set()

    def _begin(self) -> None:
        while not self._over.is_set():
            threading.Thread(target=self._try, daemon=True).start()
            if self._every is None:
                return
            self._over.wait(self._every)

    def _try(self) -> None:
        try:
            self._attempt()
        except (AMQPError, OSError):
            return
        if not self._over.is_set():
            self.at = time.monotonic()
            self._over.set()


def run(local: Local, observer: Observer, load: LocalTraffic, seconds: float) -> dict[str, float | str]:
    led = wait(lambda: observer.leader if observer.is_whole() else None, "the group is whole", WHOLE)
    survivor = next(name for name in local.members if name != led)
    setup = connect(local, led)
    channel = setup.channel()
    channel.queue_delete(QUEUE)
    channel.queue_declare(QUEUE, durable=True, arguments=QUORUM)
    setup.close()
    old = confirming(connect(local, survivor))
    old()
    time.sleep(2)

    def declare() -> None:
        connection = connect(local, survivor)
        connection.channel().queue_declare(f"{QUEUE}-{uuid.uuid4()}", durable=True, arguments=QUORUM)

    struck = time.monotonic()
    local.network.cut(led)
    probes = {
        "old": FirstSuccess(old, every=None),
        "new": FirstSuccess(lambda: confirming(connect(local, survivor))()),
        "declare": FirstSuccess(declare),
    }
    time.sleep(max(0.0, seconds - (time.monotonic() - struck)))
    local.network.heal(led)
    healed = time.monotonic()
    for probe in probes.values():
        probe.stop()
    result: dict[str, float | str] = {"cut": led}
    result["sdk"] = load.longest_pause(struck, time.monotonic())
    for name, probe in probes.items():
        result[name] = float("nan") if probe.at is None else probe.at - struck
    seen = observer.elected_since(struck)
    result["elected"] = float("nan") if seen is None else seen.at - struck
    time.sleep(10)  # so long, what is to come back has been seen to be away
    try:
        wait(observer.is_whole, "whole", WHOLE)
        result["whole"] = time.monotonic() - healed
    except NotInTime:
        result["whole"] = float("nan")
    result["partitions"] = str(
        {name: sorted(local.ctl(name).cluster_status().partitions) for name in local.members}
    )
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--net-ticktime", type=int, help="seconds")
    parser.add_argument("--poll-interval", type=int, help="milliseconds")
    parser.add_argument("--net-setuptime", type=int, help="seconds")
    parser.add_argument("--no-fast-nodedown", action="store_true")
    parser.add_argument("--directory", type=Path, help="keep data and logs there")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    lines = []
    if options.net_ticktime is not None:
        lines.append(f"net_ticktime = {options.net_ticktime}")
    # As arguments: rabbitmq.conf has no keys for these in every version.
    arguments = []
    if options.poll_interval is not None:
        arguments.append(f"-aten poll_interval {options.poll_interval}")
    if options.net_setuptime is not None:
        arguments.append(f"-kernel net_setuptime {options.net_setuptime}")
    results = []
    with Local(
        zookeepers=1,
        networks=True,
        directory=options.directory,
        keep=options.directory is not None,
        broker_config="\n".join([*lines, ""]),
        agent_settings={
            "health": {"fast_nodedown": not options.no_fast_nodedown},
            "broker": {"process": {"environment": {"RABBITMQ_SERVER_START_ARGS": " ".join(arguments)}}},
        },
    ) as local:
        local.wait_ready(180)
        observer = Observer(local.zookeeper_hosts, local.group, local.members)
        observer.start()
        load = LocalTraffic(local.zookeeper_hosts, local.group, local.credentials)
        load.start()
        try:
            for number in range(1, options.runs + 1):
                results.append(run(local, observer, load, options.seconds))
                print(f"{number:3}. {results[-1]}", flush=True)
            lost = load.finish(60)
            print(f"{load.totals()}, lost {len(lost)}")
        finally:
            load.close()
            observer.stop()
    for key in ("sdk", "old", "new", "declare", "elected", "whole"):
        values = [float(result[key]) for result in results]
        print(f"{key}: median {statistics.median(values):.2f} s, worst {max(values):.2f} s")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()

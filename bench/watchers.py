"""How soon thousands of watchers of one group know its new leader.

    ./dev bench watchers [--watchers 10000] [--changes 5] [--json FILE]

One ZooKeeper server; the watchers are sessions in four processes, as light as can be, that read what a client
reads and watch it (``peers/light_sessions.py``). The leader's znode is deleted, and half a second later made
by another member, as at a failover. ``told``: from then until a watcher has the event; ``known``: until it
has read the new leader. ``ours`` is one watch of RabbitKeeper's client, among them. The bar is a second until
all are told.
"""

import argparse
import json
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common import hear, spawn, tell, wait

from rabbitkeeper.compose.demo.observer import Observer
from rabbitkeeper.compose.local.guardian import Guardian
from rabbitkeeper.compose.local.ports import Ports
from rabbitkeeper.compose.local.zookeeper import LocalZooKeeper
from rabbitkeeper.coordinator.connect import backend_at
from rabbitkeeper.coordinator.model.paths import GroupPaths
from rabbitkeeper.coordinator.model.records import LeaderRecord, MemberRecord, MemberStatus, Versions, utcnow

GROUP = "watched"
MEMBERS = ("node1", "node2", "node3")
PROCESSES = 4
VACANT = 0.5  # seconds without a leader
SETTLED = 5.0  # seconds in which everybody has come to know, or has not
PATIENCE = 300.0  # seconds for any one wait
WORKER = Path(__file__).parent / "peers" / "light_sessions.py"


class Group:
    """Its znodes, written as agents write them."""

    def __init__(self, hosts: str) -> None:
        self._session = backend_at(hosts, timeout=20, name="bench")
        self._session.start()
        self.paths = GroupPaths(GROUP)
        self._session.ensure_path(self.paths.members)
        for name in MEMBERS:
            record = MemberRecord(
                name=name,
                instance="1",
                node=f"rabbit@{name}",
                versions=Versions(agent="bench"),
                amqp=f"{name}:5672",
                state=MemberStatus.RUNNING,
                since=utcnow(),
            )
            self._session.create(self.paths.member(name), record.to_bytes(), ephemeral=True)

    def lead(self, name: str) -> float:
        """From now on this one does; when it was written, monotonic seconds."""
        record = LeaderRecord(
            name=name,
            instance="1",
            node=f"rabbit@{name}",
            amqp=f"{name}:5672",
            since=utcnow(),
            cause="bench",
        )
        self._session.renew()
        asked = time.monotonic()
        self._session.create(self.paths.leader, record.to_bytes(), ephemeral=True, timeout=PATIENCE)
        print(f"     written after {time.monotonic() - asked:.3f} s", flush=True)
        return asked

    def leave(self) -> None:
        znode = self._session.stat(self.paths.leader)
        assert znode is not None
        self._session.delete(self.paths.leader, znode.version)

    def close(self) -> None:
        self._session.close()


def change(group: Group, workers: list[subprocess.Popen[str]], observer: Observer, to: str) -> dict[str, Any]:
    """One new leader; seconds from its znode."""
    group.leave()
    time.sleep(VACANT)
    for worker in workers:
        tell(worker, "forget")
    made = group.lead(to)
    time.sleep(SETTLED)
    told: list[float] = []
    known: list[float] = []
    for worker in workers:
        tell(worker, "report")
    for worker in workers:
        found = hear(worker)
        told += [at - made for at in found["told"]]
        known += [at - made for at in found["known"]]
    seen = wait(lambda: observer.elected_since(made), "the client's own watch has seen it", PATIENCE)
    return {"told": sorted(told), "known": sorted(known), "ours": seen.at - made}


@contextmanager
def one_zookeeper() -> Iterator[str]:
    """Its address."""
    with Guardian(None, keep=False, grace=0.0) as guardian:
        zookeeper = LocalZooKeeper(guardian, Ports(), lean=False)
        zookeeper.start()
        yield zookeeper.hosts


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--watchers", type=int, default=10_000)
    parser.add_argument("--changes", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with one_zookeeper() as hosts:
        group = Group(hosts)
        group.lead(MEMBERS[0])
        observer = Observer(hosts, GROUP, MEMBERS)
        observer.start()
        host, _, port = hosts.partition(":")
        paths = group.paths
        records = [paths.incarnation, paths.config, paths.cluster, paths.pause, paths.switchover]
        task = {
            "host": host,
            "port": int(port),
            "members": paths.members,
            "paths": [*records, paths.maintenance, *(paths.member(name) for name in MEMBERS)],
            "leader": paths.leader,
            "sessions": options.watchers // PROCESSES,
        }
        workers = spawn(WORKER, PROCESSES)
        try:
            began = time.monotonic()
            for worker in workers:
                tell(worker, json.dumps(task))
            for worker in workers:
                hear(worker)
            print(f"{options.watchers} watchers after {time.monotonic() - began:.1f} s", flush=True)
            rounds = []
            for number in range(1, options.changes + 1):
                found = change(group, workers, observer, MEMBERS[number % len(MEMBERS)])
                rounds.append(found)
                print(f"{number:3}. {row(found, options.watchers)}", flush=True)
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()
            observer.stop()
            group.close()
    if options.json:
        options.json.write_text(json.dumps(rounds, indent=2) + "\n")


def row(found: dict[str, Any], watchers: int) -> str:
    """Medians and worst cases; how many have not come to know."""
    parts = [
        f"{what}: median {statistics.median(found[what]):.3f} s, worst {found[what][-1]:.3f} s"
        for what in ("told", "known")
        if found[what]
    ]
    return ", ".join([*parts, f"ours {found['ours']:.3f} s", f"missing {watchers - len(found['known'])}"])


if __name__ == "__main__":
    main()

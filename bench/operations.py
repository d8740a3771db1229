"""What planned operations cost a steady publisher: a switchover, and a restart of all three brokers in turn.

    ./dev bench operations [--switchovers 10] [--restarts 3] [--consumers 0] [--keep] [--json FILE]

A publisher sends about 200 messages a second, each confirmed before the next, through RabbitKeeper's client,
and a consumer acks them. For each operation the slowest publish that was under way in it is told, and beside
it the slowest of an equal time in which nothing was done: that is the machine's own share. What is looked
for: no publish over 50 ms in a switchover, none over 2 s in a rolling restart, nothing lost.

With ``--consumers 50`` so many consumers of one ``AsyncClient``, on ten quorum queues that get 50 messages a
second together, go through ``--restarts`` rolling restarts instead, and are counted at the broker after each.
What is looked for: all of them, nothing lost. How late its loop was is told beside one without a client.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from common import operate, wait
from restarting import consumers

from rabbitkeeper.compose.demo.local_traffic import LocalTraffic
from rabbitkeeper.compose.demo.observer import Observer
from rabbitkeeper.compose.local import Local
from rabbitkeeper.coordinator.operations.service import OperationService, Submitted

WINDOW = 3.0  # seconds looked at around a switchover, and in quiet
SETTLE = 2.0  # seconds between rounds
PATIENCE = 300.0  # seconds for one operation
BARS = {"switchover": 0.050, "rolling-restart": 2.0}  # seconds, for the slowest publish


@dataclass(frozen=True, slots=True)
class Round:
    """One operation. Times are seconds."""

    kind: str
    slowest: float  # publish that was under way in it
    quiet: float  # publish of as long a time before it (of WINDOW at the most)
    took: float  # from asking to the end of the operation
    publishes: int


class Bench:
    """One group under load."""

    def __init__(self, local: Local, load: LocalTraffic, observer: Observer) -> None:
        self._local = local
        self._load = load
        self._observer = observer

    def round(self, kind: str, ask: Callable[[OperationService], Submitted]) -> Round:
        """Have one operation done and see what it costs.

        Args:
            ask: asks for it.
        """
        wait(self._observer.is_whole, f"the group is whole (see {self._local.folder})", PATIENCE)
        time.sleep(SETTLE + WINDOW)
        before = time.monotonic()
        quiet = self._load.slowest_publish(before - WINDOW, before)
        published = self._load.totals().published
        took = operate(self._local, ask)
        time.sleep(WINDOW)
        end = time.monotonic()
        self._load.check()
        result = Round(
            kind,
            self._load.slowest_publish(before, end),
            quiet,
            took,
            self._load.totals().published - published,
        )
        print(
            f"{kind}: slowest publish {result.slowest * 1000:.1f} ms of {result.publishes}, "
            f"in quiet {quiet * 1000:.1f} ms; ended after {took:.1f} s",
            flush=True,
        )
        return result


def measure(local: Local, switchovers: int, restarts: int) -> tuple[list[Round], int]:
    """The rounds, and how many confirmed messages were not delivered."""
    observer = Observer(local.zookeeper_hosts, local.group, local.members)
    observer.start()
    load = LocalTraffic(local.zookeeper_hosts, local.group, local.credentials)
    bench = Bench(local, load, observer)
    try:
        load.start()
        rounds = [
            *(
                bench.round("switchover", lambda operator: operator.switchover(by="bench"))
                for _ in range(switchovers)
            ),
            *(
                bench.round("rolling-restart", lambda operator: operator.rolling_restart(by="bench"))
                for _ in range(restarts)
            ),
        ]
        lost = load.finish(60)
        totals = load.totals()
        for failure in load.failures:
            print(failure)
    finally:
        load.close()
        observer.stop()
    print(
        f"confirmed {totals.confirmed}, duplicated {totals.duplicated}, "
        f"failed {totals.failed}, lost {len(lost)}"
    )
    return rounds, len(lost) + totals.failed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--switchovers", type=int, default=10)
    parser.add_argument("--restarts", type=int, default=3)
    parser.add_argument("--consumers", type=int, default=0)
    parser.add_argument("--keep", action="store_true", help="leave the folder with the logs")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with Local(zookeepers=1, members=3, keep=options.keep) as local:
        local.wait_ready(240)
        if options.consumers:
            sys.exit(0 if consumers.measure(local, options.restarts, options.consumers) else 1)
        rounds, missing = measure(local, options.switchovers, options.restarts)
        if options.keep:
            print(f"logs: {local.folder}")
    missed = missing > 0
    for kind, bar in BARS.items():
        slowest = [one.slowest for one in rounds if one.kind == kind]
        if slowest:
            quiet = max(one.quiet for one in rounds if one.kind == kind)
            print(
                f"{kind}: slowest publish median {statistics.median(slowest) * 1000:.1f} ms, "
                f"worst {max(slowest) * 1000:.1f} ms (bar {bar * 1000:g} ms); in quiet {quiet * 1000:.1f} ms"
            )
            missed = missed or max(slowest) > bar
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in rounds], indent=2) + "\n")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()

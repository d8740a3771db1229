"""What an agent costs while nothing happens: its CPU and memory beside those of a bare broker at rest.

Measured at the same time: a broker with its agent, one whose agent has the HTTP API, and a RabbitMQ broker
without either, to which the ratios are. CPU is per cent of one core, with that of children that have ended.
Medians of the rounds.

    ./dev bench idle [--seconds 20] [--rounds 3] [--json FILE]
"""

import argparse
import json
import statistics
import time
from dataclasses import asdict
from pathlib import Path

from common import Usage, usage

from rabbitkeeper.compose.local import Local

NODE = "node1"
SETTLE = 20.0  # seconds: the boot's last work, replicas and the first statistics
BARE = "bare broker"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write all rounds to this file")
    options = parser.parse_args()
    with (
        Local(members=1, group="plain") as plain,
        Local(members=1, group="api", api=True) as api,
        Local(zookeepers=0, members=1, agents=False) as bare,
    ):
        plain.wait_ready()
        api.wait_ready()
        time.sleep(SETTLE)
        pids = {
            "agent": plain.agent_pid(NODE),
            "agent with HTTP API": api.agent_pid(NODE),
            "broker with an agent": plain.broker_pid(NODE),
            BARE: bare.broker_pid(NODE),
        }
        there = {name: pid for name, pid in pids.items() if pid is not None}
        if len(there) < len(pids):
            raise SystemExit(f"not running: {', '.join(pids.keys() - there.keys())}; see {plain.folder}")
        rounds = [usage(there, options.seconds) for _ in range(options.rounds)]
    show(rounds)
    if options.json is not None:
        plainly = [{name: asdict(used) for name, used in one.items()} for one in rounds]
        options.json.write_text(json.dumps(plainly, indent=2) + "\n")


def show(rounds: list[dict[str, Usage]]) -> None:
    """A row for each process: medians, the highest, and the ratio of the medians to the bare broker's."""
    bare_cpu = statistics.median(one[BARE].cpu for one in rounds)
    bare_rss = statistics.median(one[BARE].rss for one in rounds)
    print(f"{'':22}{'CPU %':>8}{'highest':>9}{'ratio':>8}{'RSS MB':>9}{'ratio':>8}")
    for name in rounds[0]:
        cpu = [one[name].cpu for one in rounds]
        rss = statistics.median(one[name].rss for one in rounds)
        ratio = f"{statistics.median(cpu) / bare_cpu:.2f}" if bare_cpu else "-"
        print(
            f"{name:22}{statistics.median(cpu):8.2f}{max(cpu):9.2f}{ratio:>8}{rss:9.1f}{rss / bare_rss:8.2f}"
        )


if __name__ == "__main__":
    main()

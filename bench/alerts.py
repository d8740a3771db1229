"""Faults of a live group against the alerts: which fire at each, and when they clear.

    ./dev bench alerts [--fault 'broker killed' …] [--factor 10] [--json FILE] [--keep]

A group of three and three ZooKeeper servers, and a real Prometheus that scrapes the agents every 2 s, with
the rules of ``rabbitkeeper agent --print-alerts``. Each fault is struck at the leader. One that the group
does not mend by itself lasts until its alerts fire; where none is to fire, for a minute, which is as long as
rules wait, but for that of a pause. Then everything is repaired, and the group must be whole and every alert
over. What the rules remember or put up with for longer than a minute (10 and 15 minutes, an hour) is divided
by ``--factor``; all else is as it is shipped. Faults that cut a network need root and are left out without.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from alerting.cases import CASES, Case
from alerting.faults import ZOOKEEPERS, Stage
from alerting.log import HEAD, AlertLog, Outcome, outcome
from alerting.prometheus import Prometheus
from alerting.rules import hastened
from common import NotInTime, wait

from rabbitkeeper.agent import monitoring
from rabbitkeeper.compose.demo.observer import Observer
from rabbitkeeper.compose.local import Local
from rabbitkeeper.compose.local.guardian import Guardian
from rabbitkeeper.compose.local.network import why_not

FIRES_WITHIN = (
    180.0  # seconds from a fault to the last of its alerts, but for the rule that waits for an hour
)
HOUR = 3600.0  # seconds
OVER_WITHIN = 300.0  # seconds from the repair until all is quiet
QUIET = 60.0  # seconds that a fault lasts which is to fire nothing
CALM = 6.0  # seconds of silence that are the end: three evaluations
LOOK = 0.5  # seconds between two looks at Prometheus


class Bench:
    """One group with its Prometheus."""

    def __init__(
        self, local: Local, stage: Stage, observer: Observer, prometheus: Prometheus, factor: float
    ) -> None:
        self._hour = HOUR / factor
        self._local = local
        self._stage = stage
        self._observer = observer
        self._prometheus = prometheus

    def run(self, case: Case) -> Outcome:
        """Make one fault, undo it, and see what fires meanwhile."""
        fault, log = case.fault, AlertLog()
        if not self._watch(AlertLog(), lambda log: log.quiet and self._is_whole(), OVER_WITHIN):
            raise NotInTime(f"the group is not whole, or alerts are left; see {self._local.folder}")
        member = wait(lambda: self._observer.leader, "somebody leads", OVER_WITHIN)
        print(f"{fault.name}: {fault.says.format(target=member)}", flush=True)
        patience = FIRES_WITHIN + self._hour * case.waits_an_hour
        struck = time.monotonic()
        fault.strike(self._stage, member)
        if case.fires:
            self._watch(log, lambda log: case.fires <= log.fired.keys(), patience)
        else:
            self._watch(log, lambda _: time.monotonic() > struck + QUIET, patience)
        repaired = None
        if fault.repair is not None:
            repaired = time.monotonic()
            fault.repair(self._stage, member)
        calm = Lasting(CALM)
        self._watch(log, lambda log: calm.met(log.quiet and self._is_whole()), OVER_WITHIN)
        found = outcome(
            fault.name, log, struck=struck, repaired=repaired, expected=case.fires, tolerated=case.may
        )
        print(found.row(), flush=True)
        return found

    def _is_whole(self) -> bool:
        return self._observer.is_whole() and self._prometheus.targets_up() == len(self._local.members)

    def _watch(self, log: AlertLog, over: Callable[[AlertLog], bool], patience: float) -> bool:
        """Take down what Prometheus says until something is so; False if that takes too long."""
        deadline = time.monotonic() + patience
        while True:
            log.note(self._prometheus.alerts(), time.monotonic())
            if over(log):
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(LOOK)


class Lasting:
    """Whether something is so at each look for some seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = None

    def met(self, so: bool) -> bool:
        now = time.monotonic()
        self._since = (now if self._since is None else self._since) if so else None
        return self._since is not None and now - self._since >= self._seconds


def chosen(names: Sequence[str], *, networks: bool) -> list[Case]:
    """The cases of these names, all for none, without those that cannot be had here."""
    known = {case.fault.name: case for case in CASES}
    for name in names:
        if name not in known:
            raise SystemExit(f"there is no fault {name!r}; there are: {', '.join(known)}")
    cases = [known[name] for name in names] or list(CASES)
    for case in cases:
        if case.networks and not networks:
            print(f"{case.fault.name} is left out: {why_not()}")
    return [case for case in cases if networks or not case.networks]


def measure(cases: Sequence[Case], *, networks: bool, factor: float, keep: bool) -> list[Outcome]:
    with (
        tempfile.TemporaryDirectory() as folder,
        Guardian() as guardian,
        Local(
            zookeepers=ZOOKEEPERS,
            api=True,
            networks=networks,
            keep=keep,
            agent_settings={
                "hooks": {"leader_elected": ["/usr/bin/test", "!", "-e", str(Path(folder) / "fail")]}
            },
        ) as local,
    ):
        local.wait_ready(240)
        if keep:
            print(f"logs: {local.folder}")
        observer = Observer(local.zookeeper_hosts, local.group, local.members)
        observer.start()
        targets = [local.api(name).removeprefix("http://") for name in local.members]
        rules = hastened(monitoring.alerts(), factor)
        prometheus = Prometheus(guardian, local.reserve_port(), targets, rules)
        prometheus.wait_ready()
        stage = Stage(local, lambda: observer.leader, Path(folder) / "fail", networks=networks)
        bench = Bench(local, stage, observer, prometheus, factor)
        found: list[Outcome] = []
        try:
            found.extend(bench.run(case) for case in cases)
        except NotInTime as error:
            print(error)
        finally:
            observer.stop()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fault", action="append", default=[], help="only this; may be given again")
    parser.add_argument("--factor", type=float, default=10.0, help="by which long times are divided")
    parser.add_argument("--keep", action="store_true", help="leave the folder with the logs")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    networks = why_not() is None
    cases = chosen(options.fault, networks=networks)
    found = measure(cases, networks=networks, factor=options.factor, keep=options.keep)
    print("\n".join(("", HEAD, *(one.row() for one in found))))
    if options.json:
        plain = [
            {**asdict(one), "expected": sorted(one.expected), "tolerated": sorted(one.tolerated)}
            for one in found
        ]
        options.json.write_text(json.dumps(plain, indent=2) + "\n")
    sys.exit(1 if len(found) < len(cases) or any(one.problems for one in found) else 0)


if __name__ == "__main__":
    main()

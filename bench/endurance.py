"""A hundred faults in a row by chance, under load: nothing lost, in order, and nothing grows.

    ./dev bench endurance [--count 100] [--seed N] [--faults KIND,KIND] [--held 20] [--at leader|follower]
                          [--agreement] [--keep]

Three brokers with agents; four publishers with a client and a quorum queue each, and a consumer of each
queue with a client of its own. Each fault strikes the leader, or with ``--at follower`` another
(``faults.py``): its broker is killed, or stopped (SIGSTOP) until its agent ends it, or broker and agent are
killed together, the operator has it restarted or moves the lead, it has a memory alarm, its queues are led
elsewhere, its host stands still for ``--held`` seconds; and, as root, that host is cut off meanwhile, or
its node or its broker is, from all or from one other broker. The next fault comes when every publisher has
had a confirm since, and the group is whole again. What is looked for: nothing lost, nothing out of a
publisher's order (duplicates aside: a broker that is stopped keeps what it has delivered until it is
declared dead, and gives it out again after later messages), and threads, sockets and memory of this process
as they were. Of a fault that lasts it also tells how long after its end the last message came that had been
confirmed by then; ``--agreement`` has each node asked for its cluster while the group calls itself whole,
and tells for how long it did so while they disagreed. Takes about 25 s a fault on a quiet machine with two
cores.
"""

import argparse
import gc
import os
import random
import statistics
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from common import others, wait
from faults import Fault, faults
from splits.agreement import Agreement

from rabbitkeeper.client import Client, Queue, RabbitKeeperError
from rabbitkeeper.compose.demo.observer import Observer
from rabbitkeeper.compose.local import Local
from rabbitkeeper.compose.local.network import why_not

PUBLISHERS = 4
PAUSE = 0.01  # seconds between a publisher's messages
PATIENCE = 180.0  # seconds for any one wait
SETTLED = 10  # rounds after which, and before whose end, a sample counts


@dataclass(slots=True)
class StreamLog:
    """One publisher's messages, numbered from 1. Of a size that does not grow with their count."""

    published: int = 0  # the last number that was confirmed or has failed
    failed: set[int] = field(default_factory=set)
    confirmed_at: float = 0.0
    longest: float = 0.0  # seconds between two confirms, since this was last set to 0
    highest: int = 0  # delivered
    missing: set[int] = field(default_factory=set)  # below the highest, not delivered
    late: int = 0  # first delivered after a higher one: out of order
    returned: int = 0  # the same, but the broker says that it had delivered it before: to a lost connection
    again: int = 0  # delivered before: a duplicate
    due: int = 0  # what had been confirmed when the last fault ended
    due_at: float = 0.0  # when the last of these was first delivered

    def delivered(self, number: int, *, redelivered: bool) -> None:
        if number <= self.due and (number > self.highest or number in self.missing):
            self.due_at = time.monotonic()
        if number > self.highest:
            self.missing.update(range(self.highest + 1, number))
            self.highest = number
        elif number in self.missing:
            self.missing.remove(number)
            if redelivered:
                self.returned += 1
            elif number not in self.failed:
                self.late += 1
        else:
            self.again += 1

    def owes(self) -> bool:
        """Whether something has not been delivered that had been confirmed when the last fault ended."""
        return self.highest < self.due or any(n <= self.due for n in self.missing.copy() - self.failed)

    def lost(self) -> set[int]:
        """Confirmed and not delivered."""
        beyond = range(self.highest + 1, self.published + 1)
        return (self.missing | set(beyond)) - self.failed


class Stream:
    """A publisher and a consumer of one queue, with a client and a thread each."""

    def __init__(self, local: Local, number: int, stopping: threading.Event) -> None:
        self.log = StreamLog()
        self._queue = f"endurance-{number}"
        self._stopping = stopping
        where = (local.zookeeper_hosts, local.group, local.credentials)
        self.producer = Client(*where, name=f"publisher-{number}")
        self.consumer = Client(*where, name=f"consumer-{number}")
        self.producer.declare(Queue(self._queue))
        self.consumer.declare(Queue(self._queue))
        self._thread = threading.Thread(target=self._publish)
        self._workers = self.consumer.on_message(
            self._queue,
            lambda message: self.log.delivered(int(message.body), redelivered=message.redelivered),
        )
        self._thread.start()

    def _publish(self) -> None:
        log = self.log
        while not self._stopping.wait(PAUSE):
            number = log.published + 1
            try:
                self.producer.publish("", self._queue, b"%d" % number, timeout=60.0)
                now = time.monotonic()
                if log.confirmed_at:
                    log.longest = max(log.longest, now - log.confirmed_at)
                log.confirmed_at = now
            except RabbitKeeperError as error:
                log.failed.add(number)
                print(f"  {self._queue}: message {number}: {type(error).__name__}: {error}", flush=True)
            log.published = number

    def finish(self) -> None:
        """Everything that was confirmed has been delivered, or will never be."""
        self._thread.join(70)
        deadline = time.monotonic() + 60
        while self.log.lost() and time.monotonic() < deadline:
            time.sleep(0.1)
        self.producer.close(1)
        self.consumer.close(1)


@dataclass(frozen=True, slots=True)
class Sample:
    """What this process holds."""

    threads: int
    files: int  # open: sockets, mostly
    memory: int  # resident, kilobytes

    @classmethod
    def take(cls) -> "Sample":
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        files = len(list(Path("/proc/self/fd").iterdir()))
        return cls(threading.active_count(), files, pages * os.sysconf("SC_PAGE_SIZE") // 1024)


@dataclass(frozen=True, slots=True)
class Round:
    """What one fault cost. Seconds from the fault, which may itself last."""

    fault: str
    gap: float  # the longest pause between two confirms of any publisher
    whole: float
    restarted: bool  # the member's broker
    late: float | None = None  # from the end of one that lasts to the last message confirmed by then
    disagreed: float = 0.0  # for how long the group called itself whole and its nodes disagreed


class Endurance:
    """The group, and what is done to it."""

    def __init__(self, local: Local, options: argparse.Namespace, *, networks: bool) -> None:
        self._local = local
        self._random = random.Random(options.seed)
        self._faults = _chosen(
            faults(local, networks=networks, held=options.held, ended=self._ended), options.faults
        )
        self._follower: bool = options.at == "follower"
        self._agreement: bool = options.agreement
        self._over = 0.0  # when the last fault ended; 0: it has not lasted
        self._observer = Observer(local.zookeeper_hosts, local.group, local.members)
        self._observer.start()
        self._stopping = threading.Event()
        self.streams = [Stream(local, number, self._stopping) for number in range(PUBLISHERS)]
        self.samples: list[Sample] = []
        self.rounds: list[Round] = []

    def strike(self, number: int) -> None:
        """One fault."""
        leader = wait(lambda: self._observer.leader, "somebody leads", PATIENCE)
        member = self._random.choice(others(self._local, leader)) if self._follower else leader
        pid, instance = self._local.broker_pid(member), self._instance(member)
        fault = self._random.choice(self._faults)
        for stream in self.streams:
            stream.log.longest = 0.0
        self._over = 0.0
        agreement = Agreement(self._local, self._observer)
        if self._agreement:
            agreement.start()
        struck = time.monotonic()
        fault.strike(member)
        healed = time.monotonic()
        wait(
            lambda: all(stream.log.confirmed_at > healed for stream in self.streams),
            "every publisher has had a confirm since",
            PATIENCE,
        )
        if fault.replaced:
            # A stopped broker may have confirmed after the signal was sent: its process must be another.
            wait(
                lambda: self._local.broker_pid(member) not in (pid, None),
                f"{member} has another broker process",
                PATIENCE,
            )
        if fault.forgets:
            # What the dead agent said last stands there until its session ends, and its lead does too.
            wait(
                lambda: self._instance(member) not in (instance, None),
                f"the new agent of {member} is there",
                PATIENCE,
            )
        wait(self._observer.is_whole, "the group is whole again", PATIENCE)
        whole = time.monotonic() - struck
        wait(
            lambda: all(stream.consumer.status().consumers == 1 for stream in self.streams),
            "every consumer is there",
            PATIENCE,
        )
        wait(
            lambda: not any(stream.log.owes() for stream in self.streams),
            "what was confirmed when the fault ended has been delivered",
            PATIENCE,
        )
        if self._agreement:
            agreement.finish()
        late = None
        if self._over:
            late = max(0.0, *(stream.log.due_at - self._over for stream in self.streams))
        gap = max(stream.log.longest for stream in self.streams)
        another = self._local.broker_pid(member) != pid
        self.rounds.append(Round(fault.name, gap, whole, another, late, agreement.disagreed))
        self.samples.append(Sample.take())
        print(
            f"{number:3}. {member}: {fault.name:24} gap {gap:6.3f} s, whole after {whole:4.1f} s, "
            + ("" if late is None else f"last of before {late:4.1f} s, ")
            + (f"disagreed {agreement.disagreed:.1f} s, " if self._agreement else "")
            + f"{self.samples[-1]}",
            flush=True,
        )

    def _ended(self) -> None:
        """A fault that has lasted ends: what is confirmed by now is waited for."""
        self._over = time.monotonic()
        for stream in self.streams:
            stream.log.due = stream.log.published

    def _instance(self, member: str) -> str | None:
        """Which run of a member's agent ZooKeeper knows."""
        view = self._observer.view
        return view.members[member].record.instance if view and member in view.members else None

    def finish(self) -> None:
        self._stopping.set()
        for stream in self.streams:
            stream.finish()
        self._observer.stop()


def report(endurance: Endurance) -> bool:
    logs = [stream.log for stream in endurance.streams]
    total = Counter(
        published=sum(log.published for log in logs),
        failed=sum(len(log.failed) for log in logs),
        lost=sum(len(log.lost()) for log in logs),
        out_of_order=sum(log.late for log in logs),
        redelivered_late=sum(log.returned for log in logs),
        duplicated=sum(log.again for log in logs),
    )
    print(f"{'fault':24} times  gap: median  worst  whole: median  worst  broker another")
    for name in sorted({one.fault for one in endurance.rounds}):
        its = [one for one in endurance.rounds if one.fault == name]
        gaps, wholes = [one.gap for one in its], [one.whole for one in its]
        print(
            f"{name:24} {len(its):5}  {statistics.median(gaps):9.2f} s {max(gaps):6.2f} s "
            f"{statistics.median(wholes):10.1f} s {max(wholes):6.1f} s {sum(one.restarted for one in its):8}"
        )
        late = [one.late for one in its if one.late is not None]
        if late:
            print(
                f"{'':24} last message confirmed before its end: median {statistics.median(late):.1f} s, "
                f"worst {max(late):.1f} s after it; said to be whole while nodes disagreed: "
                f"{max(one.disagreed for one in its):.1f} s at the most"
            )
    print(", ".join(f"{key.replace('_', ' ')} {total[key]}" for key in total))
    well = not total["lost"] and not total["out_of_order"]
    part = max(1, min(SETTLED, len(endurance.samples) // 3))
    for what in ("threads", "files", "memory"):
        found = [getattr(sample, what) for sample in endurance.samples]
        first, last = statistics.median(found[:part]), statistics.median(found[-part:])
        flat = last <= first * 1.1 + 3
        well = well and flat
        print(f"{what}: {first:g} in the first rounds, {last:g} in the last: {'flat' if flat else 'GROWS'}")
    return well


def _chosen(found: list[Fault], wanted: str | None) -> list[Fault]:
    there = {fault.name: fault for fault in found}
    names = list(there) if wanted is None else [name.strip() for name in wanted.split(",")]
    for name in names:
        if name not in there:
            raise SystemExit(f"--faults: there is no {name!r}; there are: {', '.join(there)}")
    return [there[name] for name in names]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--keep", action="store_true", help="leave the folder with the logs")
    parser.add_argument("--faults", help="these kinds alone, a comma between two")
    parser.add_argument("--held", type=float, default=20.0, help="seconds that a pause or a cut lasts")
    parser.add_argument("--at", choices=("leader", "follower"), default="leader", help="who is struck")
    parser.add_argument("--agreement", action="store_true", help="ask the nodes of one another meanwhile")
    options = parser.parse_args()
    unable = why_not()
    if unable:
        print(f"no cable is cut: {unable}", flush=True)
    print(f"seed {options.seed}", flush=True)
    started = time.monotonic()
    # A broker that dies all the time is given up: here that is what is wanted of it.
    patient = {"broker": {"restart_limit": 1000}}
    with Local(
        zookeepers=1,
        members=3,
        session_timeout=4.0,
        keep=options.keep,
        agent_settings=patient,
        networks=not unable,
    ) as local:
        local.wait_ready(180)
        endurance = Endurance(local, options, networks=not unable)
        stopped: BaseException | None = None
        try:
            for number in range(1, options.count + 1):
                endurance.strike(number)
        except (SystemExit, KeyboardInterrupt, RabbitKeeperError) as error:  # what came before counts
            stopped = error
        finally:
            endurance.finish()
    print(f"{len(endurance.rounds)} faults in {(time.monotonic() - started) / 60:.1f} minutes")
    well = bool(endurance.rounds) and report(endurance)
    if stopped is not None:
        print(f"it ended over: {stopped or type(stopped).__name__}")
    sys.exit(0 if well and stopped is None else 1)


if __name__ == "__main__":
    main()

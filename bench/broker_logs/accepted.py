"""How many connections a broker has accepted, by its own log; agents' connections are among them."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

ACCEPTING = re.compile(r"^(?P<when>\S+ \S+) \[info\] \S+ accepting AMQP connection ")
"""A line of RabbitMQ 3.10 to 4.3 at the level ``info``, its default."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """Of one broker, since a moment."""

    count: int
    most: int  # in any one second


def accepted(lines: Iterable[str], since: datetime) -> Accepted:
    """Count what a log tells.

    Args:
        lines: of the log; in any order.
        since: what was logged before does not count; with a time zone. Seconds are counted from here.
    """
    seconds: Counter[int] = Counter()
    for line in lines:
        found = ACCEPTING.match(line)
        if found is None:
            continue
        when = datetime.fromisoformat(found["when"])
        if when >= since:
            seconds[(when - since) // timedelta(seconds=1)] += 1
    return Accepted(seconds.total(), max(seconds.values(), default=0))


def accepted_at(logs: Path, since: datetime) -> Accepted:
    """Count at one broker, by its folder of logs; of one that has been rotated away nothing is seen."""
    files = [path for path in logs.glob("*.log") if path.name != "agent.log"]
    return accepted((line for path in files for line in path.read_text(errors="replace").splitlines()), since)

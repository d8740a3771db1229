"""The agents' rules with a shorter memory, so that one sees an alert clear without waiting for an hour.

Pure. Times of a minute and less stand as they are: they are what faults are measured by. Longer ones say how
long something is remembered or put up with, and are divided.
"""

import re

KEPT = 60.0  # seconds: what is not longer stays
_SECONDS = {"s": 1, "m": 60, "h": 3600}
# Of YAML's `for:`, and of PromQL's ranges and offsets.
_DURATION = re.compile(r"(?P<before>\bfor: |\[|\boffset )(?P<number>\d+)(?P<unit>[smh])\b")


def hastened(rules: str, factor: float) -> str:
    """The rules with every time that is longer than a minute divided.

    Args:
        rules: as ``rabbitkeeper agent --print-alerts`` prints them.
        factor: by what; a minute is divided by nothing, however large it is.
    """

    def shorter(found: re.Match[str]) -> str:
        seconds = int(found["number"]) * _SECONDS[found["unit"]]
        if seconds <= KEPT:
            return found[0]
        return f"{found['before']}{max(1, round(seconds / factor))}s"

    return _DURATION.sub(shorter, rules)

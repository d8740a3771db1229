"""What to tell people of a broker's last log lines. Pure.

They end in a member's record, which every client can read, so a line that may hold a secret is left out; and
they are few and short, since the record is not a log.
"""

import re
from collections.abc import Sequence

LINES = 3
LENGTH = 240  # characters of a line

_MAY_HOLD_A_SECRET = re.compile(r"pass|secret|cookie|token|credential|private", re.IGNORECASE)
_TELLS = re.compile(r"error|fail|refused|denied|cannot|could not|unable|no space|eaddr", re.IGNORECASE)
_ERROR = re.compile(r"\[(error|critical)\]")
_STAMP = re.compile(r"^\d{4}-\d\d-\d\d \S+ (?:\[\w+\] ?)?(?:<[\d.]+> ?)?")
_BOOT_FAILED = "BOOT FAILED"
_WHY = "Error during startup:"
_WHY_LINES = 20  # an Erlang term is folded into so many at most that are looked at


def telling(lines: Sequence[str]) -> tuple[str, ...]:
    """The few lines that say most.

    RabbitMQ says ``BOOT FAILED`` and why, often after an error that says it better; pages of Erlang follow.
    Without that it is the last lines that speak of a failure, or else just the last.

    Args:
        lines: the end of a log.
    """
    # The last time: what precedes may be of an earlier boot. Each says it twice, logged and printed.
    failed = max((at for at, line in enumerate(lines) if _BOOT_FAILED in line), default=None)
    if failed is None:
        shown = _shown(lines)
        return tuple(([line for line in shown if _TELLS.search(line)] or shown)[-LINES:])
    errors = (line for line in lines[:failed] if _ERROR.search(line))
    before = _shown([line for line in errors if _BOOT_FAILED not in line and _WHY not in line])
    return (*before[-(LINES - 1) :], *_shown([_why(lines[failed:])]))


def _why(lines: Sequence[str]) -> str:
    """What RabbitMQ says of it, on one line."""
    said = [_STAMP.sub("", line).strip() for line in lines]
    start = next((at for at, line in enumerate(said) if line.startswith(_WHY)), None)
    if start is None:
        return _BOOT_FAILED
    end = next((at for at in range(start, len(said)) if not said[at]), len(said))
    return " ".join(said[start : min(end, start + _WHY_LINES)])


def _shown(lines: Sequence[str]) -> list[str]:
    """Without stamps, repetitions, empty lines and secrets, and cut to a length."""
    said = (" ".join(_STAMP.sub("", line).split()) for line in lines)
    kept = dict.fromkeys(
        line for line in said if any(map(str.isalpha, line)) and not _MAY_HOLD_A_SECRET.search(line)
    )
    return [line if len(line) <= LENGTH else line[:LENGTH] + "…" for line in kept]

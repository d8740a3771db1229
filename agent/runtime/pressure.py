"""Whether this host is starved of processor, disk or memory: the kernel's pressure stall information.

What is starved is slow to answer, the broker as well as anything else. Where the kernel tells nothing (before
4.20, or not built in) the loop's own lag is all there is (``lag.py``).

(Linux, *PSI*, Documentation/accounting/psi.rst: ``some`` is the share of time in which at least one task
waited, ``full`` that in which all did.)
"""

from pathlib import Path

SHARES = {"cpu": ("some", 80.0), "io": ("full", 40.0), "memory": ("full", 10.0)}
"""Percent of the last 10 s: where a broker on two processors begins to miss answers of 2 s. Memory is rarer
and worse: systemd-oomd ends processes at 60 % over 30 s."""


def starved(directory: Path = Path("/proc/pressure")) -> bool:
    """Whether the host is, in the last ten seconds.

    Args:
        directory: the kernel's.
    """
    return any(share(_read(directory / what), line) >= limit for what, (line, limit) in SHARES.items())


def share(text: str, line: str) -> float:
    """The percentage of the last 10 s in one line of a file; 0 if it is not there.

    Args:
        text: the file's.
        line: ``some`` or ``full``.
    """
    for each in text.splitlines():
        kind, _, fields = each.partition(" ")
        if kind == line:
            for field in fields.split():
                name, _, value = field.partition("=")
                if name == "avg10":
                    try:
                        return float(value)
                    except ValueError:
                        return 0.0
    return 0.0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""

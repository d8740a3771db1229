"""Feeds a parser what is nearly right: good inputs, broken by chance in the ways that find mistakes.

A target is given an input and returns if that was taken, or refused the way it should be; anything that it
raises is a finding. The same seed makes the same inputs.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

Target = Callable[[bytes], object]

_ODD = [
    *(
        b"\0",
        b"\n",
        b"\r\n",
        b"\xff",
        b"\xc3",
        b"\x1b[31m",
        b"\xe2\x80\xae",
        b"\xed\xb3\xbf",
        b"\xef\xbb\xbf",
    ),
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b'"',
        b"'",
        b":",
        b",",
        b"&a ",
        b"*a",
        b"!!",
        b"%",
        b"@",
        b"~",
        b"\\",
        b"\\u0000",
    ),
    *(b"NaN", b"-Infinity", b"1e999", b"null", b"true", b"015672", b"1:30", b"2026-02-30", b"9" * 400),
    *(b"\xc2\xb2", b"\xd9\xa3", b"../", b"//", b"?", b"#", b"[/x]", b"0.0.0.0", b"[fe80::1%eth0]:1", b"+10m"),
    *(b"0001-01-01T00:00:00+14:00", b"9999-12-31T23:59:59-14:00", b"[" * 300, b"{a: " * 60, b"x" * 3000),
]

_LONGEST = 20_000  # bytes of an input


@dataclass
class Report:
    """What a run has found.

    Attributes:
        tried: inputs.
        findings: an input and what it raised, one for each kind of error and place.
    """

    tried: int = 0
    findings: dict[str, tuple[bytes, BaseException]] = field(default_factory=dict)

    def __str__(self) -> str:
        found = [f"{where}: {data[:200]!r}" for where, (data, _) in self.findings.items()]
        return f"{self.tried} inputs, {len(found)} findings\n" + "\n".join(found)


def broken(good: Sequence[bytes], random: Random) -> bytes:
    """One of ``good`` with a few things wrong with it."""
    data = random.choice(good)
    for _ in range(random.choice((0, 1, 1, 1, 2, 3, 8))):
        at, to = sorted(random.choices(range(len(data) + 1), k=2))
        match random.randrange(7):
            case 0:
                data = data[:at] + random.choice(_ODD) + data[at:]
            case 1:
                data = data[:at] + random.choice(_ODD) + data[to:]
            case 2:
                data = data[:at] + data[to:]
            case 3:
                data = data[:at] + data[at:to] * random.choice((2, 2, 30)) + data[to:]
            case 4:
                data = data[:at] + random.randbytes(random.randrange(1, 9)) + data[at:]
            case 5 if at < len(data):
                data = data[:at] + bytes([data[at] ^ (1 << random.randrange(8))]) + data[at + 1 :]
            case _:
                other = random.choice(good)
                data = data[:at] + other[random.randrange(len(other) + 1) :]
        data = data[:_LONGEST]
    return data


def run(
    target: Target,
    good: Sequence[bytes],
    *,
    seed: int,
    count: int | None = None,
    seconds: float | None = None,
) -> Report:
    """Try ``count`` inputs, or as many as there are in ``seconds``."""
    random, report = Random(seed), Report()
    deadline = None if seconds is None else time.monotonic() + seconds
    while (count is None or report.tried < count) and (deadline is None or time.monotonic() < deadline):
        data = broken(good, random)
        report.tried += 1
        try:
            target(data)
        except Exception as error:  # noqa: BLE001 - what is looked for
            report.findings.setdefault(_where(error), (data, error))
    return report


def _where(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = (
        ""
        if trace is None
        else f" at {trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}"
    )
    return f"{type(error).__name__}{place}"

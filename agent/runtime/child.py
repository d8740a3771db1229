"""What a program that the agent starts for an operator gets of the agent, and what it does not."""

import contextlib
from pathlib import Path

# Linux refuses a whole program for one variable of 128 KiB (MAX_ARG_STRLEN in execve(2)).
LONGEST = 8192  # bytes of one variable's value


def fitting(value: str) -> str:
    """``value`` as a variable can hold it: without NUL, and cut where it is very long."""
    encoded = value.replace("\0", "").encode(errors="backslashreplace")
    if len(encoded) <= LONGEST:
        return encoded.decode()
    return encoded[: LONGEST - 3].decode(errors="ignore") + "…"


def be_an_ordinary_process(pid: int) -> None:
    """The agent's unit may ask that it be spared when memory runs out; what it starts should not be."""
    file = Path(f"/proc/{pid}/oom_score_adj")
    with contextlib.suppress(OSError, ValueError):  # it has ended, or there is no such thing here
        if int(file.read_text()) < 0:
            file.write_text("0")

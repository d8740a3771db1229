"""Keys from a terminal, one at a time and without an Enter; the terminal is left as it was."""

import os
import select
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager

_ARROWS = {b"\x1b[A": "up", b"\x1b[B": "down", b"\x1bOA": "up", b"\x1bOB": "down"}
_AT_ONCE = 64  # bytes: more than anybody types between two looks


@contextmanager
def unbuffered(terminal: int) -> Iterator[None]:
    """Keys come at once and are not echoed. Ctrl-C stays what it is.

    Args:
        terminal: its descriptor.
    """
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal, termios.TCSANOW)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


class Bell:
    """Ends a wait for keys from another thread."""

    def __init__(self) -> None:
        self._reads, self._writes = os.pipe()

    def ring(self) -> None:
        os.write(self._writes, b"!")

    def close(self) -> None:
        os.close(self._reads)
        os.close(self._writes)

    def wait(self, terminal: int | None, timeout: float | None) -> list[str]:
        """Wait for keys, for :meth:`ring` or for so many seconds.

        Args:
            terminal: its descriptor; None: no keys.

        Returns:
            The keys: characters, ``up`` and ``down``; ``q`` when the terminal is gone.
        """
        sources = [self._reads] if terminal is None else [self._reads, terminal]
        ready, _, _ = select.select(sources, [], [], timeout)
        if self._reads in ready:
            os.read(self._reads, _AT_ONCE)
        return keys(_typed(terminal)) if terminal is not None and terminal in ready else []


def keys(typed: bytes) -> list[str]:
    """The keys in what a terminal has sent; those that are not known are left out."""
    found = []
    while typed:
        arrow = next((sequence for sequence in _ARROWS if typed.startswith(sequence)), None)
        if arrow is not None:
            found.append(_ARROWS[arrow])
            typed = typed[len(arrow) :]
        elif typed[:1] == b"\x1b":
            break  # some other key, or Alt with one
        else:
            found.append(typed[:1].decode("latin-1"))
            typed = typed[1:]
    return found


def _typed(terminal: int) -> bytes:
    try:
        return os.read(terminal, _AT_ONCE) or b"q"
    except OSError:  # it was hung up
        return b"q"

"""Ctrl-C and SIGTERM in a command that has something under way: they are noted, and end only what waits.

An exception that came at any moment could come between the sending of a message and the noting of it. So it
is raised only in a section that says that it may be, and looked for otherwise.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class CommandInterrupted(BaseException):
    """The command was asked to end."""


class Interrupts:
    """For ``with``: in the block the signals are this object's. Only on the main thread do any come."""

    def __init__(self) -> None:
        self.number: int | None = None  # of the last signal that asked for the end
        self._asked = False
        self._may_raise = False
        self._before: dict[int, Any] = {}

    def check(self) -> None:
        """Raise :class:`CommandInterrupted` if the command was asked to end since that was last raised."""
        if self._asked:
            self._asked = False
            raise CommandInterrupted

    @contextmanager
    def may_come(self) -> Iterator[None]:
        """A section that waits, and that a signal ends with :class:`CommandInterrupted`."""
        try:
            self._may_raise = True
            self.check()  # behind the flag: one that came just before it has not raised
            yield
        finally:
            self._may_raise = False

    @property
    def exit_code(self) -> int:
        """As shells have it: 128 and the signal's number."""
        return 0 if self.number is None else 128 + self.number

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._before[number] = signal.signal(number, self._came)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _came(self, number: int, _frame: FrameType | None) -> None:
        self.number = number
        self._asked = True
        if self._may_raise:
            self._may_raise = False
            self.check()

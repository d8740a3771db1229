"""The agent's log, on standard error; libraries speak only when something is amiss.

Lines for people; or JSON, an object a line; or, where standard error is systemd's journal, records with
fields.
"""

import logging
import os
import sys
from collections.abc import Callable
from typing import Any

from rabbitkeeper.agent.runtime.journal import JournalHandler, is_journal
from rabbitkeeper.coordinator.json_lines import JsonLines
from rabbitkeeper.coordinator.model.text import printable

# What these report is reported by us, in sentences, once; pika logs each refused connection as an error.
_QUIET = {"pika": logging.CRITICAL, "kazoo": logging.ERROR}
_STDERR = 2


class OneLine(logging.Formatter):
    """What others have written into a message begins no line of its own, and moves no cursor."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return printable(super().formatException(ei), keep="\n")


class LogContext:
    """What all lines of this process are about.

    Attributes:
        group, member: whose log it is.
        epoch: asked for the epoch of the leader that is known, at each line; must not wait.
        for_machines: fields are kept, so that events are worth lines of their own.
    """

    def __init__(self) -> None:
        self.group: str | None = None
        self.member: str | None = None
        self.epoch: Callable[[], int | None] = lambda: None
        self.for_machines = False

    def fields(self) -> dict[str, object]:
        return {"group": self.group, "member": self.member, "epoch": self.epoch()}


CONTEXT = LogContext()


def set_level(level: str) -> None:
    """Say more or less: ``debug``, ``info``, ``warning`` or ``error``."""
    logging.getLogger("rabbitkeeper").setLevel(level.upper())


def configure(level: str, form: str, group: str, member: str) -> None:
    """Send everything of ours to standard error.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        form: ``text`` or ``json``.
        group, member: whose log it is.
    """
    CONTEXT.group, CONTEXT.member = group, member
    handler = _handler(form, member)
    CONTEXT.for_machines = isinstance(handler, JournalHandler) or form == "json"
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    set_level(level)
    for library, least in _QUIET.items():
        logging.getLogger(library).setLevel(least)


def _handler(form: str, member: str) -> logging.Handler:
    handler: logging.Handler
    lines = OneLine(f"%(asctime)s %(levelname)-8s {member}  %(message)s")
    if form == "json":
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(JsonLines(now=CONTEXT.fields))
        return handler
    to_journal = is_journal(os.environ, _STDERR)
    handler = JournalHandler(CONTEXT.fields) if to_journal else logging.StreamHandler(sys.stderr)
    handler.setFormatter(lines)
    return handler

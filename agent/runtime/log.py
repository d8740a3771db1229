"""The agent's log: lines on standard error, for operators; libraries speak only when something is amiss."""

import logging
import sys
from typing import Any

from rabbitkeeper.coordinator.model.text import printable

# What these report is reported by us, in sentences, once; pika logs each refused connection as an error.
_QUIET = {"pika": logging.CRITICAL, "kazoo": logging.ERROR}


class OneLine(logging.Formatter):
    """What others have written into a message begins no line of its own, and moves no cursor."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return printable(super().formatException(ei), keep="\n")


def set_level(level: str) -> None:
    """Say more or less: ``debug``, ``info``, ``warning`` or ``error``."""
    logging.getLogger("rabbitkeeper").setLevel(level.upper())


def configure(level: str, member: str) -> None:
    """Send everything of ours to standard error.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        member: the member's name, in each line.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine(f"%(asctime)s %(levelname)-8s {member}  %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    set_level(level)
    for library, least in _QUIET.items():
        logging.getLogger(library).setLevel(least)

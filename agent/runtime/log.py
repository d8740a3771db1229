"""The agent's log: lines on standard error, for operators; libraries speak only when something is amiss."""

import logging
import sys

# What these report is reported by us, in sentences, once; pika logs each refused connection as an error.
_QUIET = {"pika": logging.CRITICAL, "kazoo": logging.ERROR}


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
    handler.setFormatter(logging.Formatter(f"%(asctime)s %(levelname)-8s {member}  %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    set_level(level)
    for library, least in _QUIET.items():
        logging.getLogger(library).setLevel(least)

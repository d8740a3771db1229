"""What pika logs of a client's own connections, which the client says better itself, is left out of the log.

pika reports every lost connection as an error, several times. Its loggers are the application's too, which
may use pika by itself: levels and handlers stay as they are, and a filter passes everything but what comes
from a thread that does a client's I/O, or looks a host up for one. Who has pika log at DEBUG sees, of clients
too, that their loop was woken.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

_io_threads: set[int] = set()  # idents


def _is_not_ours(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.CRITICAL or not (record.thread in _io_threads or _resolves_for_us())


def _resolves_for_us() -> bool:
    """Whether this is a thread of pika's that looks a host up for a client: it holds the loop to tell."""
    resolver = getattr(getattr(threading.current_thread(), "function", None), "__self__", None)
    return bool(getattr(getattr(resolver, "_loop", None), "is_of_a_client", False))


def filter_loggers() -> None:
    """Put the filter on pika's loggers, which are those that there are now. Again is no harm."""
    names = [name for name in logging.root.manager.loggerDict if name.split(".")[0] == "pika"]
    for name in names:
        logging.getLogger(name).addFilter(_is_not_ours)


@cache
def warn_once(log: logging.Logger, text: str) -> None:
    """Log a warning that would be the same for each connection of this process."""
    log.warning(text)


@contextmanager
def unlogged() -> Iterator[None]:
    """What pika logs on this thread meanwhile is left out."""
    ident = threading.get_ident()
    _io_threads.add(ident)
    try:
        yield
    finally:
        _io_threads.discard(ident)

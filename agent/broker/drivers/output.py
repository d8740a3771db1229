"""The server's standard output, kept to a bounded size while the server goes on writing to it.

It cannot be renamed away from a process that has it open. But that process appends, so the file can be
emptied under it: the next line lands at the new beginning. A line that is written between the copy and that
moment, microseconds, is lost; RabbitMQ's own log is another file and has all that matters.
"""

import os
from pathlib import Path

MOST = 4 * 1024 * 1024
"""Bytes above which the file is emptied."""

KEPT = 1024 * 1024
"""Bytes of its end that are kept, in a file beside it that ends in ``.1``."""


def trim(file: Path) -> bool:
    """Empty the file if it is too large; False if it is not, or not there.

    Raises:
        OSError: the disk does not let it.
    """
    try:
        size = file.stat().st_size
    except FileNotFoundError:
        return False
    if size <= MOST:
        return False
    with file.open("rb") as source:
        source.seek(size - KEPT)
        new = file.with_name(file.name + ".new")
        new.touch(0o600)
        new.write_bytes(source.read(KEPT))
    new.replace(file.with_name(file.name + ".1"))
    os.truncate(file, 0)
    return True

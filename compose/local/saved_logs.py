"""Keeps what servers have logged when something went wrong with them, for the logs go with their folder.

``SERVER_LOGS`` names the folder where they are kept. Without it those of a group that did not start are kept
in a new one in the temporary folder, and those of a test that failed are not.
"""

import os
import re
import shutil
import tempfile
from pathlib import Path

_FOLDER = "SERVER_LOGS"
_LONGEST = 150  # characters of a folder's name


def save(folder: Path, title: str) -> None:
    """Copy the logs below a folder of servers, if that is wanted.

    Args:
        folder: a group's.
        title: of what went wrong. Names the copy, together with the folder's own name.
    """
    wanted = os.environ.get(_FOLDER)
    if wanted:
        _copy(folder, Path(wanted, re.sub(r"[^\w.-]+", "-", title)[-_LONGEST:].strip("-"), folder.name))


def keep(folder: Path, title: str) -> Path | None:
    """Copy the logs below a folder of servers in any case.

    Returns:
        Where they are; None if nothing has been logged.
    """
    if next(folder.glob("**/*.log"), None) is None:
        return None
    copy = Path(os.environ.get(_FOLDER) or tempfile.mkdtemp(prefix="rabbitkeeper.logs-"), title, folder.name)
    _copy(folder, copy)
    return copy


def _copy(folder: Path, copy: Path) -> None:
    for log in folder.glob("**/*.log"):
        target = copy / log.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(log, target)

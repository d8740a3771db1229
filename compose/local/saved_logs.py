"""Keeps what servers have logged when something went wrong with them, for the logs go with their folder.

``SERVER_LOGS`` names the folder where they are kept; without it none are.
"""

import os
import re
import shutil
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
    if not wanted:
        return
    copy = Path(wanted, re.sub(r"[^\w.-]+", "-", title)[-_LONGEST:].strip("-"), folder.name)
    for log in folder.glob("**/*.log"):
        target = copy / log.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(log, target)

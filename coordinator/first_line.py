"""A secret that lies in a file: its first line, as editors of every system write one."""

from pathlib import Path

_LONGEST = 65536  # bytes


def first_line(file: Path) -> str:
    """The file's first line without its end, and without a byte order mark.

    Raises:
        ValueError: it cannot be read; says why, and nothing of what is in it.
    """
    try:
        with file.open("rb") as opened:
            return opened.readline(_LONGEST).decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        why = "it is not UTF-8"
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "there can be no such file"
    raise ValueError(why)

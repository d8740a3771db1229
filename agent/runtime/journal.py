"""systemd's journal, told in its own protocol: a record's level and fields beside its message.

One datagram a record to the journal's socket (https://systemd.io/JOURNAL_NATIVE_PROTOCOL). Where standard
error is the journal's, lines on it would arrive without level and fields. What the journal does not take at
once goes to standard error as a line: nothing here waits.
"""

import logging
import os
import socket
import sys
from collections.abc import Callable, Mapping

from rabbitkeeper.coordinator.json_lines import known_fields

SOCKET = "/run/systemd/journal/socket"
# syslog(3)'s numbers for the levels of logging.
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG = 7


def is_journal(environ: Mapping[str, str], descriptor: int) -> bool:
    """Whether what is written to ``descriptor`` goes to the journal, as ``JOURNAL_STREAM`` says."""
    try:
        there = os.fstat(descriptor)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{there.st_dev}:{there.st_ino}"


class JournalHandler(logging.StreamHandler):  # type: ignore[type-arg]  # of text, to standard error
    """Records to the journal.

    Args:
        context: what a record's surroundings say of it now.
        address: of the journal's socket.
    """

    def __init__(self, context: Callable[[], Mapping[str, object]], address: str = SOCKET) -> None:
        super().__init__(sys.stderr)
        self._context = context
        self._address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._socket.sendto(self.datagram(record), self._address)
        except OSError:  # it is gone, its queue is full, or the record is too large for it
            super().emit(record)
        except Exception:  # noqa: BLE001 - as every handler: who logs is not to fail for it
            self.handleError(record)

    def datagram(self, record: logging.LogRecord) -> bytes:
        """A record as the journal reads it."""
        priority = next((number for least, number in _PRIORITIES if record.levelno >= least), _DEBUG)
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + logging.Formatter().formatException(record.exc_info)
        fields: dict[str, object] = {
            "MESSAGE": message,
            "PRIORITY": priority,
            "SYSLOG_IDENTIFIER": "rabbitkeeper-agent",
            "CODE_FILE": record.pathname,
            "CODE_LINE": record.lineno,
            "CODE_FUNC": record.funcName,
            "LOGGER": record.name,
        }
        fields |= {
            f"RABBITKEEPER_{name.upper()}": value
            for name, value in known_fields(record, self._context()).items()
        }
        return b"".join(_field(name, str(value)) for name, value in fields.items())

    def close(self) -> None:
        self._socket.close()
        super().close()


def _field(name: str, value: str) -> bytes:
    data = value.encode(errors="backslashreplace")
    if b"\n" not in data:
        return b"%s=%s\n" % (name.encode(), data)
    return b"%s\n%s%s\n" % (name.encode(), len(data).to_bytes(8, "little"), data)

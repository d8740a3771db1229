"""systemd's journal: a real datagram socket in its place."""

import io
import logging
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rabbitkeeper.agent.runtime.journal import JournalHandler, is_journal

CONTEXT = {"group": "orders", "member": "node1", "epoch": None}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "journal"))
        listener.settimeout(10)
        yield listener


@pytest.fixture
def handler(journal: socket.socket) -> Iterator[JournalHandler]:
    handler = JournalHandler(lambda: CONTEXT, journal.getsockname())
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    handler.setStream(io.StringIO())
    yield handler
    handler.close()


def record(message: str, level: int = logging.WARNING, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("rabbitkeeper.agent", level, "loop.py", 12, message, (), None, "turn")
    made.__dict__.update(extra)
    return made


def fields(datagram: bytes) -> dict[str, str]:
    """As the journal reads it: https://systemd.io/JOURNAL_NATIVE_PROTOCOL."""
    read = {}
    while datagram:
        line, _, rest = datagram.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if equals:
            datagram = rest
        else:
            size = int.from_bytes(rest[:8], "little")
            value, datagram = rest[8 : 8 + size], rest[8 + size + 1 :]
        read[name.decode()] = value.decode()
    return read


def test_a_record_has_its_level_and_its_fields(journal: socket.socket, handler: JournalHandler) -> None:
    handler.emit(record("took the lead", epoch=7, event_id="lead-7", operation_id="ab12"))
    assert fields(journal.recv(65536)) == {
        "MESSAGE": "took the lead",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "rabbitkeeper-agent",
        "CODE_FILE": "loop.py",
        "CODE_LINE": "12",
        "CODE_FUNC": "turn",
        "LOGGER": "rabbitkeeper.agent",
        "RABBITKEEPER_GROUP": "orders",
        "RABBITKEEPER_MEMBER": "node1",
        "RABBITKEEPER_EPOCH": "7",
        "RABBITKEEPER_EVENT_ID": "lead-7",
        "RABBITKEEPER_OPERATION_ID": "ab12",
    }


def test_nobody_adds_a_field_with_a_line_of_his_own(journal: socket.socket, handler: JournalHandler) -> None:
    handler.emit(record("asked for\nPRIORITY=0\nEVIL=1"))
    read = fields(journal.recv(65536))
    assert (read["MESSAGE"], read["PRIORITY"]) == ("asked for\nPRIORITY=0\nEVIL=1", "4")
    assert "EVIL" not in read


@pytest.mark.parametrize(
    ("level", "priority"),
    [(logging.DEBUG, "7"), (logging.INFO, "6"), (logging.ERROR, "3"), (logging.CRITICAL, "2")],
)
def test_levels_are_syslogs(
    journal: socket.socket, handler: JournalHandler, level: int, priority: str
) -> None:
    handler.emit(record("x", level))
    assert fields(journal.recv(65536))["PRIORITY"] == priority


def test_a_journal_that_does_not_read_keeps_nobody_waiting(handler: JournalHandler) -> None:
    for _ in range(2000):  # more than any queue of datagrams
        handler.emit(record("x" * 1000))
    assert "WARNING x" in handler.stream.getvalue()


def test_without_a_journal_there_is_a_line(journal: socket.socket, handler: JournalHandler) -> None:
    Path(journal.getsockname()).unlink()
    handler.emit(record("still said"))
    assert handler.stream.getvalue() == "WARNING still said\n"


def test_the_journal_is_known_by_what_standard_error_is() -> None:
    with tempfile.TemporaryFile() as file:
        there = os.fstat(file.fileno())
        named = {"JOURNAL_STREAM": f"{there.st_dev}:{there.st_ino}"}
        assert is_journal(named, file.fileno())
        assert not is_journal({"JOURNAL_STREAM": "1:2"}, file.fileno())
        assert not is_journal({}, file.fileno())
    assert not is_journal(named, 9999)

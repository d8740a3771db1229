"""What others have written into a message of the log."""

import io
import logging

from rabbitkeeper.agent.runtime.log import OneLine


def logged(message: str, *arguments: object, error: Exception | None = None) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(OneLine("%(levelname)s node1  %(message)s"))
    record = logging.LogRecord(
        "x", logging.INFO, "x.py", 1, message, arguments, (type(error), error, None) if error else None
    )
    handler.emit(record)
    return stream.getvalue()


def test_nobody_begins_a_line_of_the_log() -> None:
    forged = "x\nERROR node1  the broker is gone\x1b[2J"
    assert logged("asked for by %s", forged) == (
        "INFO node1  asked for by x\\nERROR node1  the broker is gone\\x1b[2J\n"
    )


def test_a_traceback_keeps_its_lines_and_nothing_else() -> None:
    text = logged("failed", error=ValueError("a\x1bb"))
    assert text.splitlines() == ["INFO node1  failed", "ValueError: a\\x1bb"]

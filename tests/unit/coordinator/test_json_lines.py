"""The log for machines: one object a line, whatever is in it."""

import io
import json
import logging
from collections.abc import Mapping

import pytest

from rabbitkeeper.coordinator.json_lines import FIELDS, JsonLines


def logged(
    message: str,
    *arguments: object,
    extra: Mapping[str, object] | None = None,
    error: Exception | None = None,
    formatter: JsonLines | None = None,
) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter or JsonLines({"group": "orders"}))
    exc_info = None if error is None else (type(error), error, None)
    record = logging.LogRecord("rabbitkeeper.x", logging.WARNING, "x.py", 1, message, arguments, exc_info)
    record.created = 1769860800.5
    record.__dict__.update(extra or {})
    handler.emit(record)
    return stream.getvalue()


def test_a_line_is_an_object_with_what_is_known() -> None:
    line = logged("took the lead: epoch %d", 7, extra={"epoch": 7, "event_id": "lead-7", "other": 1})
    assert line.endswith("\n")
    assert json.loads(line) == {
        "time": "2026-01-31T12:00:00.500Z",
        "level": "warning",
        "logger": "rabbitkeeper.x",
        "message": "took the lead: epoch 7",
        "group": "orders",
        "epoch": 7,
        "event_id": "lead-7",
    }


def test_what_a_line_says_itself_goes_before_its_surroundings() -> None:
    formatter = JsonLines({"group": "a", "member": "b"}, now=lambda: {"epoch": 6, "member": "c"})
    line = json.loads(logged("x", extra={"epoch": 7}, formatter=formatter))
    assert {name: line[name] for name in FIELDS if name in line} == {"group": "a", "member": "c", "epoch": 7}


@pytest.mark.parametrize(
    "text", ["a\nb", 'quote " and \\', "\x1b[2J", "\u202eright to left", "\u2028", "lone \ud800", "<b>é"]
)
def test_whatever_is_said_stays_on_its_line_and_is_what_was_said(text: str) -> None:
    line = logged("%s", text)
    assert line.count("\n") == 1
    assert json.loads(line)["message"] == text
    assert line.rstrip("\n").isprintable()


def test_a_traceback_is_a_field() -> None:
    line = json.loads(logged("failed", error=ValueError("a\nb")))
    assert line["exception"] == "ValueError: a\nb"


def test_what_json_does_not_know_is_written_as_text() -> None:
    assert json.loads(logged("x", extra={"cause": OSError("gone")}))["cause"] == "gone"

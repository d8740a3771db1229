"""What others have written into a message of the log, and the log for machines."""

import io
import json
import logging
import subprocess
import sys

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


CONFIGURES = """
import logging
from rabbitkeeper.agent.runtime.log import CONTEXT, configure
configure("info", {form!r}, "orders", "node1")
CONTEXT.epoch = lambda: 7
logging.getLogger("rabbitkeeper.agent").info("leads", extra={{"event_id": "lead-7"}})
logging.getLogger("uvicorn").warning("of others")
logging.getLogger("rabbitkeeper.agent").debug("not said")
print(CONTEXT.for_machines)
"""


def configured(form: str) -> tuple[list[str], bool]:
    """What a process logs that is configured so, and whether events are to be lines."""
    # in a process of its own: it sets the root logger up
    done = subprocess.run(
        [sys.executable, "-c", CONFIGURES.format(form=form)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stderr.splitlines(), done.stdout == "True\n"


def test_lines_for_people_name_the_member() -> None:
    lines, for_machines = configured("text")
    assert [line.split(maxsplit=2)[2] for line in lines] == [
        "INFO     node1  leads",
        "WARNING  node1  of others",
    ]
    assert not for_machines


def test_lines_for_machines_have_the_group_the_member_and_the_epoch() -> None:
    lines, for_machines = configured("json")
    leads, others = map(json.loads, lines)
    assert leads.pop("time") <= others.pop("time")
    about = {"group": "orders", "member": "node1", "epoch": 7}
    assert leads == {
        "level": "info",
        "logger": "rabbitkeeper.agent",
        "message": "leads",
        **about,
        "event_id": "lead-7",
    }
    assert others == {"level": "warning", "logger": "uvicorn", "message": "of others", **about}
    assert for_machines

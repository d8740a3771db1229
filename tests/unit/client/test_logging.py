"""What a client logs is seen where the application wants it, and nowhere else."""

import subprocess
import sys

import pytest

WARNS = """
import logging, rabbitkeeper.client
{configured}
for name in ("rabbitkeeper.client.engine.engine", "rabbitkeeper.coordinator.zookeeper.session"):
    logging.getLogger(name).warning("lost the broker")
"""


@pytest.mark.parametrize(("configured", "lines"), [("", 0), ("logging.basicConfig()", 2)])
def test_warnings_are_printed_only_by_an_application_that_logs(configured: str, lines: int) -> None:
    # in a process of its own: pytest has handlers at the root logger
    done = subprocess.run(
        [sys.executable, "-c", WARNS.format(configured=configured)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr.count("lost the broker") == lines, done.stderr

"""What an operator's program gets of the agent."""

import subprocess
from pathlib import Path

import pytest

from rabbitkeeper.agent.runtime.child import LONGEST, be_an_ordinary_process, fitting


@pytest.mark.parametrize("value", ["", "short", "Grüße", "x" * LONGEST])
def test_what_fits_stays(value: str) -> None:
    assert fitting(value) == value


@pytest.mark.parametrize("value", ["x" * 10**6, "ü" * 10**6, "a\0b", "\udcff"])
def test_what_a_program_could_not_be_started_with_is_cut(value: str) -> None:
    fits = fitting(value)
    assert len(fits.encode()) <= LONGEST
    assert subprocess.run(["true"], env={"PATH": "/usr/bin:/bin", "VALUE": fits}, check=False).returncode == 0


def test_a_program_is_not_spared_when_memory_runs_out() -> None:
    own = Path("/proc/self/oom_score_adj")
    before = own.read_text()
    try:
        own.write_text("-500")
    except OSError:
        pytest.skip("only root may ask to be spared")
    try:
        with subprocess.Popen(["sleep", "60"]) as child:
            be_an_ordinary_process(child.pid)
            spared = Path(f"/proc/{child.pid}/oom_score_adj").read_text()
            child.kill()
    finally:
        own.write_text(before)
    assert spared == "0\n"


def test_a_program_that_has_ended_is_no_error() -> None:
    be_an_ordinary_process(2**22 + 1)

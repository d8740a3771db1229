"""Programs as a user starts them, and what they print: those of ``examples/``."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from support.source_tree import ROOT
from support.waiting import PATIENCE, wait_for

EXAMPLES = ROOT / "examples"


class Program:
    """One that runs; all that it prints goes to ``output``."""

    def __init__(self, process: "subprocess.Popen[bytes]", output: Path) -> None:
        self.process = process
        self._output = output

    @property
    def text(self) -> str:
        """All that it has printed."""
        return self._output.read_text()

    def said(self, before: str) -> list[str]:
        """What stands behind ``before`` in the lines that begin so."""
        return [
            line.removeprefix(before).removeprefix(": ")
            for line in self.text.splitlines()
            if line.startswith(before)
        ]

    def waited_for(self, text: str) -> None:
        """Wait until it has printed ``text``."""
        wait_for(lambda: text in self.text or self.process.poll() is not None, f"it prints {text!r}")
        assert text in self.text, self.text

    def ended(self, signal_: signal.Signals | None = None) -> int:
        """Its exit code, when it has ended, at ``signal_`` or by itself.

        One that does not end is aborted, and its output says where its threads stand.
        """
        if signal_ is not None:
            self.process.send_signal(signal_)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            return self.process.wait(PATIENCE)


class Run(Protocol):
    """What the fixture ``run`` is."""

    def __call__(self, *command: str, folder: str = "recipes") -> AbstractContextManager[Program]:
        """Start a program of ``examples/folder``: what stands behind ``python``."""
        ...


@contextmanager
def running(
    command: Sequence[str | Path], output: Path, environment: Mapping[str, str], folder: Path = EXAMPLES
) -> Iterator[Program]:
    """A program that runs in ``folder``; it and its children are killed at the end.

    Args:
        output: the file for what it prints.
        environment: what is set besides the test's own.
    """
    with output.open("wb") as file:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONFAULTHANDLER": "1", **environment},
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    program = Program(process, output)
    try:
        yield program
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        sys.stdout.write(f"{output.name}:\n{program.text[-10_000:]}\n")  # shown of a test that fails

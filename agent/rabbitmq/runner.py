"""Running one command to its end with a deadline: on this host here, inside a container elsewhere.

What the command is, and what its outcome means, is the caller's.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


class CommandTimedOut(Exception):
    """The command did not end in time and was killed; it may have taken effect."""


class CommandNotRunnable(Exception):
    """There is no such command, or it may not be run. Says why."""


class NowhereToRun(Exception):
    """The place where the command would run is not there now. Says why."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended: its exit code (negative: the signal), and what it wrote."""

    code: int
    output: str
    errors: str

    @property
    def said(self) -> str:
        """What it wrote, on one line and not for pages."""
        lines = [line.strip() for line in (self.errors or self.output).splitlines() if line.strip()]
        return " ".join(lines[:4])[:400] or "it gave no reason"


class Runner(Protocol):
    """Runs commands somewhere."""

    def run(self, command: Sequence[str], *, stdin: str = "", timeout: float) -> Finished:
        """Run ``command`` and wait for its end.

        Args:
            command: program and arguments; no shell looks at them.
            stdin: its standard input.
            timeout: seconds; what has not ended by then is killed.

        Raises:
            CommandTimedOut: it had not.
            CommandNotRunnable, NowhereToRun: it could not be run.
        """


class LocalRunner:
    """Runs commands on this host.

    Args:
        environment: their whole environment.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)

    def run(self, command: Sequence[str], *, stdin: str = "", timeout: float) -> Finished:
        source, sink = os.pipe()
        # RabbitMQ's tools open /dev/stdin by its name, and Debian's wrapper has them do so as another user.
        # It can be reached only through the process, by those who may look into that.
        os.fchmod(source, 0o644)
        try:
            child = subprocess.Popen(
                command,
                env=self._environment,
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                # Ctrl-C must not cut a join in two; and what is killed is killed with all that it started.
                start_new_session=True,
            )
        except OSError as error:
            os.close(sink)
            raise CommandNotRunnable(error.strerror or str(error)) from None
        finally:
            os.close(source)
        child.stdin = os.fdopen(sink, "w")
        with child:
            try:
                output, errors = child.communicate(stdin, timeout)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                raise CommandTimedOut from None
            return Finished(child.returncode, output, errors)

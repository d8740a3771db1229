"""Signals end what waits and nothing else; the bar is for terminals."""

import signal
from io import StringIO

import pytest
from rich.console import Console

from rabbitkeeper.client.cli.interrupts import CommandInterrupted, Interrupts
from rabbitkeeper.client.cli.progress import BarOfProgress, NoProgress, progress_on


def test_a_signal_is_noted_and_raises_where_it_may() -> None:
    with Interrupts() as interrupts:
        signal.raise_signal(signal.SIGINT)  # nothing is raised here
        with pytest.raises(CommandInterrupted), interrupts.may_come():
            pytest.fail("it came in too late")
        with interrupts.may_come():
            pass  # once is once
        with pytest.raises(CommandInterrupted), interrupts.may_come():
            signal.raise_signal(signal.SIGTERM)
    assert interrupts.exit_code == 128 + signal.SIGTERM


def test_the_signals_are_given_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with Interrupts() as interrupts:
        assert signal.getsignal(signal.SIGINT) not in before
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert interrupts.exit_code == 0


def test_there_is_a_bar_on_a_terminal() -> None:
    screen = StringIO()
    with progress_on(Console(file=screen, force_terminal=True, width=100), "confirmed", 20) as progress:
        assert isinstance(progress, BarOfProgress)
        progress.show(7)
        progress.say("line 3: [red]Nacked")
        progress._bar.refresh()
    assert "7/20" in screen.getvalue()
    assert "line 3: [red]Nacked" in screen.getvalue()


def test_there_is_none_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    pipe = StringIO()
    with progress_on(Console(file=pipe), "confirmed", 20) as progress:
        assert isinstance(progress, NoProgress)
        progress.show(7)
        progress.say("line 3: \x1b[2J")
    assert pipe.getvalue() == ""
    assert capsys.readouterr().err == "line 3: \\x1b[2J\n"

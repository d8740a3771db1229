"""``rabbitkeeper watch`` on a pseudo terminal, over a simulated ZooKeeper: what it shows, and its keys."""

import io
import os
import pty
import re
import select
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from rich.console import Console
from simulation.backend import SimulatedBackend
from simulation.world import World
from simulation.zookeeper import SimulatedZooKeeper
from support.store_records import change, leader, member

from rabbitkeeper.coordinator.backend.interface import Backend
from rabbitkeeper.coordinator.cli.commands.watch import Screen
from rabbitkeeper.coordinator.cli.dialog import Dialog
from rabbitkeeper.coordinator.cli.screen import Picture, screen
from rabbitkeeper.coordinator.model.records import GroupConfig, MemberStatus, OperationKind
from rabbitkeeper.coordinator.operations.log import read_operations
from rabbitkeeper.coordinator.store.reader import GroupReader
from rabbitkeeper.coordinator.store.store import Store

GROUP = "orders"
PATIENCE = 60.0  # seconds; not waited for when things work
EVIL = "[bold]\x1b[31m\nFAKE"


class _OneAtATime:
    """A simulated backend for several threads: one call at a time, and real waiting between looks."""

    def __init__(self, backend: SimulatedBackend, lock: threading.RLock) -> None:
        self._backend = backend
        self._lock = lock

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._backend, name)
        if not callable(value):
            return value

        def call(*arguments: object, **options: object) -> object:
            with self._lock:
                return value(*arguments, **options)

        return call

    def await_event(self, _seen: int, timeout: float) -> bool:
        threading.Event().wait(min(timeout, 0.05))
        return False


class Terminal:
    """A pseudo terminal: what is typed into it, and what is on its screen."""

    def __init__(self) -> None:
        self.keyboard, self.screen = pty.openpty()
        self.sent = ""
        self._ended = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def type(self, text: str) -> None:
        os.write(self.keyboard, text.encode())

    def shows(self, pattern: str) -> None:
        """Wait until it has been shown since the last time."""
        deadline = time.monotonic() + PATIENCE
        while (found := re.search(pattern, self.sent)) is None:
            assert time.monotonic() < deadline, self.sent[-3000:]
            select.select([], [], [], 0.01)
        self.sent = self.sent[found.end() :]

    def close(self) -> None:
        self._ended = True
        self._thread.join(PATIENCE)
        os.close(self.screen)
        os.close(self.keyboard)

    def _read(self) -> None:
        while not self._ended:
            if select.select([self.keyboard], [], [], 0.05)[0]:
                self.sent += os.read(self.keyboard, 65536).decode(errors="replace")


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal()
    yield made
    made.close()


class Lab:
    """A group of three on a simulated ZooKeeper, of which the first leads."""

    def __init__(self) -> None:
        self._zookeeper = SimulatedZooKeeper(World(1))
        self._zookeeper.lags = (0.0,)
        self._lock = threading.RLock()
        self.operator = self._store()
        self.operator.create_group(GroupConfig())
        self.agents = {name: self._store() for name in ("node1", "node2", "node3")}
        for name, store in self.agents.items():
            store.register(member(name))
        epoch = self.agents["node1"].take_lead(leader("node1", "first leader"))
        self.operator.append_history(change(epoch, "node1"))

    def _store(self) -> Store:
        backend = SimulatedBackend(self._zookeeper, 6.0, lambda: None)
        backend.start()
        return Store(cast("Backend", _OneAtATime(backend, self._lock)), GROUP)

    def away(self) -> None:
        """ZooKeeper does not answer any more."""
        with self._lock:
            self._zookeeper.up = False


@pytest.fixture
def lab() -> Lab:
    return Lab()


@contextmanager
def watched(
    lab: Lab, terminal: Terminal, seconds: float | None = PATIENCE, *, away: bool = False
) -> Iterator[threading.Thread]:
    """The screen, on a thread of its own; what has been typed must have ended it.

    With ``away`` ZooKeeper does not answer any more after the first look at the group.
    """
    backend = lab.operator.backend
    failures: list[Exception] = []
    with os.fdopen(os.dup(terminal.screen), "w") as out:
        console = Console(
            file=out,
            force_terminal=True,
            color_system=None,
            width=150,
            height=45,
            highlight=False,
            markup=False,
            emoji=False,
        )
        reader = GroupReader(backend, GROUP)
        shown = Screen(backend, reader, GROUP, terminal=terminal.screen, out=console)
        if away:
            lab.away()

        def show() -> None:
            try:
                shown.run(seconds)
            except Exception as failure:  # noqa: BLE001 - told by the test's own thread
                failures.append(failure)

        thread = threading.Thread(target=show, daemon=True)
        thread.start()
        yield thread
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert failures == []


def test_it_shows_who_leads_and_the_time_line_and_leaves_the_terminal_as_it_was(
    lab: Lab, terminal: Terminal
) -> None:
    before = termios.tcgetattr(terminal.screen)
    with watched(lab, terminal):
        terminal.shows(r"node1 leads .*first leader")
        terminal.shows(r"node2 .*running")
        terminal.shows(r"time line")
        terminal.shows(r"— → node1")
        terminal.shows(r"s switchover")
        terminal.type("q")
    assert termios.tcgetattr(terminal.screen) == before
    terminal.shows(re.escape("\x1b[?1049l"))  # the screen that was there before


def test_a_change_is_shown_and_nothing_that_others_write_is_obeyed(lab: Lab, terminal: Terminal) -> None:
    with watched(lab, terminal):
        terminal.shows(r"node3 .*running")
        lab.agents["node3"].update(
            member("node3", state=MemberStatus.HUNG).model_copy(update={"reasons": (EVIL,)})
        )
        terminal.shows(r"node3 is hung: \[bold\]\\x1b\[31m\\nFAKE")
        terminal.type("q")


def test_a_switchover_is_tried_first_and_done_with_y(lab: Lab, terminal: Terminal) -> None:
    with watched(lab, terminal):
        terminal.shows(r"q quit")
        terminal.type("j")
        terminal.type("s")
        terminal.shows(r"switchover: .*node2.*Do it\? y / n")
        assert read_operations(lab.operator) == ()
        terminal.type("y")
        terminal.shows(r"node2 +pending")
        (entry,) = read_operations(lab.operator)
        assert (entry.kind, entry.target) == (OperationKind.SWITCHOVER, "node2")
        terminal.type("s")
        terminal.shows(r"switchover refused: ")
        terminal.type("q")


def test_a_pause_and_its_end(lab: Lab, terminal: Terminal) -> None:
    with watched(lab, terminal):
        terminal.shows(r"q quit")
        terminal.type("p")
        terminal.shows(r"pause: .*Do it")
        terminal.type("n")
        terminal.shows(r"nothing was done")
        assert read_operations(lab.operator) == ()
        terminal.type("py")
        terminal.shows(r"Paused by")
        terminal.type("py")
        terminal.shows(r"resume +.*done")
        terminal.type("q")


def test_while_zookeeper_is_away_it_says_so_and_shows_what_was(lab: Lab, terminal: Terminal) -> None:
    with watched(lab, terminal):
        terminal.shows(r"node1 leads")
        lab.away()
        terminal.shows(r"ZooKeeper does not answer, this is how it was last")
        terminal.type("r")  # nothing is asked for that cannot be tried
        terminal.shows(r"restart refused")
        terminal.type("q")


def test_zookeeper_that_is_lost_at_once_is_told_as_well(lab: Lab, terminal: Terminal) -> None:
    with watched(lab, terminal, away=True):
        terminal.shows(r"ZooKeeper does not answer, this is how it was last")
        terminal.type("q")


def test_it_ends_by_itself_after_the_time_that_was_given(lab: Lab, terminal: Terminal) -> None:
    with watched(lab, terminal, seconds=0.2):
        terminal.shows(r"node1 leads")


def test_without_a_keyboard_there_is_only_the_picture(lab: Lab, terminal: Terminal) -> None:
    shown = screen(GROUP, Picture(GroupReader(lab.operator.backend, GROUP).read()), Dialog(), keys=False)
    console = Console(record=True, width=100, height=30, file=io.StringIO())
    console.print(shown)
    text = console.export_text()
    assert "Ctrl-C ends it" in text
    assert "switchover" not in text

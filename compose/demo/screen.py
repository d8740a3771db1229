"""How the demo looks: a live picture in a terminal, plain lines elsewhere. Decides nothing."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from rabbitkeeper.compose.demo.stage import Traffic
from rabbitkeeper.compose.demo.timeline import GroupTimeline
from rabbitkeeper.coordinator.model.records import MemberStatus

EVENTS = 8  # lines of what happened
BARS = " ▁▂▃▄▅▆▇█"
SLOT = 0.25  # seconds of confirms that one bar of the graph stands for
PLAIN_PERIOD = 5.0  # seconds between two lines of counts

STYLES = {
    MemberStatus.RUNNING: "green",
    MemberStatus.STARTING: "yellow",
    MemberStatus.ALARMED: "yellow",
    MemberStatus.DRAINING: "yellow",
}


class Screen(Protocol):
    """Where the demo is shown."""

    def say(self, sentence: str) -> None:
        """Something happened."""

    def watch(self, traffic: Traffic, timeline: GroupTimeline) -> None:
        """From now on there is something to watch."""

    def close(self) -> None: ...


class PlainScreen:
    """A line for each thing that happens, and one now and then with the counts."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def say(self, sentence: str) -> None:
        moment = time.monotonic() - self._started
        self._console.print(f"{moment:7.2f} s  {sentence}", highlight=False, markup=False, soft_wrap=True)

    def watch(self, traffic: Traffic, timeline: GroupTimeline) -> None:
        def tell() -> None:
            known = 0
            due = time.monotonic()
            while not self._stopping.wait(0.02):
                for seen in timeline.leaders[known:]:
                    known += 1
                    self.say(f"{seen.member} leads (epoch {seen.epoch})")
                if time.monotonic() >= due:
                    due = time.monotonic() + PLAIN_PERIOD
                    totals = traffic.totals()
                    self.say(
                        f"confirmed {totals.confirmed:,}, delivered {totals.delivered:,}, "
                        f"duplicated {totals.duplicated:,}, not confirmed {totals.failed:,}"
                    )

        self._thread = threading.Thread(target=tell, name="plain-screen", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(1)


class LiveScreen:
    """A picture, drawn eight times a second: members, messages, the graph of confirms, what happened."""

    def __init__(self, console: Console) -> None:
        self._started = time.monotonic()
        self._events: deque[tuple[float, str]] = deque(maxlen=EVENTS)
        self._traffic: Traffic | None = None
        self._timeline: GroupTimeline | None = None
        self._graph = _Graph()
        self._live = Live(console=console, get_renderable=self._draw, refresh_per_second=8, transient=True)
        self._live.start()

    def say(self, sentence: str) -> None:
        self._events.append((time.monotonic() - self._started, sentence))

    def watch(self, traffic: Traffic, timeline: GroupTimeline) -> None:
        self._traffic, self._timeline = traffic, timeline

    def close(self) -> None:
        self._live.stop()

    def _draw(self) -> RenderableType:
        parts: list[RenderableType] = []
        if self._timeline is not None and self._traffic is not None:
            parts += [self._members(self._timeline, self._traffic), self._messages(self._traffic)]
        events = Text()
        for moment, sentence in self._events:
            events.append(f"{moment:7.1f} s  ", style="dim")
            events.append(sentence + "\n")
        parts.append(events)
        title = "[bold]RabbitKeeper[/]  brokers die, clients go on"
        return Panel(Group(*parts), title=title, title_align="left", border_style="blue", padding=(0, 1))

    @staticmethod
    def _members(timeline: GroupTimeline, traffic: Traffic) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for heading in ("member", "broker", "role", "clients", "why"):
            table.add_column(heading, header_style="dim")
        now = timeline.now
        connected = traffic.connected()
        for name in timeline.members:
            clients = ", ".join(client for client, where in connected.items() if where == name)
            member = None if now is None else now.members.get(name)
            if member is None:
                table.add_row(name, Text("gone", style="bold red"), "", clients, "its agent has no session")
                continue
            leads = timeline.leader == name
            role = Text("★ leader", style="bold yellow") if leads else Text("replica", style="dim")
            reason = Text(member.reasons[0] if member.reasons else "", overflow="ellipsis")
            state = Text(member.state.value, style=STYLES.get(member.state, "bold red"))
            table.add_row(name, state, role, clients, reason)
        return table

    def _messages(self, traffic: Traffic) -> RenderableType:
        totals = traffic.totals()
        line = Text("\nconfirms  ", style="dim")
        line.append(self._graph.draw(totals.confirmed), style="green")
        numbers = Text(
            f"confirmed {totals.confirmed:,}   delivered {totals.delivered:,}   "
            f"duplicated {totals.duplicated:,}   not confirmed {totals.failed:,}\n"
        )
        return Group(line, numbers)


class _Graph:
    """Confirms a slot of time as bars; a gap is a hole in it."""

    def __init__(self, width: int = 60) -> None:
        self._slots: deque[int] = deque(maxlen=width)
        self._slot_end = 0.0
        self._before = 0

    def draw(self, confirmed: int) -> str:
        now = time.monotonic()
        if now >= self._slot_end:
            self._slots.append(confirmed - self._before)
            self._before = confirmed
            self._slot_end = now + SLOT
        top = max(self._slots, default=0) or 1
        return "".join(BARS[round(value / top * (len(BARS) - 1))] for value in self._slots)


def waiting(say: Callable[[str], None], what: str) -> Callable[[], None]:
    """Say that something that takes a while begins; call the result when it is done."""
    started = time.monotonic()
    say(f"{what} …")
    return lambda: say(f"{what}: done in {time.monotonic() - started:.0f} s")

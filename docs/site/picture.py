"""The demo as a moving picture: ``picture.py OUTPUT SVG`` draws what ``./dev demo --plain`` has printed.

It shows what the output says and nothing else: each line when it was printed, and how each broker is by these
lines. Waits are shortened, the times in the lines are the real ones. The picture moves by style sheet alone,
so that it does as an image in a page; where nothing is to move it shows how all ended.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path

WAIT = 1.6  # seconds that a wait of the demo's is shown at the most
END = 5.0  # seconds that the end is shown before all begins again
WIDTH, MARGIN, LINE = 860, 24, 22  # pixels
BOX = 96  # height of the brokers' row, pixels
SAID = re.compile(r"^ *(\d+\.\d\d) s  (.+)$")
# What a line says of a broker. Whoever else is named is as before.
STATES = (
    (re.compile(r"^SIGKILL to the broker of (\S+?),"), "broker killed", "bad"),
    (re.compile(r"^SIGKILL to broker and agent of (\S+?),"), "broker and agent killed", "bad"),
    (re.compile(r"^SIGSTOP to the broker of (\S+?),"), "broker hangs", "bad"),
    (re.compile(r"^(\S+) is started again$"), "starts again", "so-so"),
)
LEADS = re.compile(r"^(\S+) leads \(epoch \d+\)$")
WHOLE = "the group is whole again"
COUNTS = "confirmed "

STYLE = """
text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: #d7dae0; white-space: pre }
.dim { fill: #8b93a1 } .name { font-weight: bold } .well { fill: #6cc788 } .bad { fill: #ff7b72 }
.so-so { fill: #e3b341 } .leads { fill: #e3b341; font-weight: bold }
g { animation-duration: DURATIONs; animation-iteration-count: infinite; animation-timing-function: step-end }
.past { opacity: 0 } .box { fill: #1e222b; stroke: #3a4150 }
@media (prefers-reduced-motion: reduce) { g { animation: none !important } }
"""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the output."""

    at: float  # seconds of the picture
    text: str  # as it was printed
    sentence: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A part of the picture, for a time of it."""

    begin: float
    end: float | None  # None: to its end
    content: str


def lines(output: str) -> list[Line]:
    """What was printed of what happened, with waits shortened; counts are left out."""
    found = [(float(match[1]), match[0], match[2]) for match in map(SAID.match, output.splitlines()) if match]
    found = [line for line in found if not line[2].startswith(COUNTS)]
    shown: list[Line] = []
    now, before = 0.0, found[0][0] if found else 0.0
    for at, text, sentence in found:
        now += min(at - before, WAIT)
        before = at
        shown.append(Line(now, text, sentence))
    return shown


def outcome(output: str) -> list[str]:
    """What became of the messages, in two lines.

    Raises:
        SystemExit: the output is not that of a demo in which nothing was lost.
    """
    rows = [re.split("[┃│]", line)[1:-1] for line in output.splitlines() if line.startswith(("┃", "│"))]
    verdict = re.search(r"^No confirmed message is lost\..*$", output, re.MULTILINE)
    if len(rows) != 2 or verdict is None:
        raise SystemExit("picture.py: this is not what ./dev demo --plain prints when all goes well")
    return [
        "   ".join(f"{name.strip()} {number.strip()}" for name, number in zip(*rows, strict=True)),
        verdict[0],
    ]


def brokers(told: Iterable[Line]) -> dict[str, list[Shown]]:
    """How each broker is in the course of time, by its name, as SVG."""
    told = list(told)
    names = sorted({match[1] for line in told if (match := LEADS.match(line.sentence))})
    state = dict.fromkeys(names, ("starts", "so-so"))
    leader = ""
    changes: dict[str, list[tuple[float, str]]] = {name: [] for name in names}

    def note(at: float) -> None:
        for name in names:
            word, style = state[name]
            content = _text(0, 0, word, style)
            if name == leader:
                content += _text(0, LINE, "★ leads", "leads")
            if not changes[name] or changes[name][-1][1] != content:
                changes[name].append((at, content))

    note(0.0)
    for line in told:
        if match := LEADS.match(line.sentence):
            if not leader:
                state = dict.fromkeys(names, ("runs", "well"))
            leader = match[1]
        elif line.sentence.startswith(WHOLE):
            state = dict.fromkeys(names, ("runs", "well"))
        for pattern, word, style in STATES:
            if match := pattern.match(line.sentence):
                state[match[1]] = (word, style)
        note(line.at)
    return {name: list(_until_next(changes[name])) for name in names}


def _until_next(changes: list[tuple[float, str]]) -> Iterator[Shown]:
    for (begin, content), (end, _) in pairwise(changes):
        yield Shown(begin, end, content)
    yield Shown(*changes[-1][:1], None, changes[-1][1])


def _text(x: float, y: float, text: str, style: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{style}">{escape(text)}</text>'


class Drawing:
    """Collects parts with the time of each."""

    def __init__(self, duration: float) -> None:
        self._duration = duration
        self._rules: list[str] = []
        self._parts: list[str] = []

    def add(self, shown: Shown, x: float = 0, y: float = 0) -> None:
        """A part, moved by so many pixels."""
        name = f"t{len(self._rules)}"
        steps = {0.0: 0, shown.begin: 1} | ({} if shown.end is None else {shown.end: 0})
        frames = " ".join(
            f"{at / self._duration:.3%} {{ opacity: {opacity} }}" for at, opacity in steps.items()
        )
        self._rules.append(f"@keyframes {name} {{ {frames} }}")
        past = "" if shown.end is None else ' class="past"'
        self._parts.append(
            f'<g{past} style="animation-name: {name}" transform="translate({x:g} {y:g})">{shown.content}</g>'
        )

    def add_still(self, content: str) -> None:
        """A part that is always there."""
        self._parts.append(content)

    def svg(self, height: float, title: str) -> str:
        """All of it."""
        style = STYLE.replace("DURATION", f"{self._duration:.2f}") + "\n".join(self._rules)
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img">'
        ground = f'<rect width="{WIDTH}" height="{height:g}" rx="10" fill="#14161c"/>'
        parts = "\n".join(self._parts)
        return f"{head}\n<title>{escape(title)}</title>\n<style>{style}</style>\n{ground}\n{parts}\n</svg>\n"


def picture(output: str) -> str:
    """The picture of an output, as SVG.

    Raises:
        SystemExit: the output is not that of a demo in which nothing was lost.
    """
    told, result = lines(output), outcome(output)
    last = told[-1].at
    drawing = Drawing(last + WAIT + END)
    drawing.add_still(_text(MARGIN, MARGIN + LINE / 2, "$ ./dev demo", "dim"))
    top = MARGIN + LINE + 8
    states = brokers(told)
    width = (WIDTH - MARGIN * (len(states) + 1)) / len(states)
    for place, (name, course) in enumerate(states.items()):
        x = MARGIN + place * (width + MARGIN)
        frame = f'<rect x="{x:g}" y="{top}" width="{width:g}" height="{BOX}" rx="8" class="box"/>'
        drawing.add_still(frame)
        drawing.add_still(_text(x + 16, top + 28, name, "name"))
        for shown in course:
            drawing.add(shown, x + 16, top + 28 + LINE)
    y = top + BOX + MARGIN + LINE / 2
    for line in told:
        drawing.add(Shown(line.at, None, _text(MARGIN, 0, line.text)), y=y)
        y += LINE
    y += LINE / 2
    for text, style in zip(result, ("", "well"), strict=True):
        drawing.add(Shown(last + WAIT, None, _text(MARGIN, 0, text, style)), y=y)
        y += LINE
    return drawing.svg(
        y + LINE / 2, "A run of the demo: brokers are killed, clients go on, no message is lost"
    )


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(picture(Path(sys.argv[1]).read_text()))

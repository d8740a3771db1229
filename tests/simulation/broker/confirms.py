"""How a broker confirms: one by one, many at once, late, in any order. Each tag is answered once."""

from collections.abc import Callable
from enum import StrEnum
from random import Random

from simulation.loop import VirtualTime


class Style(StrEnum):
    """Which of the ways that AMQP allows."""

    SINGLE = "single"
    MULTIPLE = "multiple"  # as many with one frame as may be, as RabbitMQ does under load
    REORDERED = "reordered"  # one by one, the later ones first as it happens
    MIXED = "mixed"  # now this, now that


class Confirms:
    """The answers of one channel.

    Args:
        delay: seconds for which an answer waits for others, asked for each burst.
        send: takes a tag, whether it stands for all up to it, and whether it is an ack.
    """

    def __init__(
        self,
        time: VirtualTime,
        random: Random,
        delay: Callable[[], float],
        style: Callable[[], Style],
        send: Callable[[int, bool, bool], None],
    ) -> None:
        self._time = time
        self._random = random
        self._delay = delay
        self._style = style
        self._send = send
        self._open: dict[int, None] = {}  # tags without an answer
        self._resolved: list[tuple[int, bool]] = []
        self._is_due = False
        self.is_held = False

    def expect(self, tag: int) -> None:
        """A message was published with ``tag``."""
        self._open[tag] = None

    def resolve(self, tag: int, *, ack: bool) -> None:
        """Its answer is known."""
        self._resolved.append((tag, ack))
        self._flush_soon()

    def release(self) -> None:
        """What was held goes out."""
        self.is_held = False
        self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._is_due and self._resolved and not self.is_held:
            self._is_due = True
            self._time.after(self._delay(), self._flush)

    def _flush(self) -> None:
        self._is_due = False
        if self.is_held:
            return
        resolved, self._resolved = self._resolved, []
        for tag, _ in resolved:
            del self._open[tag]
        style = self._style()
        if style is Style.MIXED:
            style = self._random.choice((Style.SINGLE, Style.MULTIPLE, Style.REORDERED))
        if style is Style.REORDERED:
            self._random.shuffle(resolved)
        if style is not Style.MULTIPLE:
            for tag, ack in resolved:
                self._send(tag, False, ack)
            return
        nacked = sorted(tag for tag, ack in resolved if not ack)
        for tag in nacked:
            self._send(tag, False, False)
        lowest_open = min([*self._open, *nacked], default=float("inf"))
        acked = sorted(tag for tag, ack in resolved if ack)
        together = [tag for tag in acked if tag < lowest_open]
        if together:
            self._send(together[-1], True, True)
        for tag in acked[len(together) :]:
            self._send(tag, False, True)

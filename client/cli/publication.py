"""The loop of ``publish``: messages one after the other, a window of them under way, and what became of each.

It stops at the first that is not confirmed, unless it is to go on, and at an interrupt; what was sent by then
is waited for. A second interrupt leaves it.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import NamedTuple

from rabbitkeeper.client.cli.interrupts import CommandInterrupted, Interrupts
from rabbitkeeper.client.cli.message_lines import Outgoing
from rabbitkeeper.client.cli.pace import Pace
from rabbitkeeper.client.cli.progress import Progress
from rabbitkeeper.client.cli.sources import Numbered
from rabbitkeeper.client.cli.waiting import Waiting
from rabbitkeeper.client.model.errors import Closed, RabbitKeeperError
from rabbitkeeper.client.publish.future import Receipt

WINDOW_BYTES = 64 * 2**20  # of bodies under way; as much as the client's own window has
REPORTED = 10  # messages that are told one by one when they are not confirmed; then they are counted
TICK = 0.2  # seconds between two looks at outcomes while the pace is waited for

Send = Callable[[Outgoing], "Future[Receipt]"]


@dataclass(slots=True)
class PublishTotals:
    """What became of all."""

    confirmed: int = 0
    again: int = 0  # of them, that were sent more than once
    failed: "Counter[str]" = field(default_factory=Counter)  # by the error's name
    taken_back: int = 0  # not sent, when they were left
    unknown: int = 0  # sent, when they were left
    interrupted: bool = False  # before the end of what there was to publish

    def sentence(self, seconds: float) -> str:
        """For people: ``2 confirmed, 1 of them sent more than once, in 0.3 s (7 a second)``."""
        parts = [f"{self.confirmed} confirmed"]
        if self.again:
            parts.append(f"{self.again} of them sent more than once")
        parts += [f"{count} {name}" for name, count in sorted(self.failed.items())]
        if self.taken_back:
            parts.append(f"{self.taken_back} taken back before they were sent")
        if self.unknown:
            parts.append(f"{self.unknown} left without an outcome: they may or may not be there")
        rate = f" ({self.confirmed / seconds:.0f} a second)" if seconds > 0 else ""
        return f"{', '.join(parts)}, in {seconds:.1f} s{rate}"

    @property
    def all_confirmed(self) -> bool:
        return not (self.failed or self.taken_back or self.unknown)


class _UnderWay(NamedTuple):
    where: str
    size: int
    future: "Future[Receipt]"


class Publication:
    """One run.

    Args:
        send: hands a message over.
        pace: of sending.
        window: messages under way at the most.
        keep_going: go on behind a message that is not confirmed.
        progress: is shown how many are confirmed, and told what is not.
    """

    def __init__(
        self,
        send: Send,
        waiting: Waiting,
        interrupts: Interrupts,
        progress: Progress,
        *,
        pace: Pace,
        window: int,
        keep_going: bool,
    ) -> None:
        self._send = send
        self._waiting = waiting
        self._interrupts = interrupts
        self._progress = progress
        self._pace = pace
        self._window = window
        self._keep_going = keep_going
        self._under_way: deque[_UnderWay] = deque()
        self._size = 0  # bytes of them
        self._is_over = False  # nothing more is sent
        self.totals = PublishTotals()

    def run(self, messages: Iterable[Numbered]) -> None:
        """Publish all of them; :attr:`totals` has what became of them.

        Raises:
            ConfigurationError: there is no next message; what was sent before has been waited for.
        """
        source = iter(messages)
        try:
            while not self._is_over and (one := self._next(source)) is not None:
                self._await_turn(len(one.message.body))
                if not self._is_over:
                    self._hand_over(one)
        except CommandInterrupted:
            self.totals.interrupted = True
            if self._under_way:
                self._progress.say(
                    f"waiting for {len(self._under_way)} that were handed over; Ctrl-C again leaves them"
                )
        finally:
            self._drain()

    def _next(self, source: Iterator[Numbered]) -> Numbered | None:
        with self._interrupts.may_come():
            return next(source, None)

    def _await_turn(self, size: int) -> None:
        """Wait for the pace, and for room."""
        due = self._waiting.now() + self._pace.pause(self._waiting.now())
        while (left := due - self._waiting.now()) > 0:
            with self._interrupts.may_come():
                self._waiting.pause(min(left, TICK))
            self._collect()
        self._collect()
        while self._under_way and (len(self._under_way) >= self._window or self._size + size > WINDOW_BYTES):
            self._await_first()

    def _await_first(self) -> None:
        with self._interrupts.may_come():
            self._waiting.until_done(self._under_way[0].future)
        self._collect()

    def _hand_over(self, one: Numbered) -> None:
        try:
            future = self._send(one.message)
        except RabbitKeeperError as error:
            future = Future()
            future.set_exception(error)
        self._under_way.append(_UnderWay(one.where, len(one.message.body), future))
        self._size += len(one.message.body)

    def _collect(self) -> None:
        """Count those that have ended, in order."""
        while self._under_way and self._under_way[0].future.done():
            one = self._under_way.popleft()
            self._size -= one.size
            error = one.future.exception()
            if error is None:
                self.totals.confirmed += 1
                self.totals.again += one.future.result().attempts > 1
            else:
                self._failed(one.where, error)
        self._progress.show(self.totals.confirmed)

    def _failed(self, where: str, error: BaseException) -> None:
        self.totals.failed[type(error).__name__] += 1
        self._is_over = self._is_over or not self._keep_going or isinstance(error, Closed)
        told = self.totals.failed.total()
        if told <= REPORTED:
            self._progress.say(f"{where}: {type(error).__name__}: {error}")
        elif told == REPORTED + 1:
            self._progress.say("there are more; they are counted")

    def _drain(self) -> None:
        try:
            while self._under_way:
                self._await_first()
        except CommandInterrupted:
            self._collect()
            for one in self._under_way:
                if one.future.cancel():
                    self.totals.taken_back += 1
                else:
                    self.totals.unknown += 1

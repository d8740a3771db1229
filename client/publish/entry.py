"""An entry: a message handed over for publishing, and how it ends. Pure."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Generic, TypeVar

from rabbitkeeper.client.amqp.frames import Template

Place = tuple[str, str]
"""Exchange and routing key: what order is kept by, and what the broker takes messages for or refuses."""


class Outcome(Enum):
    CONFIRMED = auto()
    RETURNED = auto()  # mandatory, and no queue took it
    NACKED = auto()
    UNKNOWN = auto()  # sent, deadline passed without an answer
    UNSENT = auto()  # never sent on any channel, deadline passed
    CLOSED = auto()  # still open when the ledger was closed


class Entry:
    """A message on its way; what else it is, the caller knows.

    What is sent of it (``template`` and ``body``) is not looked at here.

    A plain class with most of its state in the class: one is made for every message, and few are ever
    returned, refused or sent twice.

    Args:
        message_id: as it is sent.
        exchange: where to.
        routing_key: and with which key.
        size: bytes of the body.
        deadline: seconds, monotonic.
    """

    template: Template
    body: bytes

    sequence = 0  # given by the ledger: the order of handing over
    attempts = 0  # times it was sent
    tag = 0  # delivery tag on its present channel; 0 while it is on none
    returned: str | None = None  # why it came back on its present channel
    bounced: str | None = None  # why it came back, while it waits to be sent again
    unanswered = 0  # times it was sent over a channel that was lost, or left, before the answer
    closed_over: str | None = None  # a channel was closed with these words while it was on it with others

    def __init__(self, message_id: str, exchange: str, routing_key: str, size: int, deadline: float) -> None:
        self.message_id = message_id
        self.exchange = exchange
        self.routing_key = routing_key
        self.size = size
        self.deadline = deadline

    @property
    def place(self) -> Place:
        return self.exchange, self.routing_key

    def left_unanswered(self, closed_over: str | None) -> None:
        """Its channel is gone, perhaps closed by the broker over it or a message beside it."""
        if closed_over is None or self.closed_over not in (None, closed_over):
            self.unanswered += 1
        else:
            self.closed_over = closed_over

    def if_refused(self, outcome: Outcome, why: str | None = None) -> Outcome:
        """What it ends in when the broker does not take it, perhaps not again.

        It may be there if it was sent before over a channel that was lost without an answer, unless that
        was closed with the same words (``why``): then it was over this one, which is refused whenever it is
        sent.
        """
        if self.unanswered or self.closed_over not in (None, why):
            return Outcome.UNKNOWN
        return outcome

    def at_deadline(self) -> tuple[Outcome, str]:
        """How it ends when nothing else has ended it by then, and why."""
        if not self.attempts:
            return Outcome.UNSENT, ""
        if self.tag or self.unanswered or self.closed_over is not None:
            return Outcome.UNKNOWN, ""
        if self.bounced is not None:
            return Outcome.RETURNED, self.bounced
        return Outcome.NACKED, ""


E = TypeVar("E", bound=Entry)


@dataclass(frozen=True, slots=True)
class Settled(Generic[E]):
    """An entry and how it ended."""

    entry: E
    outcome: Outcome
    detail: str = ""

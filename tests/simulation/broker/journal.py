"""What has happened between clients and brokers, for tests to ask."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from rabbitkeeper.client.model.topology import Entity


class Misuse(AssertionError):
    """The client did what no client may: used what is closed, acked what is not open, and the like."""


@dataclass(frozen=True, slots=True)
class Publish:
    """One message on its way to a broker. ``at`` is seconds of virtual time."""

    at: float
    node: str
    connection: int
    channel: int
    tag: int
    exchange: str
    routing_key: str
    message_id: str


@dataclass(slots=True)
class Journal:
    """Everything that was published, answered and delivered, in order."""

    sent: list[Publish] = field(default_factory=list)  # when the client sent it
    arrived: list[Publish] = field(default_factory=list)  # when a broker read it
    stored: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Message ids by queue, in the order in which the queue took them; duplicates too."""
    confirmed: set[str] = field(default_factory=set)  # ids, when the ack reached the client
    refused: set[str] = field(default_factory=set)  # ids, when a queue refused them
    nacked: set[str] = field(default_factory=set)  # ids, when the broker said so
    returned: list[str] = field(default_factory=list)
    delivered: list[tuple[str, str]] = field(default_factory=list)  # queue and message id
    acked: Counter[str] = field(default_factory=Counter)  # ids, when the broker read the ack
    rejected: Counter[str] = field(default_factory=Counter)  # ids given back not to be queued again
    given_back: list[str] = field(default_factory=list)  # ids, unseen: they do not count as failures
    dropped: list[str] = field(default_factory=list)  # ids, over a delivery limit; dead letters too
    declared: list[str] = field(default_factory=list)
    ended_over: list[Entity] = field(default_factory=list)  # declarations over which a connection was ended
    opened: list[tuple[float, str]] = field(default_factory=list)  # time and node of each connection
    expired: list[str] = field(default_factory=list)  # tokens over whose end a connection was ended
    misuses: list[str] = field(default_factory=list)

    def misuse(self, what: str) -> Misuse:
        """Note it; the error to raise."""
        self.misuses.append(what)
        return Misuse(what)

    def sent_on(self, node: str) -> list[str]:
        """Ids of all that was sent to ``node``, in order, again what was sent again."""
        return [one.message_id for one in self.sent if one.node == node]

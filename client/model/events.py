"""What happens to a client, as values: given to the functions that were named with ``Client.on_event``."""

import time
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Anything that happened. ``at`` is seconds since 1970, for people."""

    at: float = field(default_factory=time.time, compare=False)


@dataclass(frozen=True, slots=True)
class Connected(Event):
    """The client reached its first broker."""

    member: str
    address: str  # host:port
    epoch: int  # of the leader that it knew then


@dataclass(frozen=True, slots=True)
class Disconnected(Event):
    """The client has lost its broker, or has dropped it at the word of its agent, and looks for another."""

    member: str
    address: str
    why: str


@dataclass(frozen=True, slots=True)
class Switched(Event):
    """The client goes over another connection now, to another member or to the same one again."""

    member: str
    address: str
    previous: str  # the member before
    epoch: int
    planned: bool  # the old connection still worked: nothing stalled
    gap: float  # seconds without a connection that takes publishes; 0 if planned


@dataclass(frozen=True, slots=True)
class LeaderChanged(Event):
    """The group has another leader, or (None) no leader."""

    member: str | None
    epoch: int
    incarnation: int = 0  # of the group, in which the epoch counts


@dataclass(frozen=True, slots=True)
class PublishersBlocked(Event):
    """The broker blocks publishers, as it does in a memory or disk alarm."""

    member: str
    why: str


@dataclass(frozen=True, slots=True)
class PublishersUnblocked(Event):
    """It does so no longer."""

    member: str


@dataclass(frozen=True, slots=True)
class ConsumerStarted(Event):
    """A broker has taken a consumer on, for the first time or again."""

    queue: str
    member: str


@dataclass(frozen=True, slots=True)
class ConsumerLost(Event):
    """A consumer has ended without its user's wish, the connection being well."""

    queue: str
    why: str
    final: bool  # it is not started again; its user gets the error. Else it is, at once or soon


@dataclass(frozen=True, slots=True)
class ConsumerMissing(Event):
    """A check has found a consumer that should be there and is not. Reported at each check until it is."""

    queue: str
    seconds: float  # for which it has been missing
    why: str


@dataclass(frozen=True, slots=True)
class ConsumerStalled(Event):
    """The broker delivered nothing to a consumer with room, though it had messages ready, or did not know the
    consumer. Another is started in its place."""

    queue: str
    ready: int  # messages that the queue could have delivered
    seconds: float  # since the last delivery


@dataclass(frozen=True, slots=True)
class DeclarationFailed(Event):
    """Something declared earlier could not be declared again on the present connection."""

    entity: str  # what, as in "queue 'orders'"
    why: str
    final: bool  # it is tried again only after the next switch, or when it is declared again, if the
    # connection ended over it. Else it goes on being tried


@dataclass(frozen=True, slots=True)
class QueueRenamed(Event):
    """A queue that the broker names was declared again and has another name."""

    queue: str  # the name that the client uses for it
    previous: str
    name: str  # the broker's


@dataclass(frozen=True, slots=True)
class HandlerFailed(Event):
    """A function given to ``Client.on_message`` has raised; its message goes back or is rejected."""

    queue: str
    message_id: str | None
    error: BaseException


@dataclass(frozen=True, slots=True)
class CancelledPublish(Event):
    """What became of a publish whose task was cancelled when the message had been sent already.

    One that was taken back in time is not told: it is nowhere.
    """

    message_id: str
    exchange: str
    routing_key: str
    error: Exception | None  # None: it was confirmed


@dataclass(frozen=True, slots=True)
class ZooKeeperLost(Event):
    """ZooKeeper does not answer. The client stays where it is and goes on."""


@dataclass(frozen=True, slots=True)
class ZooKeeperBack(Event):
    """ZooKeeper answers again."""


@dataclass(frozen=True, slots=True)
class AgentsLost(Event):
    """No agent tells of the group, where agents are asked. The client stays where it is and goes on."""

    why: str  # of each


@dataclass(frozen=True, slots=True)
class AgentsBack(Event):
    """An agent tells of the group again."""


@dataclass(frozen=True, slots=True)
class ClientClosed(Event):
    """The last event. ``why`` if it was not the user's wish."""

    why: str | None


@dataclass(frozen=True, slots=True)
class EventsMissed(Event):
    """The functions were slower than the events; as many were dropped here."""

    count: int

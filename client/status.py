"""What a client tells of itself: values, made on request."""

from dataclasses import dataclass, field

import pika

from rabbitkeeper.client.amqp.transport import Access
from rabbitkeeper.client.routing.switch import Phase


@dataclass(frozen=True, slots=True)
class LastSwitch:
    """The last time that a client went over to another connection."""

    previous: str  # the member before
    member: str
    at: float  # seconds since 1970
    planned: bool  # the old connection still worked: nothing stalled
    gap: float  # seconds without a connection that takes publishes; 0 if planned


@dataclass(frozen=True, slots=True)
class Status:
    """Where a client is, at one moment."""

    phase: Phase
    member: str | None  # it is connected to
    address: str | None
    since: float  # seconds, monotonic: of the phase
    epoch: int  # the newest that it has seen
    leader: str | None  # as last seen in ZooKeeper
    unconfirmed: int  # publishes without an outcome
    consumers: int  # that a broker has taken on
    consumers_wanted: int  # that should be: fewer are there for a moment after a switch, or see the events
    in_hand: int  # messages delivered and not answered
    last_switch: LastSwitch | None
    blocked: str | None  # why the broker blocks publishers, while it does
    zookeeper: bool  # whether ZooKeeper answers
    error: str | None  # the last one, while there is no connection


@dataclass(frozen=True, slots=True)
class Leader:
    """The leader, for those who connect with something else."""

    member: str
    address: str
    epoch: int
    _access: Access = field(repr=False)

    def parameters(self) -> pika.ConnectionParameters:
        """For pika: host, port, virtual host and the client's own credentials."""
        return self._access.parameters(self.address, timeout=10.0)


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """A message that was handed over and had no outcome when the client was closed."""

    message_id: str
    exchange: str
    routing_key: str
    body: bytes = field(repr=False)
    sent: bool  # it may be there; if not sent, it is not

"""Parts of what a client tells of itself that the engine makes. Values."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class LastSwitch:
    """The last time that a client went over to another connection."""

    previous: str  # the member before
    member: str
    at: float  # seconds since 1970
    planned: bool  # the old connection still worked: nothing stalled
    gap: float  # seconds without a connection that takes publishes; 0 if planned


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """A message that was handed over and had no outcome when the client was closed."""

    message_id: str
    exchange: str
    routing_key: str
    body: bytes = field(repr=False)
    sent: bool  # it may be there; if not sent, it is not

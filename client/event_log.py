"""A client's events as lines of the application's log, with the fields that the agents' logs have.

``client.on_event(EventLog("orders"))`` and a handler with ``JsonLines`` give lines that can be put beside
those of the agents: a change of the lead has the same ``event_id`` there and here.
"""

import dataclasses
import logging
import secrets

from rabbitkeeper.client.model.events import (
    AgentsLost,
    ConsumerLost,
    ConsumerMissing,
    ConsumerStalled,
    DeclarationFailed,
    Disconnected,
    Event,
    EventsMissed,
    HandlerFailed,
    LeaderChanged,
    PublishersBlocked,
    ZooKeeperLost,
)
from rabbitkeeper.coordinator.model.event_ids import lead_lost, lead_taken

log = logging.getLogger("rabbitkeeper.client.events")

# Something is not as it should be; all others are told with INFO.
_WARNINGS = (
    AgentsLost,
    ConsumerLost,
    ConsumerMissing,
    ConsumerStalled,
    DeclarationFailed,
    Disconnected,
    EventsMissed,
    HandlerFailed,
    PublishersBlocked,
    ZooKeeperLost,
)


class EventLog:
    """To be named with ``Client.on_event``: logs each event on ``rabbitkeeper.client.events``.

    Args:
        group: the client's, for the lines.
    """

    def __init__(self, group: str) -> None:
        self._group = group
        self._run = secrets.token_hex(4)
        self._count = 0

    def __call__(self, event: Event) -> None:
        self._count += 1
        level = logging.WARNING if isinstance(event, _WARNINGS) else logging.INFO
        log.log(level, "%s", sentence(event), extra=self._fields(event))

    def _fields(self, event: Event) -> dict[str, object]:
        return {
            "group": self._group,
            "member": getattr(event, "member", None),
            "epoch": getattr(event, "epoch", None),
            "event": type(event).__name__,
            "event_id": _id_of_lead(event) or f"{self._run}-{self._count}",
        }


def sentence(event: Event) -> str:
    """The event's name and what it holds: ``Switched: member node2, address host2:5672, …``."""
    held = (f"{one.name} {getattr(event, one.name)}" for one in dataclasses.fields(event) if one.name != "at")
    said = ", ".join(held)
    return f"{type(event).__name__}: {said}" if said else type(event).__name__


def _id_of_lead(event: Event) -> str | None:
    if not isinstance(event, LeaderChanged):
        return None
    name = lead_lost if event.member is None else lead_taken
    return name(event.epoch, event.incarnation)

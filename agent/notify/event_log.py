"""The agent's events as lines of its log, for machines: each with the id that hooks and ``/events`` have.

What the loop itself says of an event, with the same id, is not said again.
"""

import logging

from rabbitkeeper.agent.model.state import AgentState
from rabbitkeeper.agent.notify.events import Event, EventKind

LOG = logging.getLogger("rabbitkeeper.agent.events")

_SAID_BY_THE_LOOP = frozenset({EventKind.STATE, EventKind.LEADER_ELECTED})


def receive(_state: AgentState, events: tuple[Event, ...]) -> None:
    """Log them. From the dispatcher's thread."""
    for event in events:
        if event.kind not in _SAID_BY_THE_LOOP:
            LOG.info("%s", sentence(event), extra=fields(event))


def fields(event: Event) -> dict[str, object]:
    """What a line about ``event`` says beside its message."""
    return {
        "epoch": event.epoch,
        "event": event.kind.value,
        "event_id": event.event_id,
        "operation_id": event.operation,
        "about": event.member,
        "state": event.state,
        "cause": event.cause,
    }


def sentence(event: Event) -> str:
    """What has happened, for a person."""
    why = f": {event.reason}" if event.reason else ""
    match event.kind:
        case EventKind.LEADER if event.state == "leads":
            return f"{event.member} leads (epoch {event.epoch}): {event.cause}"
        case EventKind.LEADER:
            return f"{event.member} leads no more, the lead is {event.state}{why}"
        case EventKind.LEADER_LOST:
            return f"this agent leads no more ({event.cause}){why}"
        case EventKind.LEADER_ELECTED:
            return f"this agent leads (epoch {event.epoch}): {event.cause}"
        case EventKind.MEMBER_DOWN:
            return f"{event.member} is down, {event.state}{why}"
        case EventKind.MEMBER_UP:
            return f"{event.member} is up, {event.state}{why}"
        case EventKind.OPERATION:
            return f"{event.cause} {event.operation} is {event.state}{why}"
        case EventKind.ZOOKEEPER:
            return f"ZooKeeper is {event.state}{why}"
        case EventKind.STATE | EventKind.MEMBER:
            return f"{event.member} is {event.state}{why}"

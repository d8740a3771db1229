"""What is new between two states of the agent: the one stream that hooks, ``/events`` and metrics live on.

Pure. ``member`` is what any agent sees of any member; ``member_down`` and ``member_up`` are the leader's
word, so that each is told once in a group. A member that goes down while nobody leads, as an old leader does,
is told by the next leader, which knows how things stood when there last was one.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

from rabbitkeeper.agent.model.state import AgentState
from rabbitkeeper.coordinator.model.event_ids import lead_lost, lead_taken
from rabbitkeeper.coordinator.model.view import GroupView
from rabbitkeeper.coordinator.policy.election import Action, Decision

GONE = "gone"  # the state of a member that is not registered


class EventKind(StrEnum):
    STATE = "state"  # this agent's broker is in another state, or for other reasons
    MEMBER = "member"  # a member has come, gone or changed its state
    LEADER = "leader"  # another leads, or nobody
    LEADER_ELECTED = "leader_elected"  # this agent has taken the lead
    LEADER_LOST = "leader_lost"  # this agent has it no more
    MEMBER_DOWN = "member_down"  # the leader's word: it is gone, or its broker does not serve
    MEMBER_UP = "member_up"  # the leader's word: it serves again, or for the first time
    OPERATION = "operation"  # something an operator has asked for begins, goes on or ends
    ZOOKEEPER = "zookeeper"  # the connection is lost, or there again


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that has happened.

    Attributes:
        at: when it was seen, UTC.
        group, agent: where it was seen.
        member: whom it is about.
        event_id: names it wherever it is told. A change of the lead has the same one at all agents and in
            the history; of what else happens each agent has its own.
        leader, epoch: who leads now, as far as is known.
        incarnation: of the group, in which the epoch counts.
        state: of the member, of the operation or of the connection.
        reason: a sentence.
        cause: why the lead moved, in a word or two; the kind of an operation.
        operation: its id.
        timings: seconds by phase.
    """

    kind: EventKind
    at: str
    group: str
    agent: str
    member: str
    event_id: str = ""
    leader: str | None = None
    epoch: int | None = None
    incarnation: int | None = None
    state: str | None = None
    reason: str | None = None
    cause: str | None = None
    operation: str | None = None
    timings: Mapping[str, float] = field(default_factory=dict)

    def content(self) -> dict[str, object]:
        """As JSON, for the webhook and ``/events``."""
        fields = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        return {"event": fields.pop("kind").value, **fields, "timings": dict(self.timings)}


@dataclass(frozen=True, slots=True)
class EventCursor:
    """What has been told so far.

    Attributes:
        last: the state before; None before the first.
        view: the group as it was last read.
        lead: the incarnation and the epoch that this agent leads with; None while it does not.
        resigned: the decision by which it gave up its last lead.
        standing: which members are up, as it was when there last was a leader; None before the first view.
    """

    last: AgentState | None = None
    view: GroupView | None = None
    lead: tuple[int, int] | None = None
    resigned: Decision | None = None
    standing: Mapping[str, bool] | None = None


def own_id(instance: str, turn: int, kind: EventKind, about: str | None = None) -> str:
    """The id of what one turn of one agent has found.

    Args:
        instance: of the agent's run.
        turn: its number.
        about: which member or operation, where a turn may find several of a kind.
    """
    return "-".join((instance, str(turn), kind.value, *([about] if about else [])))


def follow(cursor: EventCursor, state: AgentState, at: str) -> tuple[EventCursor, tuple[Event, ...]]:
    """Say what is new.

    Args:
        cursor: of what was told before.
        state: the next one.
        at: the time for people, UTC.

    Returns:
        The cursor to go on with, and the events in their order.
    """
    about = _About(state, at, cursor.view if state.view is None else state.view)
    events = [*_own_state(cursor.last, state, about), *_connection(cursor.last, state, about)]
    resigned = state.decision if state.decision.action is Action.RESIGN else cursor.resigned
    cursor = replace(cursor, last=state, resigned=resigned)
    if state.view is None:  # it is being read again: nothing is known to have changed
        return cursor, tuple(events)
    if cursor.view is not None and state.view is not cursor.view:
        events += _leader(cursor.view, state.view, about)
        events += _members(cursor.view, state.view, about)
        events += _operations(cursor.view, state.view, about)
    leader = state.view.leader
    lead = (state.view.incarnation, leader.epoch) if leader is not None and state.owns_lead else None
    if lead != cursor.lead:
        events += _own_lead(cursor, lead, state, about)
        if lead is not None:
            cursor = replace(cursor, resigned=None)
    standing, told = _standing(cursor.standing, state, about)
    events += told
    return replace(cursor, view=state.view, lead=lead, standing=standing), tuple(events)


@dataclass(frozen=True, slots=True)
class _About:
    """What all events of one turn have in common."""

    state: AgentState
    at: str
    view: GroupView | None

    def event(
        self,
        kind: EventKind,
        member: str | None = None,
        *,
        state: str | None = None,
        reason: str | None = None,
        cause: str | None = None,
        operation: str | None = None,
        timings: Mapping[str, float] | None = None,
        event_id: str | None = None,
    ) -> Event:
        leader = None if self.view is None else self.view.leader
        about = member if operation is None else operation
        return Event(
            kind=kind,
            event_id=event_id or own_id(self.state.instance, self.state.turn, kind, about),
            at=self.at,
            group=self.state.group,
            agent=self.state.name,
            member=member or self.state.name,
            leader=None if leader is None else leader.record.name,
            epoch=None if leader is None else leader.epoch,
            incarnation=None if self.view is None else self.view.incarnation,
            state=state,
            reason=reason or None,
            cause=cause,
            operation=operation,
            timings=MappingProxyType(dict(timings or {})),
        )


def _own_state(last: AgentState | None, state: AgentState, about: _About) -> list[Event]:
    verdict = state.verdict
    if last is not None and (last.verdict.status, last.verdict.reasons) == (verdict.status, verdict.reasons):
        return []
    timings = {}
    heard = state.connection.heard_at
    if last is not None and last.verdict.well and verdict.status.down and heard is not None:
        timings["detection"] = max(0.0, state.at - heard)
    return [
        about.event(
            EventKind.STATE, state=verdict.status.value, reason="; ".join(verdict.reasons), timings=timings
        )
    ]


def _connection(last: AgentState | None, state: AgentState, about: _About) -> list[Event]:
    if last is None or last.session.connected == state.session.connected:
        return []
    connected = "connected" if state.session.connected else "disconnected"
    return [about.event(EventKind.ZOOKEEPER, state=connected, reason=state.decision.reason)]


def _leader(before: GroupView, after: GroupView, about: _About) -> list[Event]:
    was = None if before.leader is None else (before.era, before.leader.epoch)
    if (None if after.leader is None else (after.era, after.leader.epoch)) == was:
        return []
    if after.leader is None:
        whose = before.leader.record.name if before.leader is not None else None
        state = "vacant" if after.leader_unreadable is None else "unreadable"
        gone = None if was is None else lead_lost(was[1], before.incarnation)
        return [
            about.event(EventKind.LEADER, whose, state=state, reason=after.leader_unreadable, event_id=gone)
        ]
    record = after.leader.record
    taken = lead_taken(after.leader.epoch, after.incarnation)
    return [about.event(EventKind.LEADER, record.name, state="leads", cause=record.cause, event_id=taken)]


def _members(before: GroupView, after: GroupView, about: _About) -> list[Event]:
    events = []
    for name in sorted({*before.members, *after.members}):
        was, now = before.members.get(name), after.members.get(name)
        if now is None:
            events.append(about.event(EventKind.MEMBER, name, state=GONE, reason="it is not registered"))
        elif was is None or (was.record.state, was.record.reasons) != (now.record.state, now.record.reasons):
            reason = "; ".join(now.record.reasons)
            events.append(about.event(EventKind.MEMBER, name, state=now.record.state.value, reason=reason))
    return events


def _operations(before: GroupView, after: GroupView, about: _About) -> list[Event]:
    was, now = _pending(before), _pending(after)
    events = [
        about.event(EventKind.OPERATION, state="ended", cause=kind, operation=identity)
        for identity, (kind, _) in was.items()
        if identity not in now
    ]
    for identity, (kind, how_far) in now.items():
        if was.get(identity) != (kind, how_far):
            state = "pending" if identity not in was else "running"
            events.append(
                about.event(EventKind.OPERATION, state=state, reason=how_far, cause=kind, operation=identity)
            )
    return events


def _pending(view: GroupView) -> dict[str, tuple[str, str]]:
    """What is under way, by its id: its kind, and how far it is."""
    found = {}
    if view.switchover is not None:
        move = view.switchover.record
        found[move.id] = (move.kind.value, f"the lead goes to {move.to or 'the best candidate'}")
    if view.maintenance is not None:
        work = view.maintenance.record
        step = f"; {work.members[0]}: {work.step}" if work.step is not None and work.members else ""
        found[work.id] = (work.kind.value, f"{', '.join(work.members) or 'nobody'} to come{step}")
    if view.pause is not None:
        found[view.pause.id or "pause"] = ("pause", f"paused by {view.pause.by}")
    return found


def _own_lead(
    cursor: EventCursor, lead: tuple[int, int] | None, state: AgentState, about: _About
) -> list[Event]:
    events = []
    if cursor.lead is not None:
        cause, reason = _why_lost(cursor, state)
        incarnation, epoch = cursor.lead
        lost = lead_lost(epoch, incarnation)
        events.append(about.event(EventKind.LEADER_LOST, cause=cause, reason=reason, event_id=lost))
    if lead is not None and state.view is not None and state.view.leader is not None:
        taken, (incarnation, epoch) = state.lead, lead
        ours = taken is not None and (taken.incarnation, taken.epoch) == lead
        timings = taken.timings if taken is not None and ours else {}
        cause = state.view.leader.record.cause
        events.append(
            about.event(
                EventKind.LEADER_ELECTED,
                state=state.verdict.status.value,
                cause=cause,
                reason=state.decision.reason,
                timings=timings,
                event_id=lead_taken(epoch, incarnation),
            )
        )
    return events


def _why_lost(cursor: EventCursor, state: AgentState) -> tuple[str, str]:
    if cursor.resigned is not None:
        return cursor.resigned.cause or "resigned", cursor.resigned.reason
    leader = None if cursor.view is None else cursor.view.leader
    if leader is not None and leader.owner != state.session.id:
        return "session lost", "the ZooKeeper session that held the lead has ended"
    return "taken away", "the leader znode was deleted by somebody else"


def _standing(
    before: Mapping[str, bool] | None, state: AgentState, about: _About
) -> tuple[Mapping[str, bool] | None, list[Event]]:
    """Who is up now, and what the leader has to tell about it."""
    view = about.view
    if view is None or (view.leader is None and before is not None):
        return before, []  # nobody is there to tell: how it stood is kept for the next leader
    now = dict(before or {})
    for name, member in view.members.items():
        if member.record.state.serves:
            now[name] = True
        elif member.record.state.down:
            now[name] = False
    recorded = None if view.cluster is None else {node.member for node in view.cluster.record.nodes.values()}
    for name in now.keys() - view.members.keys():
        now[name] = False
        if recorded is not None and name not in recorded:
            del now[name]  # removed from the cluster: nobody waits for it
    if before is None or not state.owns_lead:
        return now, []
    events = []
    for name, up in sorted(now.items()):
        if before.get(name) == up or (name not in before and not up):
            continue
        there = view.members.get(name)
        how = GONE if there is None else there.record.state.value
        reason = "it is not registered" if there is None else "; ".join(there.record.reasons)
        kind = EventKind.MEMBER_UP if up else EventKind.MEMBER_DOWN
        events.append(about.event(kind, name, state=how, reason=reason))
    return now, events

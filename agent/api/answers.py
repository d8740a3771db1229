"""What the API says of one state of the agent: a status code and what to show. Pure."""

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rabbitkeeper.agent.config.agent import OPERATION_TIMEOUT, WATCHDOG_MARGIN
from rabbitkeeper.agent.model.observation import Traffic
from rabbitkeeper.agent.model.state import AgentState
from rabbitkeeper.coordinator.model.render import render_members, render_record
from rabbitkeeper.coordinator.model.view import GroupView

STALLED = OPERATION_TIMEOUT + WATCHDOG_MARGIN  # seconds that a healthy loop may need to come round

Content = dict[str, Any]  # JSON
Answer = tuple[int, Content]

_OK, _UNAVAILABLE = 200, 503


def live(silent: float) -> Answer:
    """Whether the loop comes round.

    Args:
        silent: seconds since it has.
    """
    if silent > STALLED:
        return _UNAVAILABLE, {"live": False, "reason": f"the loop has not come round for {silent:.1f} s"}
    return _OK, {"live": True}


def leader(
    state: AgentState | None, now: float, silent: float, *, hold: bool = False, waiting: str | None = None
) -> Answer:
    """Whether clients that want the leader should come here.

    Args:
        state: None before the loop has come round once.
        now: seconds, monotonic.
        silent: seconds since the loop has come round.
        hold: also when it led when ZooKeeper was last there to say so, and is away now.
        waiting: what the agent waits for before its loop begins.
    """
    if state is None or silent > STALLED:
        return _no_state(silent, waiting)
    leads = state.holds_lead(now) if hold else state.leads(now)
    return _answer(leads and state.serves, state)


def replica(state: AgentState | None, silent: float, waiting: str | None = None) -> Answer:
    """Whether clients that want any broker but the leader's should come here."""
    if state is None or silent > STALLED:
        return _no_state(silent, waiting)
    return _answer(not state.owns_lead and state.serves_beside, state)


def ready(state: AgentState | None, silent: float, waiting: str | None = None) -> Answer:
    """Whether clients can use the broker, whoever leads."""
    if state is None or silent > STALLED:
        return _no_state(silent, waiting)
    return _answer(state.serves, state)


def health(
    state: AgentState | None,
    now: float,
    wall: float,
    silent: float,
    *,
    operations: bool = False,
    zookeeper: Sequence[str] = (),
    waiting: str | None = None,
) -> Answer:
    """Everything about this agent; 200 while its broker serves clients.

    Args:
        wall: seconds since 1970 at ``now``.
        operations: whether it takes them.
        zookeeper: the servers' addresses.
        waiting: what the agent waits for before its loop begins.
    """
    if state is None or silent > STALLED:
        return _no_state(silent, waiting)
    session, connection, broker = state.session, state.connection, state.broker

    def moment(monotonic: float | None) -> str | None:
        return None if monotonic is None else _utc(wall - (now - monotonic))

    content = {
        "group": state.group,
        "name": state.name,
        "instance": state.instance,
        "node": state.node,
        "state": state.verdict.status.value,
        "reasons": list(state.verdict.reasons),
        "since": state.since,
        "sentence": state.sentence,
        "role": "leader" if state.owns_lead else "member",
        "leader": state.leader,
        "epoch": state.epoch,
        "incarnation": state.incarnation,
        "next": {
            "action": state.decision.action.value,
            "reason": state.decision.reason,
            "look_again": moment(state.decision.wait_until),
            "start_broker": moment(broker.start_due),
            "under_way": broker.step,
        },
        "zookeeper": {
            "hosts": list(zookeeper),
            "connected": session.connected,
            "since": moment(session.connected_since if session.connected else session.disconnected_since),
            "registered": session.registered,
            "session_timeout": session.timeout,
            "lease_left": round(max(0.0, session.lease_until - now), 3),
        },
        "broker": {
            "version": connection.version,
            "connected_since": moment(connection.up_since),
            "error": connection.error,
            "blocked": connection.blocked,
            "canary_latency": connection.latency,
            "canaries_confirmed": connection.confirmed,
            "silent": round(connection.silent, 3),
            "ends": broker.ends,
        },
        "operations": operations,
        "loop": {"turn": state.turn, "took": round(state.took, 6), "age": round(max(0.0, now - state.at), 3)},
        "at": _utc(wall),
    }
    return (_OK if state.serves else _UNAVAILABLE), content


def group(state: AgentState | None, now: float, silent: float, waiting: str | None = None) -> Answer:
    """The group as this agent has read it last, with the age of that."""
    if state is None:
        return _no_state(silent, waiting)
    if state.view is None:
        return _UNAVAILABLE, {"reason": "the group is being read again; ask again"}
    return _OK, {
        "group": state.group,
        "age": round(max(0.0, now - state.view.read_at), 3),
        # without a lease there may be something newer that this agent has not been told of
        "zookeeper": {
            "connected": state.session.connected,
            "lease_left": round(max(0.0, state.session.lease_until - now), 3),
        },
        **_seen(state.view),
    }


def traffic(samples: Sequence[tuple[float, Traffic]], now: float) -> Content:
    """What the cluster carries.

    Args:
        samples: each with when it was asked for; none where ``broker.management`` is not configured.
    """
    told = [{"age": round(max(0.0, now - at), 3), **dataclasses.asdict(carried)} for at, carried in samples]
    return {"samples": told}


def _seen(view: GroupView) -> Content:
    lead = view.leader
    return {
        "leader": None if lead is None else render_record(lead.record),
        "leader_unreadable": view.leader_unreadable,
        "epoch": None if lead is None else lead.epoch,
        "incarnation": view.incarnation,
        "members": render_members(view),
        "cluster": None if view.cluster is None else render_record(view.cluster.record),
        "config": None if view.config is None else view.config.record.settings,
        "pause": None if view.pause is None else render_record(view.pause),
        "switchover": None if view.switchover is None else render_record(view.switchover.record),
        "maintenance": None if view.maintenance is None else render_record(view.maintenance.record),
        "last_change": None
        if view.last_change is None
        else view.last_change.model_dump(mode="json", by_alias=True),
        "problems": list(view.problems),
    }


def _answer(good: bool, state: AgentState) -> Answer:
    return (_OK if good else _UNAVAILABLE), {
        "name": state.name,
        "state": state.verdict.status.value,
        "leader": state.leader,
        "epoch": state.epoch,
        "incarnation": state.incarnation,
        "sentence": state.sentence,
    }


def _no_state(silent: float, waiting: str | None) -> Answer:
    if waiting is not None:
        return _UNAVAILABLE, {"reason": waiting}
    if silent > STALLED:
        return live(silent)
    return _UNAVAILABLE, {"reason": "the agent is starting: its loop has not come round yet"}


def _utc(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

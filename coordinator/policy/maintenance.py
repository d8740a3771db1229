"""Restarting brokers one at a time, and removing a member: what the pending ``maintenance`` asks for. Pure.

Who does what: the leader's agent chooses when the next member begins, gives up on one that does not come
back, and says how it ended; a member's own agent drains and restarts its broker. Each step is a
compare-and-set of the record, so whichever agent dies, its next run or the next leader goes on from there.

A member begins only while the brokers that are left are a majority of the cluster without it, and in a
rolling restart only while every broker runs, its own as well: one that RabbitMQ has paused meanwhile shows
that nodes do not see each other, whatever their agents say. After each restart the others are given the time
to notice that they do not count the node that is back: the end of the next would leave neither with a
majority, and RabbitMQ would pause both. The leader comes last, so that clients move once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from rabbitkeeper.coordinator.model.records import (
    MaintenanceRecord,
    MaintenanceStep,
    MemberStatus,
    OperationKind,
)
from rabbitkeeper.coordinator.model.view import GroupView
from rabbitkeeper.coordinator.policy.ranking import rank

BEGIN_PATIENCE = 120.0  # seconds to wait until it is safe to begin with the next member
SETTLED = 6.0  # seconds after a restart; agents compare the nodes after 1 and 4 s, and then tell
DRAIN_PATIENCE = 180.0  # seconds that a member may take to drain
RESTART_PATIENCE = 300.0  # seconds that its broker may take to end and to run again


class Do(StrEnum):
    """What an agent is to do about it now."""

    NOTHING = "nothing"
    BEGIN = "begin"  # let the first member begin
    DRAIN = "drain"  # our own broker: lead no more, see that nothing is missed, close the listeners
    RESTART = "restart"  # our own broker
    HOLD = "hold"  # our own broker is drained, and stays so for the time being
    FINISH = "finish"  # our own broker is back: on to the next
    REMOVE = "remove"  # have the first member's node forgotten
    FAIL = "fail"  # give the whole up


@dataclass(frozen=True, slots=True)
class Todo:
    do: Do
    reason: str  # a sentence for a person


@dataclass(frozen=True, slots=True)
class Worker:
    """The agent that asks.

    Attributes:
        name: the member's.
        status: of its broker, by the last verdict.
        leads: it leads, with a valid lease.
        process: what tells its broker's process from the next one; None when that cannot be told, or while
            there is none.
        restarted: this run of the agent has restarted the broker for this maintenance.
    """

    name: str
    status: MemberStatus
    leads: bool
    process: str | None = None
    restarted: bool = False


def next_step(record: MaintenanceRecord, view: GroupView, me: Worker, waited: float) -> Todo:
    """Decide what the agent ``me`` does about the pending maintenance.

    Args:
        record: the maintenance.
        view: a snapshot.
        me: the agent itself.
        waited: seconds for which the agent has seen this very record, pauses not counted.
    """
    first = record.members[0] if record.members else None
    if first is None:
        return Todo(Do.FAIL if me.leads else Do.NOTHING, "it names no member")
    if record.kind is OperationKind.REMOVE:
        return Todo(Do.REMOVE, f"{first} is removed") if me.leads else Todo(Do.NOTHING, "the leader's to do")
    if record.step is None:
        return _before(record, first, view, me, waited)
    patience = DRAIN_PATIENCE if record.step is MaintenanceStep.DRAIN else RESTART_PATIENCE
    if first == me.name and (waited < patience or record.step is MaintenanceStep.RESTART):
        return _own(record, view, me)
    if waited >= patience and (me.leads or first == me.name):
        return Todo(
            Do.FAIL, f"{first} did not {_VERB[record.step]} within {patience:g} s: {_how(view, first)}"
        )
    return Todo(Do.NOTHING, f"{first} is being restarted ({record.step})")


def why_unsafe(view: GroupView, name: str, *, force: bool, all_run: bool) -> str | None:
    """Why the member's broker must not end now, a sentence; None if it may.

    Args:
        force: also if the majority is lost meanwhile.
        all_run: whether every broker must run and count every other, and not just a majority of the others.
    """
    if name not in view.members:
        return f"{name} is not registered, so nobody could restart its broker"
    others = sorted({node.member for node in view.nodes.values()} - {name})
    there = [other for other in others if other in view.members]
    serving = [other for other in there if view.members[other].record.state.serves]
    majority = len(view.nodes) // 2 + 1
    if force:
        return None
    if len(serving) < majority:
        return (
            f"without {name} only {len(serving)} of {len(view.nodes)} brokers would serve, and a majority is "
            f"{majority}: queues would stop meanwhile; bring the others back first, or use --force"
        )
    apart = _apart(view, {name, *serving} if all_run else set(serving))
    if apart is not None:
        return f"{apart}: its agent or that one's restarts the odd one out of the two; wait for that"
    ill = [_how(view, other) for other in others if other not in serving]
    if not view.members[name].record.state.serves:
        ill.append(_how(view, name))
    if all_run and ill:
        return f"not every broker runs: {'; '.join(ill)}"
    return None


def rolling_order(view: GroupView) -> tuple[str, ...]:
    """All members of the cluster: the followers by name, those that may lead next last, then the leader."""
    leader = None if view.leader is None else view.leader.record.name
    names = {node.member for node in view.nodes.values()} or set(view.members)
    worst_first: Sequence[str] = [*reversed(rank(view))]
    return tuple(
        sorted(
            names,
            key=lambda name: (
                name == leader,
                worst_first.index(name) if name in worst_first else -1,
                name,
            ),
        )
    )


def _apart(view: GroupView, names: set[str]) -> str | None:
    """Who of them does not count whom, a sentence; None if they agree."""
    nodes = {view.members[name].record.node for name in names}
    for name in sorted(names):
        for node in sorted(nodes & set(view.members[name].record.uncounted)):
            return f"the broker of {name} does not count {node} as running"
    return None


_VERB = {MaintenanceStep.DRAIN: "drain", MaintenanceStep.RESTART: "run again"}


def _before(record: MaintenanceRecord, first: str, view: GroupView, me: Worker, waited: float) -> Todo:
    if not me.leads:
        return Todo(Do.NOTHING, f"the leader lets {first} begin")
    if view.pause is not None:
        return Todo(Do.NOTHING, f"waiting to restart {first}: the group is paused by {view.pause.by}")
    rolling = record.kind is OperationKind.ROLLING_RESTART
    if rolling and record.done and waited < SETTLED and not record.force:
        return Todo(Do.NOTHING, f"waiting to restart {first}: the others may not count {record.done[-1]} yet")
    why_not = why_unsafe(view, first, force=record.force, all_run=rolling)
    if why_not is None:
        return Todo(Do.BEGIN, f"{first} begins")
    if waited >= BEGIN_PATIENCE:
        return Todo(Do.FAIL, why_not)
    return Todo(Do.NOTHING, f"waiting to restart {first}: {why_not}")


def _own(record: MaintenanceRecord, view: GroupView, me: Worker) -> Todo:
    if record.step is MaintenanceStep.DRAIN:
        if view.pause is not None:
            return Todo(Do.NOTHING, f"waiting to be drained: the group is paused by {view.pause.by}")
        rolling = record.kind is OperationKind.ROLLING_RESTART
        if rolling and me.status is MemberStatus.UNREACHABLE and not record.force:
            return Todo(Do.NOTHING, f"waiting to be drained: {_how(view, me.name)}")
        return Todo(Do.DRAIN, f"being drained for {record.kind} {record.id}, asked for by {record.by}")
    same = me.process == record.process if record.process is not None else not me.restarted
    if same:
        if view.pause is not None:
            return Todo(Do.HOLD, f"drained, waiting to be restarted: the group is paused by {view.pause.by}")
        return Todo(Do.RESTART, f"being restarted for {record.kind} {record.id}, asked for by {record.by}")
    if me.status is MemberStatus.RUNNING:
        return Todo(Do.FINISH, f"{me.name} runs again")
    return Todo(Do.NOTHING, "waiting for the broker to run again")


def _how(view: GroupView, name: str) -> str:
    member = view.members.get(name)
    if member is None:
        return f"{name} is not registered"
    reasons = f" ({'; '.join(member.record.reasons)})" if member.record.reasons else ""
    return f"{name} is {member.record.state}{reasons}"

"""What an operator can ask a group for: checked against the group as it is, then written in one transaction.

The command ``rabbitkeeper`` and the agents' HTTP API both ask through here. A request that makes no sense is
refused with the reason before anything is written; one that is accepted has an id, is found in the log of
operations whatever dies, and is carried out by the agents.
"""

import time
from collections.abc import Callable

from rabbitkeeper.coordinator.backend.node import Create, Delete
from rabbitkeeper.coordinator.model.errors import Conflict, NoNode
from rabbitkeeper.coordinator.model.paths import check_name
from rabbitkeeper.coordinator.model.records import (
    MaintenanceRecord,
    OperationEntry,
    OperationKind,
    OperationState,
    PauseRecord,
    SwitchoverRecord,
)
from rabbitkeeper.coordinator.model.view import GroupView
from rabbitkeeper.coordinator.operations.log import end_maintenance, end_switchover, read_operations
from rabbitkeeper.coordinator.operations.submission import (
    OperationRefused,
    Submitted,
    new_entry,
    pending_maintenance,
    pending_move,
    submit,
)
from rabbitkeeper.coordinator.policy.maintenance import rolling_order, why_unsafe
from rabbitkeeper.coordinator.policy.removal import (
    Removal,
    reinit_of,
    removal_of_member,
    removal_of_node,
    replacement_of,
    too_old_for,
)
from rabbitkeeper.coordinator.policy.schedule import moment
from rabbitkeeper.coordinator.policy.switchover import best_candidate, why_unfit
from rabbitkeeper.coordinator.store.store import Store

__all__ = ["OperationRefused", "OperationService", "Submitted"]


class OperationService:
    """Asks one group. Belongs to one thread, like its store.

    Args:
        store: of the group, through a started backend.
        wall: seconds since 1970.
    """

    def __init__(self, store: Store, *, wall: Callable[[], float] = time.time) -> None:
        self._store = store
        self._wall = wall

    # -- what has become of it

    def operations(self) -> tuple[OperationEntry, ...]:
        """The operations kept, oldest first."""
        return read_operations(self._store)

    def outcome(self, operation: str) -> OperationEntry | None:
        """The operation of this id as it stands now; None if there is none."""
        return next((entry for entry in self.operations() if entry.id == operation), None)

    @property
    def log_path(self) -> str:
        """The node that changes with each operation; to be watched by those who wait for one."""
        return self._store.paths.operations

    def cancel(self, operation: str, *, by: str, reason: str | None = None) -> OperationEntry:
        """End a request that is pending or under way; what it has done already stays.

        Raises:
            OperationRefused: nothing of this id is pending.
        """
        view = self._view()
        outcome = f"cancelled by {by}" + (f": {reason}" if reason else "")
        try:
            if view.switchover is not None and view.switchover.record.id == operation:
                end_switchover(self._store, view.switchover, OperationState.FAILED, outcome)
            elif view.maintenance is not None and view.maintenance.record.id == operation:
                end_maintenance(self._store, view.maintenance, OperationState.FAILED, outcome)
            else:
                raise OperationRefused(
                    f"no operation {operation!r} is pending; rabbitkeeper operations lists them"
                )
        except (NoNode, Conflict):
            raise OperationRefused(f"{operation} has just gone on or ended; look and ask again") from None
        entry = self.outcome(operation)
        if entry is None:
            raise OperationRefused(f"{operation} is not in the log any more")
        return entry

    # -- the lead

    def switchover(
        self,
        *,
        by: str,
        to: str | None = None,
        at: str | None = None,
        reason: str | None = None,
        dry_run: bool = False,
    ) -> Submitted:
        """Move the lead from a leader that is well to another member.

        Args:
            by: who asks, for the record.
            to: the candidate; None for the best.
            at: not before this time: ISO 8601 with a time zone, or ``+10m``; None for now.
            reason: why, for the record.
            dry_run: check it and change nothing.

        Raises:
            OperationRefused: no leader, the candidate cannot lead, the group is paused, another request is
                pending, or the time has passed.
        """
        return self._switchover(OperationKind.SWITCHOVER, by, to, at, reason, dry_run=dry_run)

    def failback(self, to: str, *, reason: str) -> Submitted:
        """What the agent of a better member asks for: a switchover to itself.

        Raises:
            OperationRefused: as :meth:`switchover`.
        """
        return self._switchover(OperationKind.FAILBACK, f"agent {to} (failback)", to, None, reason)

    def _switchover(
        self,
        kind: OperationKind,
        by: str,
        to: str | None,
        at: str | None,
        reason: str | None,
        *,
        dry_run: bool = False,
    ) -> Submitted:
        view = self._view()
        if view.leader is None:
            raise OperationRefused(
                "the group has no leader whose lead could be moved; failover --to NAME gives it to a member"
            )
        if view.pause is not None:
            raise OperationRefused(
                f"the group is paused by {view.pause.by}: resume it first, or use failover --to NAME"
            )
        when = moment(at, self._wall()) if at is not None else None
        leader = view.leader.record.name
        if to is None:
            if best_candidate(view, leader) is None:
                raise OperationRefused(f"no member besides {leader} is running and may lead")
        else:
            self._check_candidate(view, to, forced=False)
        entry = new_entry(kind, self._wall(), by=by, reason=reason, target=to, at=when)
        target = to or f"the best candidate, now {best_candidate(view, leader)}"
        said = f"the lead moves from {leader} to {target}" + (f" at {when}" if when is not None else "")
        return self._move(view, entry, said, dry_run=dry_run)

    def failover(self, *, by: str, to: str, reason: str | None = None, dry_run: bool = False) -> Submitted:
        """Give the lead to a named member, whether or not somebody has it, also during a pause.

        It is still announced only when a majority confirms through that member.

        Raises:
            OperationRefused: the member is not running, leads already, or another request is pending.
        """
        view = self._view()
        self._check_candidate(view, to, forced=True)
        entry = new_entry(OperationKind.FAILOVER, self._wall(), by=by, reason=reason, target=to)
        was = view.leader.record.name if view.leader is not None else "nobody"
        return self._move(view, entry, f"the lead goes from {was} to {to}", dry_run=dry_run)

    # -- a pause

    def pause(self, *, by: str, reason: str | None = None, dry_run: bool = False) -> Submitted:
        """Maintenance: nobody takes the lead by himself, no broker is started or ended.

        Raises:
            OperationRefused: it is paused already.
        """
        view = self._view()
        if view.pause is not None:
            raise OperationRefused(
                f"the group is paused already, by {view.pause.by} since {view.pause.since}"
            )
        entry = new_entry(OperationKind.PAUSE, self._wall(), by=by, reason=reason, done="paused")
        record = PauseRecord(by=by, since=entry.requested, reason=reason, id=entry.id)
        warnings = []
        if view.switchover is not None:
            pending = view.switchover.record
            warnings.append(f"the {pending.kind} {pending.id} that is pending will fail if it comes due")
        if view.maintenance is not None:
            under_way = view.maintenance.record
            warnings.append(f"the {under_way.kind} {under_way.id} under way waits until the group is resumed")
        path = self._store.paths.pause
        change = Create(path, record.to_bytes())
        submit(self._store, view, entry, [change], dry_run=dry_run, in_the_way="the group is paused already")
        return Submitted(entry, "the group is paused: no automatic failover", tuple(warnings))

    def resume(self, *, by: str, reason: str | None = None, dry_run: bool = False) -> Submitted:
        """End the pause.

        Raises:
            OperationRefused: it is not paused.
        """
        view = self._view()
        path = self._store.paths.pause
        there = self._store.backend.stat(path)
        if there is None:
            raise OperationRefused("the group is not paused")
        entry = new_entry(OperationKind.RESUME, self._wall(), by=by, reason=reason, done="resumed")
        change = Delete(path, there.version)
        submit(
            self._store, view, entry, [change], dry_run=dry_run, in_the_way="the pause has just been changed"
        )
        return Submitted(entry, "the group is not paused any more")

    # -- maintenance

    def restart(
        self, member: str, *, by: str, reason: str | None = None, force: bool = False, dry_run: bool = False
    ) -> Submitted:
        """Restart one broker: its agent hands over the lead, drains it, restarts it.

        Args:
            force: also if the majority is lost meanwhile.

        Raises:
            OperationRefused: the majority would be lost, the member is not there, or other maintenance is
                under way.
        """
        view = self._view()
        check_name("member", member)
        _refuse_a_second(view)
        why_not = why_unsafe(view, member, force=force, all_run=False)
        if why_not is not None:
            raise OperationRefused(why_not)
        entry = new_entry(OperationKind.RESTART, self._wall(), by=by, reason=reason, target=member)
        return self._maintain(view, entry, (member,), f"the broker of {member} is restarted", force, dry_run)

    def rolling_restart(
        self, *, by: str, reason: str | None = None, force: bool = False, dry_run: bool = False
    ) -> Submitted:
        """Restart all brokers, one after the other, the leader's last.

        Raises:
            OperationRefused: as :meth:`restart`, and also if not every broker runs.
        """
        view = self._view()
        _refuse_a_second(view)
        order = rolling_order(view)
        for member in order:
            why_not = why_unsafe(view, member, force=force, all_run=True)
            if why_not is not None:
                raise OperationRefused(why_not)
        if not order:
            raise OperationRefused("the group has no members yet")
        entry = new_entry(
            OperationKind.ROLLING_RESTART, self._wall(), by=by, reason=reason, target=", ".join(order)
        )
        said = f"the brokers are restarted one after the other: {', '.join(order)}"
        return self._maintain(view, entry, order, said, force, dry_run)

    def remove(self, target: str, *, by: str, reason: str | None = None, dry_run: bool = False) -> Submitted:
        """Have the RabbitMQ cluster forget a member that is gone, or a node, with the replicas on it.

        Args:
            target: the member's name, or the Erlang node's, which has an @.

        Raises:
            OperationRefused: it is still there, is not recorded, or the rest is no majority.
        """
        view = self._view()
        if "@" in target:
            return self._forget(view, removal_of_node(view, target), target, by, reason, dry_run)
        check_name("member", target)
        return self._forget(view, removal_of_member(view, target), target, by, reason, dry_run)

    def replace(self, member: str, *, by: str, reason: str | None = None, dry_run: bool = False) -> Submitted:
        """Have it forget the nodes that a member had before it came on another machine.

        Raises:
            OperationRefused: there are none, the new node does not run, or the rest is no majority.
        """
        view = self._view()
        check_name("member", member)
        return self._forget(view, replacement_of(view, member), member, by, reason, dry_run)

    def reinit(self, member: str, *, by: str, reason: str | None = None, dry_run: bool = False) -> Submitted:
        """Have it forget the node of a member that has lost its disk, which then joins again.

        Raises:
            OperationRefused: it has lost nothing, or the rest is no majority.
        """
        view = self._view()
        check_name("member", member)
        return self._forget(view, reinit_of(view, member), member, by, reason, dry_run)

    # -- inside

    def _forget(
        self, view: GroupView, removal: Removal | str, target: str, by: str, reason: str | None, dry_run: bool
    ) -> Submitted:
        if isinstance(removal, str):
            raise OperationRefused(removal)
        why_not = too_old_for(view, removal)
        if why_not is not None:
            raise OperationRefused(why_not)
        entry = new_entry(OperationKind.REMOVE, self._wall(), by=by, reason=reason, target=target)
        return self._maintain(view, entry, removal.targets, removal.said, False, dry_run)

    def _view(self) -> GroupView:
        return self._store.snapshot(watch=False)

    def _check_candidate(self, view: GroupView, to: str, *, forced: bool) -> None:
        check_name("member", to)
        if view.leader is not None and view.leader.record.name == to:
            raise OperationRefused(f"{to} leads already (epoch {view.leader.epoch})")
        why_not = why_unfit(view, to, forced=forced)
        if why_not is not None:
            raise OperationRefused(why_not)

    def _move(self, view: GroupView, entry: OperationEntry, said: str, *, dry_run: bool) -> Submitted:
        busy = pending_move(view)
        if busy is not None:
            raise OperationRefused(busy)
        record = SwitchoverRecord.model_validate(
            {
                "id": entry.id,
                "kind": entry.kind,
                "from": view.leader.record.name if view.leader is not None else None,
                "epoch": view.leader.epoch if view.leader is not None else None,
                "to": entry.target,
                "at": entry.at,
                "by": entry.by,
                "reason": entry.reason,
                "requested": entry.requested,
            }
        )
        change = Create(self._store.paths.switchover, record.to_bytes())
        submit(self._store, view, entry, [change], dry_run=dry_run)
        return Submitted(entry, said)

    def _maintain(
        self,
        view: GroupView,
        entry: OperationEntry,
        members: tuple[str, ...],
        said: str,
        force: bool,
        dry_run: bool,
    ) -> Submitted:
        if view.pause is not None:
            raise OperationRefused(
                f"the group is paused by {view.pause.by}, and agents start no broker meanwhile: "
                "resume it first"
            )
        _refuse_a_second(view)
        record = MaintenanceRecord.model_validate(
            {
                "id": entry.id,
                "kind": entry.kind,
                "members": members,
                "force": force,
                "by": entry.by,
                "reason": entry.reason,
                "requested": entry.requested,
            }
        )
        change = Create(self._store.paths.maintenance, record.to_bytes())
        submit(self._store, view, entry, [change], dry_run=dry_run)
        return Submitted(entry, said, _classic_queues(view, members))


def _refuse_a_second(view: GroupView) -> None:
    """Said before what the one that is under way costs meanwhile: a member that drains is no fault."""
    busy = pending_maintenance(view)
    if busy is not None:
        raise OperationRefused(busy)


def _classic_queues(view: GroupView, members: tuple[str, ...]) -> tuple[str, ...]:
    """A classic queue lives on one node, and is away while that restarts."""
    counted = {
        name: view.members[name].record.load.get("classic_queues", 0)
        for name in members
        if name in view.members
    }
    return tuple(
        f"{count} classic queues live on {name} alone and are away while it restarts"
        for name, count in counted.items()
        if count
    )

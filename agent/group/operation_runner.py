"""Carries out what operators have asked for, as far as it is this agent's to do.

What is to be done is decided in the coordinator (``switchover.py``, ``maintenance.py``), purely and from what
stands in ZooKeeper; here it is done, one job at a time beside the loop, each ending in a compare-and-set. An
agent that dies in between begins again where the record stands.
"""

import logging
from collections.abc import Callable
from typing import Protocol

from rabbitkeeper.agent.cluster import draining, removal
from rabbitkeeper.agent.cluster.draining import DrainRefused, drain
from rabbitkeeper.agent.cluster.removal import remove
from rabbitkeeper.agent.group.disruption import Disruption
from rabbitkeeper.agent.model.errors import DisruptionRefused
from rabbitkeeper.agent.runtime.clocks import monotonic
from rabbitkeeper.agent.runtime.job import Job, Launch, ThreadJob
from rabbitkeeper.coordinator.model.errors import Conflict, NoNode, RabbitKeeperError
from rabbitkeeper.coordinator.model.records import (
    MaintenanceRecord,
    MaintenanceStep,
    MemberStatus,
    OperationState,
    SwitchoverRecord,
)
from rabbitkeeper.coordinator.model.view import GroupView, MaintenanceView, SwitchoverView
from rabbitkeeper.coordinator.operations.log import advance_maintenance, end_maintenance, end_switchover
from rabbitkeeper.coordinator.operations.service import OperationService
from rabbitkeeper.coordinator.policy.election import MemberState
from rabbitkeeper.coordinator.policy.failback import reason_to_ask
from rabbitkeeper.coordinator.policy.maintenance import Do, Todo, Worker, next_step
from rabbitkeeper.coordinator.policy.ranking import rank
from rabbitkeeper.coordinator.policy.switchover import SwitchoverPlan
from rabbitkeeper.coordinator.store.store import Store

LOG = logging.getLogger("rabbitkeeper.agent")

MOVE_TIME = 1.0  # seconds that clients have to move elsewhere before the broker drains
RETRY = 1.0  # seconds after a job that failed
STOP_TIMEOUT = 60.0  # seconds for an orderly end of the broker
REVIVE_PAUSE = 10.0  # seconds for a broker to be seen to be open again
FAILBACK_PAUSE = 60.0  # seconds at least between two requests for the lead


class Restartable(Protocol):
    """What is needed of the broker's supervisor."""

    @property
    def process(self) -> str | None:
        """Tells the broker's process from any other; None when that cannot be told."""

    @property
    def restartable(self) -> bool:
        """Whether this agent can restart the broker."""

    def restart(self, timeout: float) -> bool:
        """End the broker in order, to be started again; False if something else is being done to it."""


class Tools(draining.Tools, removal.Tools, Protocol):
    """What is needed of ``rabbitmqctl``."""

    def revive(self) -> None: ...


class OperationRunner:
    """One agent's part in the operations. Belongs to the loop's thread.

    Args:
        name: the member's.
        store: makes a store for a job's thread.
        ctl: the tools of the broker.
        broker: its supervisor.
        disruption: the group's leave to take it down.
        wake: called when a job has ended.
        clock: monotonic seconds.
        launch: begins a job.
    """

    def __init__(
        self,
        name: str,
        *,
        store: Callable[[], Store],
        ctl: Tools,
        broker: Restartable,
        disruption: Disruption,
        wake: Callable[[], None],
        clock: Callable[[], float] = monotonic,
        launch: Launch = ThreadJob,
    ) -> None:
        self._name = name
        self._store = store
        self._ctl = ctl
        self._broker = broker
        self._disruption = disruption
        self._wake = wake
        self._clock = clock
        self._launch = launch
        self._job: tuple[str, Job] | None = None
        self._retry_at = 0.0
        self._seen: tuple[str, int] | None = None  # the maintenance's id and version
        self._seen_at = 0.0
        self._led_at = 0.0  # when the lead was last seen to be ours, or to be taken
        self._draining_at = 0.0  # since when it has been known that this member is being drained
        self._ask_at = 0.0  # not before is the lead asked for
        self._revive_at = 0.0  # not before are listeners opened again that are said to be closed still
        self._closed = False  # the listeners are, by us, of the process that is there now
        self._restarted: str | None = None  # the maintenance for which this run has restarted the broker
        self._refused: str | None = None  # why our broker could not be drained
        self.draining: str | None = None  # why this member is being taken out of service

    def turn(
        self,
        now: float,
        view: GroupView | None,
        me: MemberState,
        switchover: SwitchoverPlan | None,
        *,
        leads: bool,
        left_drained: bool = False,
        failback: float | None = None,
    ) -> None:
        """Do what is next, if anything is.

        Args:
            now: seconds, monotonic.
            view: the last snapshot. None as well while it may be out of date: nothing is begun then.
            me: the agent itself, in this turn.
            switchover: what is to become of the pending request; None if there is none.
            leads: whether it leads, with a valid lease.
            left_drained: our broker says that an agent, by now a dead one, has drained it.
            failback: seconds for which our broker must have been running before the lead is asked for, if
                this member should have it; None: it is not asked for.
        """
        self._collect(now)
        self._disruption.turn(now, view, back=me.status.serves and self.draining is None)
        if view is None:
            return
        if leads or (view.leader is None and any(name != self._name for name in rank(view))):
            self._led_at = now
        self._end_switchover(view, switchover, leads=leads)
        if failback is not None:
            self._ask_back(now, view, me, failback)
        pending = view.maintenance
        if pending is None or not pending.record.members or pending.record.members[0] != self._name:
            self._not_ours(now, left_drained)
        if pending is not None:
            self._maintain(now, pending, view, me.status, leads=leads)
        else:
            self._seen = None

    # -- switchover and failback

    def _end_switchover(self, view: GroupView, plan: SwitchoverPlan | None, *, leads: bool) -> None:
        """Tell the log how it has ended: the leader does, or while there is none, whoever is there."""
        pending = view.switchover
        if plan is None or plan.ended is None or pending is None:
            return
        first = min(view.members, default=None)
        if leads or (view.leader is None and first == self._name):
            state, outcome = plan.ended
            self._begin("switchover", lambda: self._ended(pending, state, outcome))

    def _ended(self, pending: SwitchoverView, state: OperationState, outcome: str) -> None:
        record = pending.record
        end_switchover(self._store(), pending, state, outcome)
        _log_end(record, state, outcome)

    def _ask_back(self, now: float, view: GroupView, me: MemberState, after: float) -> None:
        """Ask for the lead, if this member should have it."""
        if now < self._ask_at:
            return
        reason = reason_to_ask(view, me, now - me.status_since, after)
        if reason is not None and self._begin("failback", lambda: self._asked_back(reason)):
            self._ask_at = now + max(after, FAILBACK_PAUSE)

    def _asked_back(self, reason: str) -> None:
        asked = OperationService(self._store()).failback(self._name, reason=reason)
        LOG.info("failback %s: %s: %s", asked.id, asked.sentence, reason, extra={"operation_id": asked.id})

    # -- maintenance

    def _maintain(
        self, now: float, pending: MaintenanceView, view: GroupView, status: MemberStatus, *, leads: bool
    ) -> None:
        record = pending.record
        if self._seen != (record.id, pending.version):
            self._seen, self._seen_at, self._refused = (record.id, pending.version), now, None
        if view.pause is not None:
            self._seen_at = now
        me = Worker(self._name, status, leads, self._broker.process, restarted=self._restarted == record.id)
        todo = next_step(record, view, me, now - self._seen_at)
        if todo.do in (Do.DRAIN, Do.RESTART, Do.HOLD):
            if self.draining is None:
                self._draining_at = now
            self.draining = todo.reason
        if now < self._retry_at:
            return
        match todo.do:
            case Do.BEGIN:
                self._advance(pending, {"step": MaintenanceStep.DRAIN}, todo.reason)
            case Do.DRAIN:
                self._drain(now, pending, leads=leads, there=status is not MemberStatus.STOPPED)
            case Do.RESTART:
                if self._broker.restart(STOP_TIMEOUT):
                    LOG.info("the broker is %s", todo.reason, extra={"operation_id": record.id})
                    self._restarted, self._closed = record.id, False
            case Do.FINISH:
                self.draining = None
                self._finish(pending)
            case Do.REMOVE:
                self._begin("removal", lambda: self._remove(pending))
            case Do.FAIL:
                self._fail(pending, todo)
            case Do.HOLD:
                pass
            case Do.NOTHING:
                if record.members and record.members[0] == self._name and record.step is not None:
                    self.draining = None  # the new broker boots: what it is, is seen

    def _drain(self, now: float, pending: MaintenanceView, *, leads: bool, there: bool) -> None:
        if self._refused is not None:
            self._fail(pending, Todo(Do.FAIL, self._refused))
            return
        if not self._broker.restartable:
            why = f"the broker of {self._name} is not its agent's to restart: restart it by whatever runs it"
            self._fail(pending, Todo(Do.FAIL, why))
            return
        # The loop gives up the lead, since this member drains. Then clients move to the next leader; those
        # that were here without its leading, to any other.
        if leads or now < max(self._led_at, self._draining_at) + MOVE_TIME:
            return
        self._begin("drain", lambda: self._drained(pending, there=there))

    def _drained(self, pending: MaintenanceView, *, there: bool) -> None:
        record = pending.record
        why = f"{record.kind} {record.id}, asked for by {record.by}"
        self._disruption.begin(why, needs_majority=there and not record.force)
        if there:
            self._closed = True  # as it may be as well when draining it fails
            try:
                drain(self._ctl, force=record.force)
            except DrainRefused:
                self._closed = False
                raise
        changed = record.model_copy(update={"step": MaintenanceStep.RESTART, "process": self._broker.process})
        advance_maintenance(self._store(), pending, changed, f"{self._name} is drained and restarts")

    def _finish(self, pending: MaintenanceView) -> None:
        record = pending.record
        done, left = (*record.done, self._name), record.members[1:]
        if left:
            self._advance(
                pending,
                {"members": left, "done": done, "step": None, "process": None},
                f"{', '.join(done)} restarted; {', '.join(left)} to come",
            )
            return
        said = f"{', '.join(done)} restarted"
        self._begin("maintenance", lambda: self._end(pending, OperationState.DONE, said))

    def _remove(self, pending: MaintenanceView) -> None:
        targets = pending.record.members
        try:
            for target in targets:
                remove(self._store(), self._ctl, target)
        except RabbitKeeperError as error:
            self._end(pending, OperationState.FAILED, str(error))
        else:
            self._end(pending, OperationState.DONE, f"{', '.join(targets)} is removed")

    def _fail(self, pending: MaintenanceView, todo: Todo) -> None:
        self._begin("maintenance", lambda: self._end(pending, OperationState.FAILED, todo.reason))

    def _end(self, pending: MaintenanceView, state: OperationState, outcome: str) -> None:
        record = pending.record
        end_maintenance(self._store(), pending, state, outcome)
        _log_end(record, state, outcome)

    def _advance(self, pending: MaintenanceView, changes: dict[str, object], outcome: str) -> None:
        record = pending.record.model_copy(update=changes)
        self._begin("maintenance", lambda: advance_maintenance(self._store(), pending, record, outcome))

    def _not_ours(self, now: float, left_drained: bool) -> None:
        """No maintenance is about this member (any more): one that was given up must not leave it drained."""
        self.draining = None
        shut = self._closed or (left_drained and now >= self._revive_at)
        if shut and self._begin("revive", self._revive):
            self._revive_at = now + REVIVE_PAUSE

    def _revive(self) -> None:
        self._ctl.revive()
        self._closed = False
        LOG.info("the broker's listeners are open again: its maintenance has ended")

    # -- jobs

    def _begin(self, name: str, work: Callable[[], object]) -> bool:
        if self._job is not None or self._clock() < self._retry_at:
            return False
        self._job = (name, self._launch(name, work, self._wake))
        return True

    def _collect(self, now: float) -> None:
        if self._job is None or not self._job[1].done:
            return
        (name, job), self._job = self._job, None
        failure = job.failure
        # What was written is seen in the next snapshot only: until then the old one would have it done again.
        self._retry_at = now + RETRY if failure is not None else now + 0.1
        if failure is None or isinstance(failure, NoNode | Conflict):
            return  # done, or others were first
        LOG.warning("%s: %s", name, failure)
        if name == "drain" and not isinstance(failure, DisruptionRefused):
            self._refused = str(failure)


def _log_end(record: SwitchoverRecord | MaintenanceRecord, state: OperationState, outcome: str) -> None:
    LOG.log(
        logging.INFO if state is OperationState.DONE else logging.WARNING,
        "%s %s by %s is %s: %s",
        record.kind,
        record.id,
        record.by,
        state,
        outcome,
        extra={"operation_id": record.id, "state": state.value},
    )

"""Declaring the majority canary's queue anew when it can have no leader any more.

RabbitMQ notes which replicas of quorum queues a node has in a file that it writes up to seconds late. A
broker that is killed before that, and boots again, starts the replica as a new one, which holds no
election: a queue whose only replica it was has no leader ever again (seen on 3.10.8). If that is the
canary's queue, every member is without a majority and nobody can lead. The queue is the agents' own and
what is in it is worth nothing, so one of them deletes it, and the next canary, which finds no queue,
declares it.

That is no cure for a cluster without a majority, and must not be taken for one: it is done only while a
majority of the cluster runs, and with it every node that has a replica of the queue, by RabbitMQ's word and
by its own agent's. Were it done while such a node is away, that would come back with the replica of the old
queue.
"""

import logging
from collections.abc import Callable
from typing import Protocol

from rabbitkeeper.agent.health.majority_canary import QUEUE
from rabbitkeeper.agent.model.verdict import Verdict
from rabbitkeeper.agent.rabbitmq.ctl import ClusterStatus
from rabbitkeeper.agent.runtime.job import Job, Launch, ThreadJob
from rabbitkeeper.coordinator.model.records import MemberStatus
from rabbitkeeper.coordinator.model.view import GroupView

LOG = logging.getLogger("rabbitkeeper.agent")

PATIENCE = 30.0  # seconds without a majority; a queue whose nodes are all up elects in less than one
RETRY = 30.0  # seconds after a try; each starts two Erlang machines


class Tools(Protocol):
    """What is needed of ``rabbitmqctl``."""

    def cluster_status(self) -> ClusterStatus: ...

    def replicas(self, vhost: str, queue: str) -> frozenset[str] | None: ...

    def delete_queue(self, vhost: str, queue: str) -> None: ...


def turn_of(view: GroupView) -> str | None:
    """Whose turn it is to repair the queue, so that one agent does: the first member without a majority.

    Nobody's while a member is running, because then the queue has a leader, or during a pause.
    """
    if view.pause is not None or any(_state(view, name) is MemberStatus.RUNNING for name in view.members):
        return None
    return min((name for name in view.members if _state(view, name) is MemberStatus.MINORITY), default=None)


def obstacle(status: ClusterStatus, replicas: frozenset[str], up: frozenset[str]) -> str | None:
    """Why the queue must be left alone; None if nothing is in the way.

    Args:
        status: of the cluster, as our node sees it.
        replicas: the nodes that have one of the queue's.
        up: the nodes whose agents say that they are well and without a majority.
    """
    if status.partitions:
        return f"the broker believes itself cut off from {_listed(status.partitions)}"
    if 2 * len(status.running) <= len(status.nodes):
        return f"without {_listed(status.nodes - status.running)} this is no majority of the cluster"
    away = replicas - (status.running & up)
    if away:
        return f"replicas of it are on {_listed(away)}, which is not known to be up"
    return None


class CanaryRepair:
    """One agent's part in it. Belongs to the loop's thread.

    Args:
        name: the member's.
        vhost: the agents' own.
        tools: the broker's.
        wake: called when a try has ended.
        launch: begins it beside the loop.
    """

    def __init__(
        self, name: str, vhost: str, tools: Tools, *, wake: Callable[[], None], launch: Launch = ThreadJob
    ) -> None:
        self._name = name
        self._vhost = vhost
        self._tools = tools
        self._wake = wake
        self._launch = launch
        self._job: Job | None = None
        self._due = 0.0
        self._obstacle: str | None = None  # what the last try has found in the way
        self.said: str | None = None  # what is done, or why nothing is: a sentence

    def turn(self, now: float, verdict: Verdict, view: GroupView | None) -> None:
        """Declare the queue anew if that is due, and take note of how that went.

        Args:
            now: seconds, monotonic.
            verdict: of this turn.
            view: the last snapshot; None as well while it may be out of date.
        """
        if self._job is not None and self._job.done:
            self._collect(now)
        if self._job is not None:
            return
        if verdict.status is not MemberStatus.MINORITY:
            self.said = None
            return
        if view is None or now < max(verdict.since + PATIENCE, self._due) or turn_of(view) != self._name:
            return
        up = frozenset(
            member.record.node
            for name, member in view.members.items()
            if _state(view, name) is MemberStatus.MINORITY
        )
        self._job = self._launch("canary", lambda: self._repair(up), self._wake)

    def _repair(self, up: frozenset[str]) -> None:
        self._obstacle = None
        replicas = self._tools.replicas(self._vhost, QUEUE)
        if replicas is None:
            # RabbitMQ lists a queue by its last leader's node, and leaves it out while that is away.
            self._obstacle = "the broker does not list it: its last leader is away, or there is none"
            return
        self._obstacle = obstacle(self._tools.cluster_status(), replicas, up)
        if self._obstacle is None:
            self._tools.delete_queue(self._vhost, QUEUE)

    def _collect(self, now: float) -> None:
        job, self._job = self._job, None
        self._due = now + RETRY
        failure = self._obstacle if job is None or job.failure is None else str(job.failure)
        if failure is None:
            said = (
                f"queue {QUEUE} had no leader for {PATIENCE:g} s while all its nodes ran: it is declared anew"
            )
        else:
            said = f"queue {QUEUE} has had no leader for {PATIENCE:g} s and is left as it is: {failure}"
        if said != self.said:
            LOG.warning("%s", said)
        self.said = said


def _state(view: GroupView, name: str) -> MemberStatus:
    return view.members[name].record.state


def _listed(nodes: frozenset[str]) -> str:
    return " and ".join(sorted(nodes))

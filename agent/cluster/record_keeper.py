"""Keeps the group's record of its RabbitMQ cluster: what was deleted or spoilt by hand is written again.

The truth about a cluster is what its nodes say. While this agent's node is formed, and the record is not
there or cannot be read, the record is written whole, from the nodes that RabbitMQ names.
It is a compare-and-set, so that of several agents one does it.

A record that is there and lacks this node, or has it for another member, gets its line from its owner. Such
a one comes of a node that found no record as it booted, while its cluster's others were away or could not
reach ZooKeeper: it knows the others' nodes and not whose they are. Lines of others are left alone.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from rabbitkeeper.agent.rabbitmq.ctl import ClusterStatus
from rabbitkeeper.agent.runtime.job import Job, Launch, ThreadJob
from rabbitkeeper.coordinator.model.errors import Conflict
from rabbitkeeper.coordinator.model.records import ClusterNode, ClusterRecord, utcnow
from rabbitkeeper.coordinator.model.view import ClusterView, GroupView

LOG = logging.getLogger("rabbitkeeper.agent")

RETRY = 2.0  # seconds after a try that has failed; each starts an Erlang machine
MISSED = 5.0  # seconds for which our line is missing until we write it: a view is older than what we wrote


class Tools(Protocol):
    """What is needed of ``rabbitmqctl``."""

    def cluster_status(self) -> ClusterStatus: ...


class Writes(Protocol):
    """What is needed of the store."""

    def write_cluster(self, record: ClusterRecord, version: int | None) -> ClusterView: ...


def whole_record(
    nodes: frozenset[str], last: ClusterRecord | None, members: Mapping[str, str], now: str
) -> ClusterRecord:
    """The record of a cluster. Pure.

    Args:
        nodes: as RabbitMQ names them.
        last: the record as it was read last; None if it never was.
        members: by node, those that are registered.
        now: for people.
    """
    before = {} if last is None else last.nodes
    entries = {
        node: before.get(node) or ClusterNode(member=members.get(node, node), joined=now)
        for node in sorted(nodes)
    }
    founder = last.founder if last is not None and last.founder in entries else min(entries)
    return ClusterRecord(founder=founder, formed=now if last is None else last.formed, nodes=entries)


class RecordKeeper:
    """One agent's part in it. Belongs to the loop's thread.

    Args:
        member: our name.
        node: our Erlang node.
        tools: the broker's.
        store: makes a store for a job's thread.
        wake: called when a job has ended.
        launch: begins a job.
    """

    def __init__(
        self,
        member: str,
        node: str,
        tools: Tools,
        store: Callable[[], Writes],
        *,
        wake: Callable[[], None],
        launch: Launch = ThreadJob,
    ) -> None:
        self._member = member
        self._node = node
        self._tools = tools
        self._store = store
        self._wake = wake
        self._launch = launch
        self._last: ClusterRecord | None = None
        self._job: Job | None = None
        self._due = 0.0
        self._missed: float | None = None  # since when our line is

    def turn(self, now: float, view: GroupView | None, *, formed: bool) -> None:
        """Write the record again if that is necessary.

        Args:
            now: seconds, monotonic.
            view: the last snapshot; None as well while it may be out of date.
            formed: our node is in the cluster since it was started.
        """
        if self._job is not None and self._job.done:
            if self._job.failure is not None:
                LOG.warning("the record of the cluster could not be written again: %s", self._job.failure)
            self._job, self._due = None, now + RETRY
        if view is None or self._job is not None:
            return
        if view.cluster is not None:
            self._last = view.cluster.record
        wanting = self._wanting(now, view, formed=formed)
        if wanting is not None and now >= self._due:
            self._job = self._launch("cluster record", wanting, self._wake)

    def _wanting(self, now: float, view: GroupView, *, formed: bool) -> Callable[[], None] | None:
        """What has to be written; None if nothing has, or it is not for us to say."""
        recorded = None if view.cluster is None else view.cluster.record.nodes.get(self._node)
        if not formed or view.cluster is None or (recorded is not None and recorded.member == self._member):
            self._missed = None
        if not formed:
            return None
        if view.cluster is None:
            version = view.cluster_unreadable
            members = {member.record.node: name for name, member in view.members.items()}
            return lambda: self._mend(version, members)
        if recorded is not None and recorded.member == self._member:
            return None
        self._missed = now if self._missed is None else self._missed
        known = view.cluster
        return (lambda: self._add(known)) if now >= self._missed + MISSED else None

    def _mend(self, version: int | None, members: Mapping[str, str]) -> None:
        nodes = self._tools.cluster_status().nodes
        record = whole_record(nodes, self._last, members, utcnow())
        try:
            self._store().write_cluster(record, version)
        except Conflict:
            return  # another agent was first
        LOG.warning(
            "the record of the cluster was gone or spoilt: it is written again, with %s", ", ".join(nodes)
        )

    def _add(self, known: ClusterView) -> None:
        """Write our line into the record of the cluster that we are in; one of another is left alone."""
        others = known.record.nodes.keys() - {self._node}
        if others and not others & self._tools.cluster_status().nodes:
            return
        own = ClusterNode(member=self._member, joined=utcnow())
        record = known.record.model_copy(update={"nodes": {**known.record.nodes, self._node: own}})
        try:
            self._store().write_cluster(record, known.version)
        except Conflict:
            return  # somebody else has changed it: it is looked at again
        LOG.warning("the record of the cluster had no %s of %s: it is added", self._node, self._member)

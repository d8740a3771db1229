"""Forgetting a member that is gone: its replicas, its node, its line in ``cluster``. A job of the leader's.

The record comes last: cut off before that, the whole is done again, and each step may find itself done.
"""

import logging
from typing import Protocol

from rabbitkeeper.agent.cluster.formation import Clusters
from rabbitkeeper.agent.rabbitmq.ctl import ClusterStatus
from rabbitkeeper.coordinator.model.errors import Conflict, RabbitKeeperError

LOG = logging.getLogger("rabbitkeeper.agent")

_CONFLICTS = 20  # compare-and-sets lost in a row until it is given up


class RemovalFailed(RabbitKeeperError):
    """The member could not be removed; says at which step."""


class Tools(Protocol):
    """What is needed of ``rabbitmqctl``."""

    @property
    def node(self) -> str: ...

    def cluster_status(self) -> ClusterStatus: ...

    def shrink(self, gone: str) -> None: ...

    def forget_cluster_node(self, other: str, *, node: str) -> None: ...


def remove(store: Clusters, ctl: Tools, member: str) -> None:
    """Have the RabbitMQ cluster forget a member's node and take it from the group's record.

    Args:
        store: of the calling thread.
        ctl: the tools of a running node of the cluster.
        member: the member's name.

    Raises:
        RemovalFailed: its broker still runs, or others always changed the record first.
        RabbitmqCtlError, CoordinationError: as their operations; begin again.
    """
    view = store.cluster()
    nodes = [] if view is None else [node for node, its in view.record.nodes.items() if its.member == member]
    for node in nodes:
        status = ctl.cluster_status()
        if node in status.running:
            raise RemovalFailed(f"the broker {node} still runs in the cluster: stop it first")
        if node in status.nodes:
            ctl.shrink(node)
            ctl.forget_cluster_node(node, node=ctl.node)
            LOG.info("the cluster has forgotten %s", node)
    _unrecord(store, member)


def _unrecord(store: Clusters, member: str) -> None:
    for _ in range(_CONFLICTS):
        view = store.cluster()
        if view is None:
            return
        left = {node: its for node, its in view.record.nodes.items() if its.member != member}
        if len(left) == len(view.record.nodes):
            return
        founder = view.record.founder if view.record.founder in left else min(left, default="")
        record = view.record.model_copy(update={"nodes": left, "founder": founder})
        try:
            store.write_cluster(record, view.version)
        except Conflict:
            continue
        return
    raise RemovalFailed(f"{member} is still recorded: others always wrote the cluster record first")

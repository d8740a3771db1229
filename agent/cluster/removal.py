"""Forgetting nodes that are gone: their replicas, their place in the cluster, their lines in ``cluster``.

The record comes last: cut off before that, the whole is done again, and each step may find itself done.
"""

import logging
from collections.abc import Collection
from typing import Protocol

from rabbitkeeper.agent.rabbitmq.ctl import ClusterStatus
from rabbitkeeper.coordinator.model.errors import Conflict, RabbitKeeperError
from rabbitkeeper.coordinator.model.records import ClusterRecord
from rabbitkeeper.coordinator.model.view import ClusterView

LOG = logging.getLogger("rabbitkeeper.agent")

_CONFLICTS = 20  # compare-and-sets lost in a row until it is given up


class RemovalFailed(RabbitKeeperError):
    """The member could not be removed; says at which step."""


class Clusters(Protocol):
    """What is needed of the store."""

    def cluster(self) -> ClusterView | None: ...

    def write_cluster(self, record: ClusterRecord, version: int | None) -> ClusterView: ...


class Tools(Protocol):
    """What is needed of ``rabbitmqctl``."""

    @property
    def node(self) -> str: ...

    def cluster_status(self) -> ClusterStatus: ...

    def answers(self, node: str) -> bool: ...

    def shrink(self, gone: str) -> None: ...

    def forget_cluster_node(self, other: str, *, node: str) -> None: ...


def remove(store: Clusters, ctl: Tools, target: str) -> None:
    """Have the RabbitMQ cluster forget a member's nodes, or one node, and take them from the group's record.

    Args:
        store: of the calling thread.
        ctl: the tools of a running node of the cluster.
        target: the member's name, or the Erlang node's, which has an @.

    Raises:
        RemovalFailed: its broker still runs, nobody knows of it, or others always changed the record first.
        RabbitmqCtlError, CoordinationError: as their operations; begin again.
    """
    view = store.cluster()
    recorded = {} if view is None else view.record.nodes
    if "@" not in target:
        forget(store, ctl, [node for node, its in recorded.items() if its.member == target])
        return
    known = ctl.cluster_status().nodes | recorded.keys()
    if target not in known:
        raise RemovalFailed(f"{target} is not in the cluster; its nodes are {', '.join(sorted(known))}")
    forget(store, ctl, [target])


def forget(store: Clusters, ctl: Tools, nodes: Collection[str]) -> None:
    """Have the cluster forget nodes that do not run in it.

    Raises:
        As :func:`remove`.
    """
    for node in nodes:
        status = ctl.cluster_status()
        if node in status.running:
            raise RemovalFailed(f"the broker {node} still runs in the cluster: stop it first")
        if node in status.nodes:
            ctl.shrink(node)
            ctl.forget_cluster_node(node, node=ctl.node)
            LOG.info("the cluster has forgotten %s", node)
    _unrecord(store, nodes)


def forget_former(store: Clusters, ctl: Tools, member: str, record: ClusterRecord) -> None:
    """Forget the nodes that a member had before, on machines that are gone, when another has its name.

    One that is not gone for certain, or cannot be forgotten now, stays; that is told.

    Args:
        store, ctl: as for :func:`remove`; ``ctl.node`` is the member's node now, and in the cluster.
        record: the group's.
    """
    for node in sorted(record.nodes):
        if node == ctl.node or record.nodes[node].member != member:
            continue
        try:
            _refuse_unless_gone(ctl, node)
            forget(store, ctl, [node])
        except RabbitKeeperError as error:
            LOG.warning(
                "%s, which %s had before, stays in the cluster: %s; once it is stopped for good: "
                "rabbitkeeper member replace %s",
                node,
                member,
                error,
                member,
            )


def _refuse_unless_gone(ctl: Tools, node: str) -> None:
    """Nobody has said that it is gone for good, so it must look like it, and not be missed."""
    if ctl.answers(node):
        raise RemovalFailed(f"{node} still runs, or it cannot be found out whether it does")
    status = ctl.cluster_status()
    if 2 * len(status.running) <= len(status.nodes):
        raise RemovalFailed(f"only {len(status.running)} of {len(status.nodes)} nodes run, no majority")


def _unrecord(store: Clusters, nodes: Collection[str]) -> None:
    for _ in range(_CONFLICTS):
        view = store.cluster()
        if view is None:
            return
        left = {node: its for node, its in view.record.nodes.items() if node not in nodes}
        if len(left) == len(view.record.nodes):
            return
        founder = view.record.founder if view.record.founder in left else min(left, default="")
        record = view.record.model_copy(update={"nodes": left, "founder": founder})
        try:
            store.write_cluster(record, view.version)
        except Conflict:
            continue
        return
    raise RemovalFailed(f"{', '.join(nodes)} is still recorded: others always wrote the cluster record first")

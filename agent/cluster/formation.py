"""Bringing a node into the group's RabbitMQ cluster, coordinated through ZooKeeper: no seed list.

The order of the steps is what makes it safe to be killed between any two of them and begun again:

1. Founding and joining happen under the group's formation lock, one node at a time, and end in a
   compare-and-set of ``cluster``; the lock goes with its holder's session.
2. ``cluster`` is founded after the agents' vhost was made: whoever joins gets it with the rest.
3. A member is recorded last, when it is in the cluster, its agent can log in, and the canary's queue has a
   replica on it, without which a kill just afterwards would leave nobody who may lead. One that was cut off
   before that finds itself in the cluster and does the rest. Other quorum queues get replicas on it later
   (``replicas.py``).

``formation_plan.py`` decides; here is what it needs to know and what it leads to. Nothing is ever removed
from a cluster here, save a half-made entry of the node that is joining, and the node that the same member had
on a machine that is gone, once it is there itself.
"""

import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from rabbitkeeper.agent.cluster.formation_plan import FormationPlan, FormationStep, plan
from rabbitkeeper.agent.cluster.record_keeper import whole_record
from rabbitkeeper.agent.cluster.removal import Clusters, forget_former
from rabbitkeeper.agent.health.majority_canary import QUEUE
from rabbitkeeper.agent.model.errors import FormationRefused
from rabbitkeeper.agent.rabbitmq import definitions
from rabbitkeeper.agent.rabbitmq.ctl import (
    ClusterStatus,
    Inconsistent,
    RabbitmqCtlError,
    RabbitmqCtlTimeout,
)
from rabbitkeeper.agent.rabbitmq.definitions import Definitions, Entry
from rabbitkeeper.agent.rabbitmq.versions import apart
from rabbitkeeper.coordinator.model.errors import Conflict, RabbitKeeperError
from rabbitkeeper.coordinator.model.records import ClusterNode, ClusterRecord, utcnow
from rabbitkeeper.coordinator.model.view import ClusterView

LOG = logging.getLogger("rabbitkeeper.agent")

LOCK_TIMEOUT = 120.0  # seconds to wait for others who found or join: each takes some
CANARY_REPLICAS = 3  # as many as RabbitMQ gives a quorum queue that does not say
_CONFLICTS = 20  # compare-and-sets lost in a row until it is given up; each loss is another member's gain


class FormationFailed(RabbitKeeperError):
    """It did not work this time; trying again may."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who forms.

    Args:
        member: the member's name.
        node: its Erlang node.
        vhost: the agents' own.
        user: name and password with which the agent logs in to its broker.
    """

    member: str
    node: str
    vhost: str
    user: tuple[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class FormationResult:
    """What was done: the step, a sentence, and the record as it is now."""

    step: FormationStep
    reason: str
    record: ClusterRecord


class Lock(Protocol):
    """The formation lock, while one has it."""

    def held(self) -> bool:
        """Whether it is still ours; asks ZooKeeper."""


class FormationStore(Clusters, Protocol):
    """The same, with the lock under which the cluster is founded or joined."""

    def formation_lock(self, holder: str, timeout: float) -> AbstractContextManager[Lock]: ...


class Tools(Protocol):
    """What is needed of ``rabbitmqctl``."""

    @property
    def node(self) -> str: ...

    def cluster_status(self) -> ClusterStatus: ...

    def answers(self, node: str) -> bool: ...

    def definitions(self) -> Definitions: ...

    def import_definitions(self, definitions: Definitions) -> None: ...

    def app_stopped(self) -> AbstractContextManager[None]: ...

    def join_cluster(self, other: str) -> None: ...

    def forget_cluster_node(self, other: str, *, node: str) -> None: ...

    def grow(self, member: str, vhost: str, queues: Sequence[str]) -> None: ...

    def shrink(self, gone: str) -> None: ...


def form(
    store: FormationStore,
    ctl: Tools,
    me: Identity,
    *,
    logged_in: Callable[[], bool] = lambda: False,
    peer_versions: Callable[[], Mapping[str, str]] = dict,
    seen: Callable[[], str | None] = lambda: None,
    lock_timeout: float = LOCK_TIMEOUT,
) -> FormationResult:
    """See to it that the node is in the group's cluster and recorded. Its broker must be running.

    Takes half a second of CPU if it is, and some seconds to found or join. Can be called again at any time.

    Args:
        store: of the calling thread.
        ctl: the node's tools.
        me: who forms.
        logged_in: whether the agent has a connection to its own vhost right now; if so that is not seen to.
        peer_versions: RabbitMQ's version on each other node, by node name, as far as it is known.
        seen: why a group without a record must have a cluster nevertheless, if it must.
        lock_timeout: seconds to wait while others found or join.

    Raises:
        FormationRefused: the node may not join; nothing was changed.
        FormationFailed: no recorded node could be joined.
        RabbitmqCtlError, CoordinationError: as their operations; begin again.
    """
    view = store.cluster()
    recorded = None if view is None else view.record.nodes.get(me.node)
    if recorded is not None and recorded.member == me.member:
        todo = _planned(me, ctl.cluster_status(), view, None)
        there = None
    else:
        with store.formation_lock(me.member, lock_timeout) as lock:
            view = store.cluster()  # what the holder before us has made of it
            status, there = _look(ctl)
            held = definitions.holdings(there, me.vhost)
            todo = _planned(me, status, view, held, seen() if view is None else None)
            if todo.step is FormationStep.WAIT:
                raise FormationFailed(todo.reason)
            if todo.step is FormationStep.FOUND:
                _grant_access(ctl, me, there)
                view = _found(store, me, status.nodes)
                LOG.info("%s: it is recorded in ZooKeeper now", todo.reason)
            elif todo.step is FormationStep.JOIN:
                _refuse_apart(me, todo, status.versions.get(me.node), peer_versions())
                _join(ctl, me, todo, there, lock)
                there = None  # it is all another node's now
    if todo.step in (FormationStep.JOIN, FormationStep.RECORD):
        there = there or ctl.definitions()
        _grant_access(ctl, me, there)
        nodes = {} if view is None else view.record.nodes
        others = [node for node, its in nodes.items() if its.member != me.member]  # not a former one of ours
        if others and len(others) < CANARY_REPLICAS and definitions.has_queue(there, me.vhost, QUEUE):
            ctl.grow(me.node, me.vhost, [QUEUE])
        view = _record(store, me)
    elif todo.step is FormationStep.NOTHING and not logged_in():
        _grant_access(ctl, me, there or ctl.definitions())
    if view is None:
        raise FormationFailed("the group's cluster record is gone; trying again")
    forget_former(store, ctl, me.member, view.record)
    return FormationResult(todo.step, todo.reason, view.record)


def _look(ctl: Tools) -> tuple[ClusterStatus, Definitions]:
    """The node's cluster and what it holds, asked at the same time: others wait for the lock meanwhile."""
    with ThreadPoolExecutor(max_workers=1) as beside:
        held = beside.submit(ctl.definitions)
        return ctl.cluster_status(), held.result()


def _planned(
    me: Identity,
    status: ClusterStatus,
    view: ClusterView | None,
    held: tuple[str, ...] | None,
    seen: str | None = None,
) -> FormationPlan:
    todo = plan(me.member, me.node, status.nodes, None if view is None else view.record, held, seen)
    if todo.step is FormationStep.REFUSE:
        raise FormationRefused(todo.reason)
    return todo


def _refuse_apart(me: Identity, todo: FormationPlan, version: str | None, others: Mapping[str, str]) -> None:
    reason = apart(version, {node: others[node] for node in todo.through if node in others})
    if reason is not None:
        raise FormationRefused(f"{me.node} cannot join {', '.join(todo.through)}: {reason}")


def _found(store: Clusters, me: Identity, nodes: frozenset[str]) -> ClusterView:
    """Write the record of a cluster that has none, with all its nodes: they count, whoever is away.

    Whose the others are is not known here; each says so itself (:meth:`_record`, ``record_keeper.py``).
    """
    whole = whole_record(nodes, None, {me.node: me.member}, utcnow())
    record = whole.model_copy(update={"founder": me.node})
    try:
        return store.write_cluster(record, None)
    except Conflict:
        view = store.cluster()
        if view is not None and view.record == record:  # our own, the answer to which was lost
            return view
        raise


def _join(ctl: Tools, me: Identity, todo: FormationPlan, there: Definitions, lock: Lock) -> None:
    began = time.monotonic()
    lost = definitions.other_users(there, me.user[0])
    if lost:
        LOG.warning("users that only %s has are lost by joining: %s", me.node, ", ".join(lost))
    if not lock.held():
        raise FormationFailed("the formation lock was lost before the node was touched; trying again")
    LOG.info("%s", todo.reason)
    failures = []
    with ctl.app_stopped():
        for other in todo.through:
            try:
                _join_by(ctl, me, other)
                break
            except RabbitmqCtlTimeout:
                raise  # it may be under way still
            except RabbitmqCtlError as error:
                failures.append(str(error))
    if len(failures) == len(todo.through):
        raise FormationFailed(f"{me.node} could join none of the recorded nodes: {'; '.join(failures)}")
    LOG.info("joined the cluster in %.1f s", time.monotonic() - began)


def _join_by(ctl: Tools, me: Identity, other: str) -> None:
    try:
        ctl.join_cluster(other)
    except Inconsistent:
        # We were cut off in the middle of an earlier join: the cluster has us and we have nothing. Since
        # we have never been recorded, no queue has been given a replica here that could be missed.
        LOG.warning("%s has %s from a join that was cut off; removing that and joining anew", other, me.node)
        ctl.forget_cluster_node(me.node, node=other)
        ctl.join_cluster(other)


def _grant_access(ctl: Tools, me: Identity, there: Definitions) -> None:
    """Make the agents' vhost, our user and its permission, as far as they are missing."""
    name, password = me.user
    if definitions.has_access(there, name, me.vhost):
        return
    missing: dict[str, list[Entry]] = {
        "vhosts": [{"name": me.vhost}],
        "permissions": [definitions.full_access(name, me.vhost)],
    }
    if not definitions.has_user(there, name):
        missing["users"] = [
            definitions.user(name, password, salt=secrets.token_bytes(4), tags=("monitoring",))
        ]
    ctl.import_definitions(missing)


def _record(store: Clusters, me: Identity) -> ClusterView:
    """Add ourselves to ``cluster``, against others who do the same."""
    for _ in range(_CONFLICTS):
        view = store.cluster()
        if view is None:
            raise FormationFailed("the group's cluster record is gone; trying again")
        recorded = view.record.nodes.get(me.node)
        if recorded is not None and recorded.member == me.member:
            return view
        nodes = {**view.record.nodes, me.node: ClusterNode(member=me.member, joined=utcnow())}
        try:
            return store.write_cluster(view.record.model_copy(update={"nodes": nodes}), view.version)
        except Conflict:
            continue
    raise FormationFailed(f"{me.node} could not be recorded: others always wrote the cluster record first")

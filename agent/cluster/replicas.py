"""Giving a member that has come back replicas of the queues that have too few, once a boot.

A quorum queue gets its replicas on the nodes that are there when it is declared. One that was declared while
this node was away would stay with fewer until somebody runs ``rabbitmq-queues grow``; so the agent does, for
those queues that have fewer than they are to have, and for no others: who has asked for one replica wants
one. It looks again when the cluster has other nodes, since one that was removed took its replicas with it.
"""

import logging
import random
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from rabbitkeeper.agent.rabbitmq.ctl import ClusterStatus
from rabbitkeeper.agent.rabbitmq.quorum_queues import QuorumQueue
from rabbitkeeper.agent.runtime.job import Job, Launch, ThreadJob

LOG = logging.getLogger("rabbitkeeper.agent")

AFTER = 5.0  # seconds of good health before it, and up to as many again: it is not urgent, and costs a second
RETRY = 60.0  # seconds after one that failed, as it does while another replica of a queue is being added
BATCH = 20  # queues that are grown in one command, which has a minute
_TOLD = 3  # queues that are named


class Tools(Protocol):
    """What is needed of the node's tools."""

    @property
    def node(self) -> str: ...

    def cluster_status(self) -> ClusterStatus: ...

    def quorum_queues(self) -> Sequence[QuorumQueue]: ...

    def grow(self, member: str, vhost: str, queues: Sequence[str]) -> None: ...


def target(queue: QuorumQueue, default: int, nodes: frozenset[str]) -> int:
    """How many replicas a queue is to have in a cluster of these nodes."""
    return min(queue.target or default, len(nodes))


def wanting(
    queues: Iterable[QuorumQueue], node: str, nodes: frozenset[str], default: int
) -> tuple[QuorumQueue, ...]:
    """The queues that are to get a replica on a node. Pure.

    Args:
        queues: all there are.
        node: it has none of them.
        nodes: of the cluster. A replica on a node that has left it is none.
        default: replicas of a queue that does not say how many it is to have.
    """
    return tuple(
        queue
        for queue in queues
        if node not in queue.members and len(queue.members & nodes) < target(queue, default, nodes)
    )


def shortage(queues: Iterable[QuorumQueue], nodes: frozenset[str], default: int) -> str | None:
    """A sentence about the queues that have too few replicas, None if there are none; as :func:`wanting`."""
    short = [queue for queue in queues if len(queue.members & nodes) < target(queue, default, nodes)]
    if not short:
        return None
    named = ", ".join(
        f"{queue.name!r} in vhost {queue.vhost!r} ({len(queue.members & nodes)} of "
        f"{target(queue, default, nodes)})"
        for queue in short[:_TOLD]
    )
    more = f" and {len(short) - _TOLD} more" if len(short) > _TOLD else ""
    return f"quorum queues with fewer replicas than they are to have: {named}{more}"


def give(ctl: Tools, default: int, lock: Callable[[], AbstractContextManager[object]]) -> str | None:
    """Give the node a replica of each queue that is to get one, some at a time, and see what came of it.

    Takes seconds, or minutes where there are thousands.

    Args:
        ctl: the node's.
        default: as for :func:`wanting`.
        lock: held while some are looked at and grown, so that two nodes do not grow one queue at a time.

    Returns:
        What :func:`shortage` says at the end.

    Raises:
        RabbitmqCtlError, CoordinationError: as their operations; begin again.
    """
    nodes, queues = ctl.cluster_status().nodes, ctl.quorum_queues()
    if not wanting(queues, ctl.node, nodes, default):
        return shortage(queues, nodes, default)  # as after most boots: nothing is locked for that
    tried: set[tuple[str, str]] = set()
    while True:
        with lock():
            nodes, queues = ctl.cluster_status().nodes, ctl.quorum_queues()
            todo = [
                queue
                for queue in wanting(queues, ctl.node, nodes, default)
                if (queue.vhost, queue.name) not in tried
            ]
            batch = [queue.name for queue in todo if queue.vhost == todo[0].vhost][:BATCH]
            if not batch:
                return shortage(queues, nodes, default)
            tried |= {(todo[0].vhost, name) for name in batch}
            LOG.info("%d quorum queues in vhost %s get a replica here", len(batch), todo[0].vhost)
            ctl.grow(ctl.node, todo[0].vhost, batch)


class Replicas:
    """Belongs to the loop's thread.

    Args:
        give: see :func:`give`.
        wake: called when that has ended.
        draw: random numbers in [0, 1), so that members that came back together take turns.
        launch: begins it beside the loop.

    Attributes:
        said: which queues have too few replicas, for people; None as far as is known.
    """

    def __init__(
        self,
        give: Callable[[], str | None],
        *,
        wake: Callable[[], None],
        draw: Callable[[], float] = random.random,
        launch: Launch = ThreadJob,
    ) -> None:
        self._give = give
        self._wake = wake
        self._draw = draw
        self._launch = launch
        self._job: Job | None = None
        self._due: float | None = None
        self._done = False
        self._nodes: frozenset[str] = frozenset()
        self._found: str | None = None
        self.said: str | None = None

    def turn(self, now: float, *, formed: bool, well: bool, nodes: Iterable[str]) -> None:
        """Grow them if it is time to.

        Args:
            now: seconds, monotonic.
            formed: the node is in the cluster since its boot.
            well: it takes messages.
            nodes: of the cluster, as it is recorded.
        """
        if self._job is not None:
            if not self._job.done:
                return
            job, self._job = self._job, None
            if job.failure is not None:
                LOG.info("replicas could not be grown, which is tried again: %s", job.failure)
                self._due = now + RETRY
            else:
                self._done, self.said = True, self._found
        known = frozenset(nodes)
        if not formed or (known and known != self._nodes):
            self._done, self._due = False, None
        self._nodes = known or self._nodes
        if not formed or not well or len(self._nodes) < 2:
            self._due = None
        elif self._due is None:
            self._due = now + AFTER * (1.0 + self._draw())
        elif not self._done and now >= self._due:
            self._job = self._launch("replicas", self._ask, self._wake)

    def _ask(self) -> None:
        self._found = self._give()

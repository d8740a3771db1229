"""Giving a member that has come back replicas of the queues that were declared without it, once a boot.

A quorum queue gets its replicas on the nodes that are there when it is declared. One that was declared while
this node was away would stay with fewer until somebody runs ``rabbitmq-queues grow``; so the agent does.
"""

import logging
import random
from collections.abc import Callable

from rabbitkeeper.agent.runtime.job import Job, Launch, ThreadJob

LOG = logging.getLogger("rabbitkeeper.agent")

AFTER = 5.0  # seconds of good health before it, and up to as many again: it is not urgent, and costs a second
RETRY = 60.0  # seconds after one that failed, as it does while another replica of a queue is being added


class Replicas:
    """Belongs to the loop's thread.

    Args:
        grow: gives every quorum queue a replica on this node.
        wake: called when that has ended.
        draw: random numbers in [0, 1), so that members that came back together take turns.
        launch: begins it beside the loop.
    """

    def __init__(
        self,
        grow: Callable[[], object],
        *,
        wake: Callable[[], None],
        draw: Callable[[], float] = random.random,
        launch: Launch = ThreadJob,
    ) -> None:
        self._grow = grow
        self._wake = wake
        self._draw = draw
        self._launch = launch
        self._job: Job | None = None
        self._due: float | None = None
        self._done = False

    def turn(self, now: float, *, formed: bool, well: bool, others: bool) -> None:
        """Grow them if it is time to.

        Args:
            now: seconds, monotonic.
            formed: the node is in the cluster since its boot.
            well: it takes messages.
            others: the cluster has other nodes.
        """
        if self._job is not None:
            if not self._job.done:
                return
            job, self._job = self._job, None
            if job.failure is not None:
                LOG.info("replicas could not be grown, which is tried again: %s", job.failure)
                self._due = now + RETRY
            else:
                self._done = True
        if not formed:
            self._done, self._due = False, None
        elif not well or not others:
            self._due = None
        elif self._due is None:
            self._due = now + AFTER * (1.0 + self._draw())
        elif not self._done and now >= self._due:
            self._job = self._launch("replicas", self._grow, self._wake)

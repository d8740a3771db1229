"""Makes our broker drop its connection to a node that does not answer, as soon as that is known.

What may be gone is decided in ``suspects.py``; here our broker is asked, and told, in one call of its tools
beside the loop.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from rabbitkeeper.agent.cluster.suspects import SETTLE, PeerSighting, Suspects
from rabbitkeeper.agent.rabbitmq.silent_nodes import DroppedNodes
from rabbitkeeper.agent.runtime.clocks import monotonic
from rabbitkeeper.agent.runtime.job import Job, Launch, ThreadJob

LOG = logging.getLogger("rabbitkeeper.agent")

TOLD = 10.0  # seconds for which a node that was dropped is told so after it is there again, and well
ANSWER = 1.0  # seconds for a node to answer our broker over the connection that they have


class Tools(Protocol):
    """What is needed of ``rabbitmqctl``."""

    def drop_silent_nodes(self, nodes: Iterable[str], *, timeout: float) -> DroppedNodes: ...


class PeerMonitor:
    """Watches the other nodes for one agent. Belongs to the loop's thread.

    Args:
        tools: our broker's.
        wake: called when a call has ended.
        clock: monotonic seconds.
        launch: begins a job.
    """

    def __init__(
        self,
        tools: Tools,
        *,
        wake: Callable[[], None],
        clock: Callable[[], float] = monotonic,
        launch: Launch = ThreadJob,
    ) -> None:
        self._tools = tools
        self._wake = wake
        self._clock = clock
        self._launch = launch
        self._suspects = Suspects()
        self._job: tuple[frozenset[str], Job] | None = None
        self._told: dict[str, float] = {}  # nodes that were dropped, until when that is told
        self._found: DroppedNodes | None = None
        self._asked_because_away = False
        self._asked_of_ourselves = False  # whether it is we who are cut off
        self._nodes = 1  # of the cluster
        self._cut_off = False

    @property
    def cut_off(self) -> bool:
        """Whether our broker is the one that is cut off, with too few others for a majority, or may be.

        From the question until ZooKeeper has been back for a moment.
        """
        return self._cut_off or (self._asked_of_ourselves and self._job is not None)

    @property
    def dropped(self) -> frozenset[str]:
        """The nodes that our broker has dropped by force: their agents are to be told.

        They may go on at just that moment, so it is told for a while longer than they are gone, or hang.
        """
        return frozenset(self._told)

    def turn(self, now: float, sighting: PeerSighting) -> float | None:
        """Ask after the nodes that have become suspect, if there are any.

        Args:
            now: seconds, monotonic.
            sighting: what is known now.

        Returns:
            When to look again (monotonic seconds), if time alone can change something.
        """
        self._collect(now)
        self._suspects = self._suspects.seen(sighting, now)
        self._told |= dict.fromkeys(self._suspects.nodes.keys() & self._told.keys(), now + TOLD)
        self._told = {
            node: until for node, until in self._told.items() if now < until and not sighting.starts_again
        }
        self._nodes = 1 if sighting.cluster is None else len(sighting.cluster.nodes)
        if self._cut_off and sighting.registered and now >= (sighting.connected_since or now) + SETTLE:
            LOG.info("ZooKeeper is there again: the broker is looked after as ever")
            self._cut_off = False
        if self._job is not None:
            return None
        nodes = self._suspects.due(now)
        if nodes:
            self._found = None
            self._asked_because_away = sighting.connected_since is None
            self._asked_of_ourselves = self._asked_because_away or sighting.minority
            job = self._launch("peer-monitor", lambda: self._ask(nodes), self._wake)
            self._job = (frozenset(nodes), job)
            return None
        return self._suspects.next_due

    # -- inside

    def _ask(self, nodes: tuple[str, ...]) -> None:
        self._found = self._tools.drop_silent_nodes(nodes, timeout=ANSWER)

    def _collect(self, now: float) -> None:
        if self._job is None or not self._job[1].done:
            return
        (nodes, job), self._job = self._job, None
        failure, found = job.failure, self._found
        if failure is not None or found is None:
            LOG.warning("it is not known whether %s still answer the broker: %s", ", ".join(nodes), failure)
            self._suspects = self._suspects.failed(nodes, now)
            return
        alone = 2 * (self._nodes - len(nodes - found.left_alone)) <= self._nodes
        if not (alone or self._asked_because_away):  # who is cut off drops all others: that says nothing
            self._told |= dict.fromkeys(found.dropped, now + TOLD)
        for node in sorted(nodes & self._suspects.nodes.keys()):
            reason = self._suspects.nodes[node].reason
            if node in found.dropped:
                LOG.warning("%s does not answer, and the broker has dropped it: %s", node, reason)
            elif node in found.answering:
                LOG.info("%s still answers the broker, and is left alone: %s", node, reason)
            elif node in found.heard:
                LOG.warning(
                    "%s does not answer the broker, but is heard of, and is left alone: %s", node, reason
                )
        if self._asked_because_away and 2 * (len(found.left_alone) + 1) <= self._nodes:
            LOG.warning(
                "this side is cut off: the broker pauses, or with Khepri confirms nothing, until the network "
                "is back, and is neither ended nor started until ZooKeeper is"
            )
            self._cut_off = True
        elif self._asked_of_ourselves and alone:
            LOG.warning("our broker reaches no majority of its cluster: it pauses, unless it has Khepri")
        self._suspects = self._suspects.answered(found.left_alone, now).settled(nodes - found.left_alone)

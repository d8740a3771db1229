"""What the loop has done beside itself and not often: asking a node why it refuses, growing replicas,
declaring the canary's queue anew, asking the management API.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from rabbitkeeper.agent.cluster.canary_repair import CanaryRepair
from rabbitkeeper.agent.cluster.replicas import Replicas
from rabbitkeeper.agent.health.inspection import Inspection
from rabbitkeeper.agent.health.judge import HealthPolicy, worth_asking
from rabbitkeeper.agent.model.observation import ManagementFacts, NodeFacts, NodeState, Observation
from rabbitkeeper.agent.model.verdict import Verdict
from rabbitkeeper.agent.rabbitmq.management.load import Published
from rabbitkeeper.coordinator.model.records import ClusterNode, MemberStatus
from rabbitkeeper.coordinator.model.view import GroupView

SETTLED = 20.0  # seconds until a cluster's size counts: while it is formed it has two brokers for a moment


class Management(Protocol):
    """What is needed of the poller."""

    @property
    def facts(self) -> ManagementFacts: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Housekeeping:
    """Belongs to the loop's thread; each part begins its own jobs.

    Args:
        inspection, replicas, canary_repair: see there.
        node: the broker's Erlang node.
        management: polls the management API; None if it is not to be asked.
    """

    def __init__(
        self,
        inspection: Inspection,
        replicas: Replicas,
        canary_repair: CanaryRepair,
        *,
        node: str,
        management: Management | None = None,
    ) -> None:
        self._node = node
        self._management = management
        self._published = Published()
        self._inspection = inspection
        self._replicas = replicas
        self._canary_repair = canary_repair
        self._size: int | None = None
        self._size_since = 0.0

    def start(self) -> None:
        """Begin what has a thread of its own."""
        if self._management is not None:
            self._management.start()

    def stop(self) -> None:
        """End it, without waiting. Idempotent."""
        if self._management is not None:
            self._management.stop()

    @property
    def load(self) -> Mapping[str, int]:
        """What the broker carries, for the member's record; empty if that is not known."""
        return self._published.load

    def look(
        self,
        now: float,
        observation: Observation,
        policy: HealthPolicy,
        process: str | None,
        view: GroupView | None,
    ) -> Observation:
        """Add what the node has said of itself, and how large its cluster is.

        Args:
            now: seconds, monotonic.
            observation: of this turn.
            policy: for how long a broker that has never answered is given.
            process: tells the broker's process from any other.
            view: the last snapshot.
        """
        size = len(_nodes(view)) or None
        if size != self._size:
            self._size, self._size_since = size, now
        lasts = now >= self._size_since + SETTLED
        self._inspection.turn(now, process, wanted=worth_asking(observation, now, policy))
        facts = self._management.facts if self._management is not None else ManagementFacts()
        if facts.load is not None:
            self._published = self._published.seen(facts.load, now)
        return replace(
            observation,
            node=self._inspection.facts,
            cluster_size=self._size if lasts else None,
            management=facts,
            node_name=self._node,
            canary=self._canary_repair.said,
        )

    @property
    def node_facts(self) -> NodeFacts | None:
        """What a node that refuses connections says of itself; None: it does not, or is not asked yet."""
        return self._inspection.facts

    @property
    def node_state(self) -> NodeState | None:
        """The state of :attr:`node_facts`."""
        return None if self.node_facts is None else self.node_facts.state

    def tend(
        self, now: float, verdict: Verdict, view: GroupView | None, *, formed: bool, current: bool
    ) -> None:
        """Do what is due.

        Args:
            now: seconds, monotonic.
            verdict: of this turn.
            view: the last snapshot.
            formed: the node is in the cluster since its boot.
            current: the snapshot is not out of date.
        """
        well = verdict.status is MemberStatus.RUNNING
        self._replicas.turn(now, formed=formed, well=well, others=len(_nodes(view)) > 1)
        self._canary_repair.turn(now, verdict, view if current else None)


def _nodes(view: GroupView | None) -> Mapping[str, ClusterNode]:
    return {} if view is None or view.cluster is None else view.cluster.record.nodes

"""The mode ``cluster``: the brokers are one RabbitMQ cluster, whose own consensus guards what they hold.

So any of them is safe to use; the leader is the one that clients prefer. It leads once a majority has
confirmed a canary, and stays where it is while ZooKeeper is away. A broker joins by being formed into the
cluster; beside that its replicas are grown, the canary's queue is repaired, and nodes that are gone are
dropped.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from rabbitkeeper.agent.cluster.agreement import DOUBT, STOOD_STILL, Agreement
from rabbitkeeper.agent.cluster.canary_repair import CanaryRepair
from rabbitkeeper.agent.cluster.feeding import Feeding
from rabbitkeeper.agent.cluster.peer_monitor import PeerMonitor
from rabbitkeeper.agent.cluster.record_keeper import RecordKeeper
from rabbitkeeper.agent.cluster.replicas import Replicas
from rabbitkeeper.agent.cluster.suspects import PeerSighting
from rabbitkeeper.agent.health.judge import HealthPolicy
from rabbitkeeper.agent.health.majority_check import MajorityCheck
from rabbitkeeper.agent.model.observation import NodeFacts, Observation, ToldOfOthers
from rabbitkeeper.agent.model.verdict import Verdict
from rabbitkeeper.coordinator.model.records import ClusterNode, ClusterRecord, MemberStatus
from rabbitkeeper.coordinator.model.view import GroupView

SETTLED = 20.0  # seconds until a cluster's size counts: while it is formed it has two brokers for a moment

EXCUSED = 60.0  # seconds after a cut in which our broker may be pausing, and the others have dropped it


@dataclass(frozen=True, slots=True)
class ClusterHousekeeping:
    """What is done beside the loop in a cluster; each part begins its own jobs.

    Attributes:
        replicas, canary_repair, record_keeper, agreement: see there.
        peer_monitor: None: nodes that are gone are left to RabbitMQ's own time.
    """

    replicas: Replicas
    canary_repair: CanaryRepair
    record_keeper: RecordKeeper
    agreement: Agreement
    peer_monitor: PeerMonitor | None


class ClusterMode:
    """See :class:`~rabbitkeeper.agent.loop.mode.Mode`, whose methods these are.

    Args:
        name: our member's.
        form: brings our broker into the cluster; returns when it is in.
        majority_check: what confirms a lead.
        housekeeping: what is done beside the loop.
    """

    def __init__(
        self,
        name: str,
        form: Callable[[], object],
        majority_check: MajorityCheck,
        housekeeping: ClusterHousekeeping,
    ) -> None:
        self._form = form
        self._housekeeping = housekeeping
        self._size: int | None = None
        self._size_since = 0.0
        self._cluster: ClusterRecord | None = None  # as it was read last
        self._excused_until = 0.0
        self._unexcused_until = 0.0
        self._feeding = Feeding(name)
        self.lead_check = majority_check

    def join(self) -> object:
        return self._form()

    def observe(
        self,
        now: float,
        observation: Observation,
        policy: HealthPolicy,
        view: GroupView | None,
        *,
        blocked: bool,
    ) -> Observation:
        self.lead_check.collect(now, policy, blocked=blocked)
        size = len(_nodes(view)) or None
        if size != self._size:
            self._size, self._size_since = size, now
        lasts = now >= self._size_since + SETTLED
        self._feeding.turn(observation.connection, view, now)
        return replace(
            observation,
            majority=self.lead_check.facts,
            cluster_size=self._size if lasts else None,
            canary=self._housekeeping.canary_repair.said,
            replicas=self._housekeeping.replicas.said,
            split=self._housekeeping.agreement.split,
            doubt=self._housekeeping.agreement.doubt,
            split_elsewhere=self._housekeeping.agreement.warning,
            strangers=self._housekeeping.agreement.strangers,
            starving=self._feeding.starving,
        )

    def holds_lead(self, now: float) -> bool:
        return True

    @staticmethod
    def admits(status: MemberStatus, *, leads: bool) -> bool:
        # Beside a leader that has a majority, a broker without one is no good.
        return status.serves and (leads or status is not MemberStatus.MINORITY)

    @property
    def cut_off(self) -> bool:
        peer_monitor = self._housekeeping.peer_monitor
        return peer_monitor is not None and peer_monitor.cut_off

    @property
    def dropped(self) -> bool:
        return self._housekeeping.agreement.dropped

    @property
    def mute_since(self) -> float | None:
        return self._housekeeping.agreement.mute_since

    @property
    def told_of_others(self) -> ToldOfOthers:
        peer_monitor = self._housekeeping.peer_monitor
        return ToldOfOthers(
            dropped=frozenset() if peer_monitor is None else peer_monitor.dropped,
            uncounted=self._housekeeping.agreement.uncounted,
        )

    def tend(
        self,
        now: float,
        verdict: Verdict,
        view: GroupView | None,
        *,
        formed: bool,
        current: bool,
        node: NodeFacts | None = None,
        stood_still: float = 0.0,
    ) -> None:
        seen = view if current else None
        if stood_still > STOOD_STILL:
            # What finds itself cut off now is what the others have dropped meanwhile, not a cable.
            self._unexcused_until, self._excused_until = now + DOUBT, now
        if self.cut_off and now >= self._unexcused_until:
            self._excused_until = now + EXCUSED
        excused = now < self._excused_until
        self._housekeeping.agreement.turn(
            now, verdict, seen, formed=formed, node=node, excused=excused, stood_still=stood_still
        )
        well = verdict.status is MemberStatus.RUNNING
        self._housekeeping.replicas.turn(now, formed=formed, well=well, nodes=_nodes(view))
        self._housekeeping.canary_repair.turn(now, verdict, seen)
        self._housekeeping.record_keeper.turn(now, seen, formed=formed)

    def watch_peers(self, now: float, sighting: PeerSighting) -> float | None:
        self._cluster = sighting.cluster or self._cluster
        if self._housekeeping.peer_monitor is None:
            return None
        return self._housekeeping.peer_monitor.turn(now, replace(sighting, cluster=self._cluster))


def _nodes(view: GroupView | None) -> Mapping[str, ClusterNode]:
    return {} if view is None else view.nodes

"""``/metrics``: what Prometheus is told.

What is now is read from the agent's state when it is asked for; what has happened is counted as the
dispatcher tells it. Names follow Prometheus' own conventions (base units, ``_total``); none has the member's
name, which is the scraper's ``instance``, and ``rabbitkeeper_info`` connects the two.
"""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from rabbitkeeper.agent.model.state import AgentState, Board
from rabbitkeeper.agent.notify.events import Event, EventKind
from rabbitkeeper.agent.runtime.clocks import monotonic
from rabbitkeeper.coordinator.model.records import MemberStatus

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_FAULTS = (
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2,
    3,
    5,
    7.5,
    10,
    15,
    30,
    60,
)  # seconds, from a refused retry to an outage
_TURNS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)  # seconds


class Metrics:
    """All metrics of one agent, in a registry of their own.

    Args:
        board: the agent's state.
        version: the agent's.
        hooks: outcomes of hooks so far, by event, way and outcome.
        listeners: how many listen to ``/events`` now.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        board: Board,
        version: str,
        *,
        hooks: Mapping[tuple[str, str, str], int],
        listeners: Callable[[], int],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Now(board, version, hooks, listeners, clock))
        ProcessCollector(registry=self._registry)
        self._failovers = Counter(
            "rabbitkeeper_failovers",
            "Leads that this agent has taken, by what they followed from.",
            ["cause"],
            registry=self._registry,
        )
        self._failover = Histogram(
            "rabbitkeeper_failover_seconds",
            "From seeing no leader to having the lead.",
            buckets=_FAULTS,
            registry=self._registry,
        )
        self._detection = Histogram(
            "rabbitkeeper_detection_seconds",
            "From the broker's last sign of life to its being taken for ill; the fault lies in between.",
            buckets=_FAULTS,
            registry=self._registry,
        )
        self._turns = Histogram(
            "rabbitkeeper_loop_turn_seconds",
            "How long a turn of the agent's loop has taken.",
            buckets=_TURNS,
            registry=self._registry,
        )
        self._refused = Counter(
            "rabbitkeeper_http_refused",
            "Requests to the HTTP API that were refused, by status code.",
            ["status"],
            registry=self._registry,
        )

    def receive(self, state: AgentState, events: tuple[Event, ...]) -> None:
        """Count what has happened. From the dispatcher's thread."""
        self._turns.observe(state.took)
        for event in events:
            if event.kind is EventKind.LEADER_ELECTED:
                self._failovers.labels(event.cause or "unknown").inc()
                if "vacant" in event.timings:
                    self._failover.observe(event.timings["vacant"])
            elif event.kind is EventKind.STATE and "detection" in event.timings:
                self._detection.observe(event.timings["detection"])

    def refused(self, status: int) -> None:
        self._refused.labels(str(status)).inc()

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry)


class _Now(Collector):
    """What is read from the state when it is asked for."""

    def __init__(
        self,
        board: Board,
        version: str,
        hooks: Mapping[tuple[str, str, str], int],
        listeners: Callable[[], int],
        clock: Callable[[], float],
    ) -> None:
        self._board = board
        self._version = version
        self._hooks = hooks
        self._listeners = listeners
        self._clock = clock

    def describe(self) -> list[Metric]:
        return []  # so that registering it does not collect

    def collect(self) -> Iterator[Metric]:
        yield _gauge("loop_silent_seconds", "Since the agent's loop has come round.", self._board.silent)
        yield _gauge("event_listeners", "Who listen to /events now.", self._listeners())
        hooks = CounterMetricFamily(
            "rabbitkeeper_hooks", "Hooks and webhooks, by outcome.", labels=["event", "way", "outcome"]
        )
        for labels, count in sorted(self._hooks.items()):
            hooks.add_metric(labels, count)
        yield hooks
        state = self._board.current
        if state is not None:
            yield from self._of(state, self._clock())

    def _of(self, state: AgentState, now: float) -> Iterator[Metric]:
        info = InfoMetricFamily("rabbitkeeper", "Who this agent is.")
        told = {
            "group": state.group,
            "member": state.name,
            "node": state.node,
            "version": self._version,
            "rabbitmq": state.connection.version or "",
        }
        info.add_metric([], told)
        yield info
        yield _gauge("leader", "1 while this agent leads, with a valid lease.", state.leads(now))
        if state.epoch is not None:
            yield _gauge("epoch", "Of the leader that this agent knows of.", state.epoch)
            yield _gauge("incarnation", "Of the group, in which the epoch counts.", state.incarnation or 0)
        status = GaugeMetricFamily("rabbitkeeper_state", "1 for the state of the broker.", labels=["state"])
        for one in MemberStatus:
            status.add_metric([one.value], float(one is state.verdict.status))
        yield status
        if state.view is not None:
            yield _gauge("members", "Members that are registered.", len(state.view.members))
            yield _gauge("paused", "1 while the group is paused.", state.view.pause is not None)
            yield _gauge("unreadable_znodes", "Znodes that cannot be understood.", len(state.view.problems))
        session = state.session
        yield _gauge("zookeeper_connected", "1 while there is a connection.", session.connected)
        yield _gauge("registered", "1 while the member is registered.", session.registered)
        margin = max(0.0, session.lease_until - now)
        yield _gauge("lease_margin_seconds", "For which the lease is still certain.", margin)
        if state.connection.latency is not None:
            latency = state.connection.latency
            yield _gauge("canary_latency_seconds", "Of the last canary that was confirmed.", latency)
        yield _gauge("broker_silent_seconds", "For which the broker owes an answer.", state.connection.silent)
        yield CounterMetricFamily(
            "rabbitkeeper_broker_ends",
            "How often the broker has died, or was killed; a restart that was asked for is no death.",
            state.broker.ends,
        )


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(f"rabbitkeeper_{name}", documentation, float(value))

"""A client's metrics for Prometheus, with the library ``prometheus_client`` (the extra ``prometheus``).

``Client(…, telemetry=[Prometheus()])``; one object may be given to any number of clients. What is counted is
read when Prometheus asks for it. It serves nothing by itself: that does
``prometheus_client.start_http_server(8000)``, or what the application has for its other metrics.
"""

from collections.abc import Iterator

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from rabbitkeeper.client.routing.switch import Phase
from rabbitkeeper.client.telemetry.counts import GAPS, CountingObserver, Counts, CountsByName
from rabbitkeeper.client.telemetry.observer import ClientObserver

_PREFIX = "rabbitkeeper_client_"
_LABELS = ("group", "client")


class Prometheus(Collector):
    """Counts for the clients that it is given to, and shows that in ``registry``.

    The labels are ``group`` and ``client`` (``Client(name=…)``); clients of one name are added up.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._counts = CountsByName()
        registry.register(self)

    def observer(self, group: str, name: str) -> ClientObserver:
        """See :class:`Telemetry`."""
        return CountingObserver(self._counts.of(group, name))

    def describe(self) -> Iterator[Metric]:
        """The names alone, which the registry asks for when there is no client yet."""
        yield from _Families().all()

    def collect(self) -> Iterator[Metric]:
        families = _Families()
        for labels, counts in self._counts.items():
            families.add(labels, counts)
        yield from families.all()


class _Families:
    """The metrics of one answer."""

    def __init__(self) -> None:
        self._published = _counter("published_messages", "Publishes that have ended, by how.", "outcome")
        self._republished = _counter("republished_messages", "Times that a message was sent again.")
        self._consumed = _counter("consumed_messages", "Messages that came to the application.")
        self._switches = _counter("switches", "Moves to another connection.", "planned")
        self._gap = HistogramMetricFamily(
            f"{_PREFIX}switch_gap_seconds",
            "Time without a connection that takes publishes, of each move that was not planned.",
            labels=_LABELS,
        )
        self._blocked_time = _counter("blocked_seconds", "Time for which brokers blocked publishers.")
        self._blocked = _gauge("blocked", "Clients whose broker blocks publishers now.")
        self._unconfirmed = _gauge("unconfirmed_messages", "Publishes without an outcome.")
        self._in_hand = _gauge("in_hand_messages", "Messages delivered and not answered.")
        self._clients = _gauge("clients", "Clients that there are.")
        self._connected = _gauge("connected_clients", "Of them, those that are connected to a broker.")
        self._consumers = _gauge("consumers", "Consumers that brokers have taken on.")
        self._wanted = _gauge("consumers_wanted", "Consumers that there should be.")

    def add(self, labels: tuple[str, str], counts: Counts) -> None:
        with counts.lock:
            for outcome, number in counts.outcomes.items():
                self._published.add_metric((*labels, outcome), number)
            self._republished.add_metric(labels, counts.republished)
            self._consumed.add_metric(labels, counts.consumed)
            for planned, number in counts.switches.items():
                self._switches.add_metric((*labels, "yes" if planned else "no"), number)
            buckets = [(str(bound), float(counts.gaps_up_to[bound])) for bound in GAPS]
            self._gap.add_metric(labels, [*buckets, ("+Inf", float(counts.switches[False]))], counts.gaps)
        self._blocked_time.add_metric(labels, counts.blocked_seconds())
        statuses = counts.statuses()
        for gauge, value in (
            (self._blocked, sum(one.blocked is not None for one in statuses)),
            (self._unconfirmed, sum(one.unconfirmed for one in statuses)),
            (self._in_hand, sum(one.in_hand for one in statuses)),
            (self._clients, len(statuses)),
            (self._connected, sum(one.phase is Phase.LIVE for one in statuses)),
            (self._consumers, sum(one.consumers for one in statuses)),
            (self._wanted, sum(one.consumers_wanted for one in statuses)),
        ):
            gauge.add_metric(labels, value)

    def all(self) -> list[Metric]:
        return list(vars(self).values())


def _counter(name: str, what: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(_PREFIX + name, what, labels=(*_LABELS, *labels))


def _gauge(name: str, what: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(_PREFIX + name, what, labels=_LABELS)

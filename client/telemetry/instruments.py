"""The instruments of OpenTelemetry's metrics, made once for all clients that one telemetry observes."""

from collections.abc import Callable, Iterable

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from rabbitkeeper.client.telemetry.conventions import CLIENT_ID, DURATIONS, RABBITMQ, SYSTEM
from rabbitkeeper.client.telemetry.counts import GAPS, Counts, CountsByName

_Observe = Callable[[Counts, dict[str, str]], Iterable[Observation]]


class Instruments:
    """Args: meter: makes them."""

    def __init__(self, meter: Meter) -> None:
        self.counts = CountsByName()
        self.duration = meter.create_histogram(
            "messaging.client.operation.duration",
            "s",
            "Duration of messaging operation initiated by a producer or consumer client.",
            explicit_bucket_boundaries_advisory=DURATIONS,
        )
        self.process_duration = meter.create_histogram(
            "messaging.process.duration",
            "s",
            "Duration of processing operation.",
            explicit_bucket_boundaries_advisory=DURATIONS,
        )
        self.sent = meter.create_counter(
            "messaging.client.sent.messages",
            "{message}",
            "Number of messages producer attempted to send to the broker.",
        )
        self.consumed = meter.create_counter(
            "messaging.client.consumed.messages",
            "{message}",
            "Number of messages that were delivered to the application.",
        )
        self.gap = meter.create_histogram(
            "rabbitkeeper.client.switch.gap",
            "s",
            "Time without a connection that takes publishes, of each move that was not planned.",
            explicit_bucket_boundaries_advisory=GAPS,
        )
        meter.create_observable_counter(
            "rabbitkeeper.client.published.messages",
            [self._each(_outcomes)],
            "{message}",
            "Publishes that have ended, by how.",
        )
        meter.create_observable_counter(
            "rabbitkeeper.client.republished.messages",
            [self._each(lambda counts, names: [Observation(counts.republished, names)])],
            "{message}",
            "Times that a message was sent again.",
        )
        meter.create_observable_counter(
            "rabbitkeeper.client.blocked.time",
            [self._each(lambda counts, names: [Observation(counts.blocked_seconds(), names)])],
            "s",
            "Time for which brokers blocked publishers.",
        )
        meter.create_observable_up_down_counter(
            "rabbitkeeper.client.unconfirmed.messages",
            [self._each(_unconfirmed)],
            "{message}",
            "Publishes without an outcome.",
        )

    def _each(self, observe: _Observe) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observed(_options: CallbackOptions) -> Iterable[Observation]:
            for (group, name), counts in self.counts.items():
                names = {SYSTEM: RABBITMQ, CLIENT_ID: name, "rabbitkeeper.group": group}
                yield from observe(counts, names)

        return observed


def _outcomes(counts: Counts, names: dict[str, str]) -> list[Observation]:
    with counts.lock:
        return [
            Observation(number, {**names, "rabbitkeeper.outcome": outcome})
            for outcome, number in counts.outcomes.items()
        ]


def _unconfirmed(counts: Counts, names: dict[str, str]) -> list[Observation]:
    return [Observation(sum(status.unconfirmed for status in counts.statuses()), names)]

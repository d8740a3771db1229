"""How many connections a broker has accepted, by its log."""

from datetime import UTC, datetime

from broker_logs.accepted import Accepted, accepted

SINCE = datetime(2026, 11, 27, 0, 39, 42, 500_000, tzinfo=UTC)
OLD = (
    "2026-11-27 00:39:{} [info] <0.674.0> accepting AMQP connection <0.674.0> (10.0.0.1:60388 -> 10.0.0.1:1)"
)
NEW = "2026-11-27 00:39:{} [info] <0.674.0> accepting AMQP connection 127.0.0.1:60388 -> 127.0.0.1:5672"
OTHER = "2026-11-27 00:39:43.000000+00:00 [info] <0.6.0> connection <0.6.0> (1.1.1.1:1 -> 1.1.1.1:2): user"


def test_connections_are_counted_by_the_second_from_a_moment_on() -> None:
    lines = [
        OLD.format("42.400000+00:00"),  # before
        OLD.format("42.600000+00:00"),
        NEW.format("43.400000+00:00"),
        OTHER,
        NEW.format("43.600000+00:00"),  # the next second
        NEW.format("44.600000+00:00"),
        NEW.format("44.700000+00:00"),
        OLD.format("45.000000+00:00"),
        "",
        "no line of a log",
    ]
    assert accepted(lines, SINCE) == Accepted(count=6, most=3)


def test_times_have_their_zone() -> None:
    assert accepted([NEW.format("42.600000+01:00")], SINCE) == Accepted(count=0, most=0)

"""The one rule for trying again."""

from random import Random

from rabbitkeeper.client.model.retry import MAXIMUM, Retry, doubled


def test_the_first_retry_is_at_once_and_later_ones_are_spread_up_to_the_maximum() -> None:
    retry = Retry(Random(1))
    assert retry.failed() == 0.0
    pauses = [retry.failed() for _ in range(2000)]
    assert max(pauses) <= MAXIMUM
    assert min(pauses[10:]) < 0.05 * MAXIMUM, "full jitter: some come back soon"
    assert max(pauses[:3]) <= 0.4
    retry.worked()
    assert retry.failed() == 0.0


def test_what_is_doubled_ends_at_the_most_however_often_that_is() -> None:
    assert [doubled(0.5, times, 8.0) for times in range(6)] == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
    assert doubled(0.5, 10**6, 8.0) == 8.0

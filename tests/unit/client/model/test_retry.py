"""The one rule for trying again."""

from random import Random

from rabbitkeeper.client.model.retry import MAXIMUM, Retry


def test_the_first_retry_is_at_once_and_later_ones_are_spread_up_to_the_maximum() -> None:
    retry = Retry(Random(1))
    assert retry.failed() == 0.0
    pauses = [retry.failed() for _ in range(2000)]
    assert max(pauses) <= MAXIMUM
    assert min(pauses[10:]) < 0.05 * MAXIMUM, "full jitter: some come back soon"
    assert max(pauses[:3]) <= 0.4
    retry.worked()
    assert retry.failed() == 0.0

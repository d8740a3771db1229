"""Backoff: after which delays a message that a function has failed over is tried again. Pure."""

from dataclasses import dataclass
from typing import Any

from rabbitkeeper.client.model.checks import shown
from rabbitkeeper.client.model.errors import InvalidArgument

MOST_DELAYS = 32
LONGEST = 30 * 24 * 3600.0  # seconds; what RabbitMQ's times to live can hold is a little more


@dataclass(frozen=True, slots=True, init=False)
class Backoff:
    """``Backoff(1, 5, 30)``: tried again after 1 s, after 5 s more, and a last time after another 30 s.

    Args:
        delays: seconds, from a millisecond to 30 days, 32 of them at the most.

    Raises:
        InvalidArgument: one of them is none.
    """

    delays: tuple[float, ...]

    def __init__(self, *delays: float) -> None:
        for delay in delays:
            is_number = isinstance(delay, int | float) and not isinstance(delay, bool)
            if not is_number or not 0.001 <= delay <= LONGEST:
                raise InvalidArgument(
                    f"delay {shown(delay)} is not valid: use seconds from 0.001 to {LONGEST:.0f} (30 days)"
                )
        if not 1 <= len(delays) <= MOST_DELAYS:
            raise InvalidArgument(f"a Backoff has 1 to {MOST_DELAYS} delays, as Backoff(1, 5, 30)")
        object.__setattr__(self, "delays", tuple(map(float, delays)))

    def delay(self, retries: int) -> float | None:
        """Seconds until the next try, after so many; None: there is none."""
        return self.delays[retries] if retries < len(self.delays) else None

    def queue_arguments(self) -> dict[str, Any]:
        """For ``Queue(…, arguments=…)``: has RabbitMQ from 4.3 on do the same by itself. A quorum queue waits
        for n times the first delay before the nth retry, but for no longer than a longest one, as
        ``Backoff(5, 10, 15, 15)`` does (https://www.rabbitmq.com/docs/quorum-queues). Earlier versions take
        these arguments and do nothing of it, but for the limit.

        Raises:
            InvalidArgument: the delays do not grow so.
        """
        first, longest = self.delays[0], max(self.delays)
        linear = tuple(min(first * number, longest) for number in range(1, len(self.delays) + 1))
        if any(abs(one - other) > 0.001 for one, other in zip(linear, self.delays, strict=True)):
            raise InvalidArgument(
                f"a queue cannot wait as {self!r} says: its delays are n times the first one, up to a "
                f"longest; use Backoff{linear!r}, or leave the arguments of the queue out"
            )
        return {
            "x-delayed-retry-type": "failed",
            "x-delayed-retry-min": milliseconds(first),
            "x-delayed-retry-max": milliseconds(longest),
            "x-delivery-limit": len(self.delays),
        }


def milliseconds(seconds: float) -> int:
    """As RabbitMQ wants them."""
    return max(1, round(seconds * 1000))

"""Starvation: whether the broker has messages ready for a consumer with room, and delivers none. Pure.

Measured: after a full disk a queue of RabbitMQ 3.10 took messages and fed none of its consumers, which it
still had. Only a new consumer helped. The client's own records show nothing of that, so the broker is asked
how many messages it has ready: after :data:`FIRST` seconds without a delivery, then each :data:`CALM`
seconds, and a second time before anything is done, since messages may just have come.
"""

from collections.abc import Callable
from random import Random

FIRST = 10.0  # seconds without a delivery until the broker is asked …
CALM = 30.0  # … and, give or take a quarter, from the answer that there is nothing to the next question
LONGEST = 600.0  # seconds between restarts that do not help


class Starvation:
    """Of one subscription. Times are seconds, monotonic.

    Args:
        random: so that the clients of a group do not ask all at once.
    """

    def __init__(self, random: Random) -> None:
        self._uniform: Callable[[float, float], float] = random.uniform
        self._consumer: object = None
        self._delivered = 0
        self._since = 0.0
        self._look_at = float("inf")
        self._pause = FIRST
        self._is_suspected = False

    def notice(self, consumer: object, delivered: int, now: float) -> bool:
        """What a check has found; whether the broker is to be asked.

        Args:
            consumer: the present one; None if there is none that should be fed.
            delivered: messages that it has got so far.
        """
        if consumer is not self._consumer or delivered != self._delivered:
            if consumer is self._consumer:
                self._pause = FIRST
            self._consumer, self._delivered = consumer, delivered
            self._is_suspected = False
            self._since, self._look_at = now, now + self._pause
        return consumer is not None and now >= self._look_at

    def judge(self, ready: int, now: float) -> bool:
        """What the broker has answered; whether the consumer is to be started again.

        Args:
            ready: messages that the queue could deliver. Without a leader RabbitMQ says 0.
        """
        if ready == 0:
            self._is_suspected = False
            self._look_at = now + CALM * self._uniform(0.75, 1.25)
            return False
        if not self._is_suspected:
            self._is_suspected = True
            return False
        self._pause = min(2 * self._pause, LONGEST)
        return True

    def is_still(self, consumer: object, delivered: int) -> bool:
        """Whether nothing has changed since the last :meth:`notice`."""
        return consumer is self._consumer and delivered == self._delivered

    def unanswered(self, now: float) -> None:
        """The broker did not say, or will not."""
        self._look_at = now + self._pause + CALM

    def seconds(self, now: float) -> float:
        """For how long there was no delivery."""
        return now - self._since

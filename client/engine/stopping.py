"""The stop of a consumer: the broker delivers no more, then what is in hand is waited for."""

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

from rabbitkeeper.client.amqp.transport import Loop
from rabbitkeeper.client.consume.subscription import Subscription

POLL = 0.005  # seconds
GRACE = 1.0  # seconds for the I/O thread's word


class Stopping:
    """One consumer's end.

    Args:
        deadline: seconds, monotonic; then what is unanswered goes back to its queue.
        is_over: whether the client has ended meanwhile.
        remove: ends the subscription; called on the I/O thread.
    """

    def __init__(
        self,
        loop: Loop,
        subscription: Subscription,
        deadline: float,
        *,
        is_over: Callable[[], bool],
        remove: Callable[[Subscription], None],
    ) -> None:
        self._loop = loop
        self._subscription = subscription
        self._deadline = deadline
        self._is_over = is_over
        self._remove = remove
        self._stopped = False
        self._left: Future[int] = Future()

    def begin(self) -> None:
        """On the I/O thread."""

        def stopped() -> None:
            self._stopped = True

        self._subscription.stop(stopped)
        self._look()

    def wait(self) -> int:
        """On another thread: how many messages were left unanswered."""
        try:
            return self._left.result(max(0.0, self._deadline - self._loop.now()) + GRACE)
        except FutureTimeout:
            return self._subscription.in_hand

    def _look(self) -> None:
        self._subscription.flush()
        finished = self._stopped and not self._subscription.in_hand
        if not finished and self._loop.now() < self._deadline and not self._is_over():
            self._loop.call_later(POLL, self._look)
            return
        left = self._subscription.in_hand
        self._remove(self._subscription)
        self._left.set_result(left)

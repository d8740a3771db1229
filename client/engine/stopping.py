"""The stop of a consumer: the broker delivers no more, then what is in hand is waited for.

A function that has a message in hand, and waits for the stop itself, is not waited for before the answer is
given; its message can be answered after that, until the deadline.
"""

from collections.abc import Callable
from concurrent.futures import Future

from rabbitkeeper.client.amqp.transport import Loop, Timer
from rabbitkeeper.client.consume.subscription import Subscription


class Stopping:
    """One consumer's end. On the I/O thread.

    Args:
        deadline: seconds, monotonic; then what is unanswered goes back to its queue.
        remove: ends the subscription.
        result: given how many messages were left unanswered.
    """

    def __init__(
        self,
        loop: Loop,
        subscription: Subscription,
        deadline: float,
        *,
        remove: Callable[[Subscription], None],
        result: Future[int],
    ) -> None:
        self._loop = loop
        self._subscription = subscription
        self._deadline = deadline
        self._remove = remove
        self._result = result
        self._timer: Timer = None
        self._is_over = False

    def begin(self) -> None:
        self._timer = self._loop.call_later(self._deadline - self._loop.now(), self._end)
        self._subscription.stop(self._answered)

    def _answered(self) -> None:
        if self._subscription.in_hand and not self._is_over:
            self._tell(0)
            self._subscription.stop_wait.await_excused(self._end)
        else:
            self._end()

    def _end(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._loop.cancel(self._timer)
        left = self._subscription.stop_wait.waited_for
        try:
            self._remove(self._subscription)
        finally:
            self._tell(left)

    def _tell(self, left: int) -> None:
        if not self._result.done():
            self._result.set_result(left)

"""The stop of a consumer: the broker delivers no more, then what is in hand is waited for."""

from collections.abc import Callable
from concurrent.futures import Future

from rabbitkeeper.client.amqp.transport import Loop
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

    def begin(self) -> None:
        timer = self._loop.call_later(self._deadline - self._loop.now(), self._finish)
        self._result.add_done_callback(lambda _: self._loop.cancel(timer))
        self._subscription.stop(self._finish)

    def _finish(self) -> None:
        if self._result.done():
            return
        left = self._subscription.in_hand
        try:
            self._remove(self._subscription)
        finally:
            self._result.set_result(left)

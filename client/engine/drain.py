"""The drain: waits, before the end, until every publish has its outcome, and tells what has none."""

from collections.abc import Callable
from concurrent.futures import Future

from rabbitkeeper.client.amqp.transport import Loop
from rabbitkeeper.client.model.status import Unconfirmed
from rabbitkeeper.client.publish.future import PublishFuture
from rabbitkeeper.client.publish.publisher import Publisher


class Drain:
    """One wait for a publisher to have nothing left. On the I/O thread.

    Args:
        deadline: seconds, monotonic; then what is left is told as it is.
        end: ends the client; called before the answer is given.
        result: given what is unconfirmed at the end.
    """

    def __init__(
        self,
        loop: Loop,
        publisher: Publisher[PublishFuture],
        deadline: float,
        *,
        end: Callable[[], None],
        result: Future[list[Unconfirmed]],
    ) -> None:
        self._loop = loop
        self._publisher = publisher
        self._deadline = deadline
        self._end = end
        self._result = result

    def begin(self) -> None:
        timer = self._loop.call_later(self._deadline - self._loop.now(), self._finish)
        self._result.add_done_callback(lambda _: self._loop.cancel(timer))
        self._publisher.idle.when_empty(self._finish)

    def _finish(self) -> None:
        if self._result.done():
            return
        self._publisher.idle.when_empty(None)
        left = self._publisher.unconfirmed()
        try:
            self._end()
        finally:
            self._result.set_result(left)

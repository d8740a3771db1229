"""The drain: waits, before the end, until every publish has its outcome, and tells what has none."""

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

from rabbitkeeper.client.amqp.transport import Loop
from rabbitkeeper.client.model.status import Unconfirmed
from rabbitkeeper.client.publish.ledger import Entry, Ledger

POLL = 0.01  # seconds
GRACE = 1.0  # seconds for the I/O thread to say what is left


class Drain:
    """One wait for a ledger to become empty.

    Args:
        deadline: seconds, monotonic; then what is left is told as it is.
        is_over: whether the client has ended meanwhile.
        end: ends it; called on the I/O thread before the answer is given.
    """

    def __init__(
        self,
        loop: Loop,
        ledger: Ledger,
        deadline: float,
        *,
        is_over: Callable[[], bool],
        end: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._ledger = ledger
        self._deadline = deadline
        self._is_over = is_over
        self._end = end
        self._left: Future[list[Unconfirmed]] = Future()

    def look(self) -> None:
        """On the I/O thread: look, and look again until it is over."""
        if self._left.cancelled():
            return
        if len(self._ledger) and self._loop.now() < self._deadline and not self._is_over():
            self._loop.call_later(POLL, self.look)
            return
        left = [_unconfirmed(entry) for entry in self._ledger]
        self._end()
        self._left.set_result(left)

    def wait(self) -> list[Unconfirmed]:
        """On another thread: what is unconfirmed at the end; nothing is known of it if no answer comes."""
        try:
            return self._left.result(max(0.0, self._deadline - self._loop.now()) + GRACE)
        except FutureTimeout:
            self._left.cancel()
            return []


def _unconfirmed(entry: Entry) -> Unconfirmed:
    body: bytes = entry.body  # type: ignore[attr-defined]  # the ledger's entries are futures of publishes
    return Unconfirmed(entry.message_id, entry.exchange, entry.routing_key, body, entry.attempts > 0)

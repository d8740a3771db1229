"""The hand-over: from a line that works to another that is open, between two messages, so nothing stalls.

Publishing is frozen for the moment that the old line's last confirms take, then goes on over the new one.
When they do not come (the queues may be electing), the old line publishes again and the move is tried later.
"""

from collections.abc import Callable

from rabbitkeeper.client.amqp.transport import Loop
from rabbitkeeper.client.engine.connections import Lines
from rabbitkeeper.client.publish.publisher import Publisher

PATIENCE = 0.04  # seconds for which publishes wait for the old line's last confirms
POLL = 0.001  # seconds
RETRY = 0.25  # seconds between attempts while the old line still has unconfirmed messages
ATTEMPTS = 12  # then what is unconfirmed is published again on the new line


class HandOver:
    """One planned move, on the I/O thread.

    Args:
        new: number of the line to move to.
        old: number of the line that is left.
        is_old_current: whether everything still goes over ``old``; if not, the move is called off.
        move: does it.
    """

    def __init__(
        self,
        loop: Loop,
        lines: Lines,
        publisher: Publisher,
        *,
        new: int,
        old: int,
        is_old_current: Callable[[int], bool],
        move: Callable[[int, int], None],
    ) -> None:
        self._loop = loop
        self._lines = lines
        self._publisher = publisher
        self._new = new
        self._old = old
        self._is_old_current = is_old_current
        self._move = move
        self._attempt = 0
        self._give_up_at = 0.0

    def begin(self) -> None:
        """Try to move."""
        if self._new not in self._lines or not self._is_old_current(self._old):
            return
        self._attempt += 1
        self._publisher.freeze()
        self._give_up_at = self._loop.now() + PATIENCE
        self._look()

    def _look(self) -> None:
        if not self._is_old_current(self._old):
            return
        if self._new not in self._lines:
            self._publisher.thaw()
        elif not self._publisher.ledger.in_flight or self._attempt >= ATTEMPTS:
            self._move(self._new, self._old)
        elif self._loop.now() < self._give_up_at:
            self._loop.call_later(POLL, self._look)
        else:
            self._publisher.thaw()
            self._loop.call_later(RETRY, self.begin)

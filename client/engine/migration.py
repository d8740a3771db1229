"""The migration: a planned move from a connection that works to another that is open, between two messages.

Publishing is frozen for the moment that the last confirms of the old connection take, then goes on over the
new one, so nothing stalls. When they do not come in time (the queues may be electing), the old connection
publishes again and the move is tried later.
"""

from collections.abc import Callable

from rabbitkeeper.client.amqp.transport import Loop, Timer
from rabbitkeeper.client.publish.future import PublishFuture
from rabbitkeeper.client.publish.publisher import Publisher

PATIENCE = 0.04  # seconds for which publishes wait for the old connection's last confirms
RETRY = 0.25  # seconds between attempts while the old connection still has unconfirmed messages
ATTEMPTS = 12  # then what is unconfirmed is published again on the new connection


class Migration:
    """One planned move, on the I/O thread. It decides when, and moves nothing itself.

    Args:
        number: of the connection to move to.
        on_done: called once: this is the moment. Not after :meth:`cancel`.
    """

    def __init__(
        self, loop: Loop, publisher: Publisher[PublishFuture], number: int, *, on_done: Callable[[], None]
    ) -> None:
        self.number = number
        self._loop = loop
        self._publisher = publisher
        self._on_done = on_done
        self._attempt = 0
        self._timer: Timer | None = None
        self._is_over = False

    def begin(self) -> None:
        """Wait for a moment in which nothing is in flight."""
        if self._is_over:
            return
        self._attempt += 1
        if self._attempt >= ATTEMPTS:
            self._done()
            return
        self._publisher.freeze()
        self._timer = self._loop.call_later(PATIENCE, self._postpone)
        self._publisher.idle.when_idle(self._done)

    def cancel(self) -> None:
        """There will be no such move. Publishing may be frozen: it goes on with another channel, or with
        :meth:`Publisher.thaw`."""
        self._end()

    def _postpone(self) -> None:
        self._publisher.idle.when_idle(None)
        self._timer = self._loop.call_later(RETRY, self.begin)
        self._publisher.thaw()

    def _done(self) -> None:
        self._end()
        self._on_done()

    def _end(self) -> None:
        self._is_over = True
        self._publisher.idle.when_idle(None)
        if self._timer is not None:
            self._loop.cancel(self._timer)
            self._timer = None

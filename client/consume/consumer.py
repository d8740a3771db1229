"""A consumer in its user's hands: an iterator of messages that survives every switch."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import NoReturn, Self
from weakref import finalize

from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.consume.subscription import Subscription
from rabbitkeeper.client.model.checks import check_timeout
from rabbitkeeper.client.model.errors import of_another_process
from rabbitkeeper.client.process import this as process


class Consumer:
    """The messages of one queue, as they come: ``for message in client.consume("orders"): …``

    Several threads may take from one. It ends with :meth:`stop`, with the client, with the ``with`` block
    that it is used in, or when nobody holds it any more, as after a loop that was left.

    Args:
        subscription: that it takes from.
        finish: begins to stop it, in so many seconds, and returns what waits for that, until a deadline; see
            :meth:`stop`.
        drop: ends it at once.
    """

    def __init__(
        self,
        subscription: Subscription,
        finish: Callable[[Subscription, float], Callable[[float], int]],
        drop: Callable[[Subscription], None],
    ) -> None:
        self.subscription = subscription
        self._get: Callable[[float | None], Message | None] = subscription.get
        self._finish = finish
        self._drop = drop
        self._wait: Callable[[float], int] = lambda _deadline: 0
        self._pid = process.pid
        self._arm()

    def _arm(self) -> None:
        self._finalizer = finalize(self, self._drop, self.subscription)
        self._finalizer.atexit = False

    @property
    def queue(self) -> str:
        """The queue's name, as it was asked for."""
        return self.subscription.queue_name

    @property
    def active(self) -> bool:
        """Whether a broker has a consumer of it at the moment."""
        return self.subscription.active

    def get(self, timeout: float | None = None) -> Message | None:
        """The next message; None when the consumer has ended.

        Args:
            timeout: seconds to wait; for ever by default.

        Raises:
            queue.Empty: none came within ``timeout`` seconds.
            TopologyError: the queue does not exist, was deleted, or cannot be consumed from.
            NotAuthorized: the broker refused.
            InvalidArgument: ``timeout`` is neither None nor a finite number from 0 on.
            WrongThread: in a forked child.
        """
        if timeout is not None:
            check_timeout("timeout", timeout, zero=True)
        if process.pid != self._pid:
            raise of_another_process()
        return self._get(timeout)

    def stop(self, timeout: float = 10.0) -> int:
        """Take no more from the broker, and wait until what is in hand is answered.

        What was delivered and not yet taken goes back to its queue at once; what is in hand and unanswered at
        the end does so then.

        Args:
            timeout: seconds to wait. Within a function that was called with a message of it, that one is not
                waited for.

        Returns:
            How many messages were left unanswered.

        Raises:
            WrongThread: in a forked child, or in a callback on the client's I/O thread.
        """
        return self.begin_stop(timeout)()

    def begin_stop(self, timeout: float) -> Callable[[], int]:
        """As :meth:`stop`, in two steps: begin, and (what comes back) wait. The first call counts; later ones
        wait for it, and leave nothing."""
        check_timeout("timeout", timeout, zero=True)
        deadline = time.monotonic() + timeout
        if self._finalizer.detach() is None:
            return lambda: self._wait_again(deadline)
        try:
            self._wait = self._finish(self.subscription, timeout)
        except BaseException:
            self._arm()
            raise
        return lambda: self._wait(deadline)

    def _wait_again(self, deadline: float) -> int:
        self._wait(deadline)
        return 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Message:
        if process.pid != self._pid:
            raise of_another_process()
        return self._get(None) or _stop()  # in one line: a signal's exception behind it would lose a message

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # what is in hand when the block ends will not be answered any more
        self.stop(0.0)


def _stop() -> NoReturn:
    raise StopIteration

"""A consumer in its user's hands: an iterator of messages that survives every switch."""

from collections.abc import Callable
from types import TracebackType
from typing import Self
from weakref import finalize

from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.consume.subscription import Subscription
from rabbitkeeper.client.model.checks import check_timeout


class Consumer:
    """The messages of one queue, as they come: ``for message in client.consume("orders"): …``

    Several threads may take from one. It ends with :meth:`stop`, with the client, with the ``with`` block
    that it is used in, or when nobody holds it any more, as after a loop that was left.

    Args:
        subscription: that it takes from.
        finish: stops it; see :meth:`stop`.
        drop: ends it at once.
    """

    def __init__(
        self,
        subscription: Subscription,
        finish: Callable[[Subscription, float], int],
        drop: Callable[[Subscription], None],
    ) -> None:
        self._subscription = subscription
        self._finish = finish
        self._finalizer = finalize(self, drop, subscription)
        self._finalizer.atexit = False

    @property
    def queue(self) -> str:
        """The queue's name, as it was asked for."""
        return self._subscription.queue_name

    @property
    def active(self) -> bool:
        """Whether a broker has a consumer of it at the moment."""
        return self._subscription.active

    def get(self, timeout: float | None = None) -> Message | None:
        """The next message; None when the consumer has ended.

        Args:
            timeout: seconds to wait; for ever by default.

        Raises:
            queue.Empty: none came within ``timeout`` seconds.
            TopologyError: the queue does not exist, was deleted, or cannot be consumed from.
            NotAuthorized: the broker refused.
            InvalidArgument: ``timeout`` is neither None nor a finite number from 0 on.
        """
        if timeout is not None:
            check_timeout("timeout", timeout, zero=True)
        return self._subscription.get(timeout)

    def stop(self, timeout: float = 10.0) -> int:
        """Take no more from the broker, and wait until what is in hand is answered.

        What was delivered and not yet taken goes back to its queue at once; what is in hand and unanswered at
        the end does so then.

        Args:
            timeout: seconds to wait.

        Returns:
            How many messages were left unanswered.
        """
        check_timeout("timeout", timeout, zero=True)
        if self._finalizer.detach() is None:
            return 0
        return self._finish(self._subscription, timeout)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Message:
        message = self._subscription.get(None)
        if message is None:
            raise StopIteration
        return message

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # what is in hand when the block ends will not be answered any more
        self.stop(0.0)

"""The reader: takes deliveries out of an inbox, on users' threads, and makes messages of them."""

import time
from collections.abc import Callable
from queue import Empty
from typing import Protocol

from rabbitkeeper.client.amqp.decoding import Delivery
from rabbitkeeper.client.consume.acknowledger import Acknowledger
from rabbitkeeper.client.consume.deduplicator import Deduplicator
from rabbitkeeper.client.consume.message import Message


class Source(Protocol):
    """What it needs of an inbox."""

    def take(self, timeout: float | None) -> tuple[Acknowledger, Delivery] | None: ...


class Reader:
    """For any number of threads.

    Args:
        queue_name: that the inbox is for, as users know it.
        dedupe: as many ids of acked messages are remembered, and messages with one of them acked unseen; 0
            for not.
        now: seconds, monotonic.
    """

    def __init__(
        self,
        inbox: Source,
        queue_name: str,
        dedupe: int,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._take = inbox.take
        self._now = now
        self._queue_name = queue_name
        self._deduplicator = Deduplicator(dedupe) if dedupe else None
        self._on_ack = None if self._deduplicator is None else self._deduplicator.acked

    def get(self, timeout: float | None) -> Message | None:
        """The next message; None when there will be no more.

        Args:
            timeout: seconds to wait, however many are acked unseen meanwhile; None for ever.

        Raises:
            queue.Empty: none came within ``timeout`` seconds.
            RabbitKeeperError: why there will be no more.
        """
        if self._deduplicator is None:
            taken = self._take(timeout)
            return None if taken is None else Message(taken[1], self._queue_name, taken[0])
        deadline = None if timeout is None else self._now() + timeout
        while (taken := self._take(timeout)) is not None:
            message = Message(taken[1], self._queue_name, taken[0], self._on_ack)
            if not self._deduplicator.has(message):
                return message
            taken[0].ack(message.delivery_tag)
            if deadline is not None:
                timeout = deadline - self._now()
                if timeout <= 0:
                    raise Empty
        return None

"""The taker: takes deliveries out of an inbox, on users' threads, and makes messages of them.

It can leave out what was acked before: a bounded memory of ids drops the second copy of a message. A message
is remembered when it is acked, not when it is delivered: one whose first copy was never finished must be
delivered again.
"""

import threading
import time
from collections.abc import Callable
from queue import Empty
from typing import NoReturn, Protocol

from rabbitkeeper.client.amqp.decoding import Delivery
from rabbitkeeper.client.consume.acknowledger import Acknowledger
from rabbitkeeper.client.consume.message import Message


class Identified(Protocol):
    """A message with an id, if its publisher gave it one."""

    @property
    def message_id(self) -> str | None: ...


class Deduplicator:
    """The last ``size`` ids. From any thread."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._ids: dict[str, None] = {}  # in the order of acking
        self._lock = threading.RLock()  # a signal handler may come back in

    def acked(self, message: Identified) -> None:
        """Remember ``message``."""
        name = message.message_id
        if name is None:
            return
        with self._lock:
            self._ids.pop(name, None)
            self._ids[name] = None
            if len(self._ids) > self._size:
                del self._ids[next(iter(self._ids))]

    def has(self, message: Identified) -> bool:
        """Whether a message of its id was acked."""
        name = message.message_id
        return name is not None and name in self._ids


class Source(Protocol):
    """What it needs of an inbox."""

    def take(self, timeout: float | None) -> tuple[Acknowledger, Delivery] | None: ...
    def put_first(self, item: tuple[Acknowledger, Delivery]) -> None: ...


class Taker:
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
        self._take, self._put_first = inbox.take, inbox.put_first
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
        if self._deduplicator is not None:
            return self._get_new(self._deduplicator, timeout)
        taken = None
        try:
            taken = self._take(timeout)
            return None if taken is None else Message(taken[1], self._queue_name, taken[0])
        except BaseException:
            if taken is not None:  # a signal's: nobody gets the message
                self._put_first(taken)
            raise

    def _get_new(self, deduplicator: Deduplicator, timeout: float | None) -> Message | None:
        deadline = None if timeout is None else self._now() + timeout
        taken = None
        try:
            while (taken := self._take(timeout)) is not None:
                message = Message(taken[1], self._queue_name, taken[0], self._on_ack)
                if not deduplicator.has(message):
                    return message
                taken[0].ack(message.delivery_tag)
                taken = None
                if deadline is not None:
                    timeout = deadline - self._now()
                    if timeout <= 0:
                        _nothing()
        except BaseException:
            if taken is not None:
                self._put_first(taken)
            raise
        return None


def _nothing() -> NoReturn:
    raise Empty

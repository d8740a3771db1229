"""The inbox: what was delivered and nobody has taken yet, between the I/O thread and the user's threads.

What one read of the socket brought is put at once and wakes as many threads as it has messages for, none if
none waits. A thread that does not have to wait takes no lock and does nothing but take.

Who is to wait says so in a deque, looks once more, and waits for a word; who puts takes as many entries out
of that deque as there are messages, and says a word for each. A word that nobody needs any more is no harm:
who hears it looks, and waits again.
"""

import queue
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import repeat

from rabbitkeeper.client.amqp.decoding import Delivery
from rabbitkeeper.client.consume.acknowledger import Acknowledger
from rabbitkeeper.client.model.errors import RabbitKeeperError


class Inbox:
    """Deliveries, each with who takes its answer; then perhaps the end, with or without an error.

    Args:
        gives_back: what nobody has taken in the end goes back, and what a lost channel had delivered comes
            again; else all of it can be taken here, and nowhere any more.
    """

    def __init__(self, *, gives_back: bool = True) -> None:
        self._ready: deque[tuple[Acknowledger, Delivery]] = deque()
        self._waiting: deque[None] = deque()  # one for each thread that waits
        self._words: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.on_news: Callable[[], None] | None = None
        """Called when something can be taken, or nothing more will come; for who waits in no thread."""
        self.keeps_lost = not gives_back
        """What a lost channel had delivered stays good; also for streams."""
        self._gives_back = gives_back
        self._has_ended = False
        self._error: RabbitKeeperError | None = None

    @property
    def has_news(self) -> bool:
        """Whether :meth:`take` may have something to say without waiting."""
        return bool(self._ready) or self._has_ended

    def put(self, acknowledger: Acknowledger, deliveries: list[Delivery]) -> None:
        """Deliveries have come."""
        self._ready.extend(zip(repeat(acknowledger), deliveries))
        if self._waiting:
            self._wake(deliveries)
        if self.on_news is not None:
            self.on_news()

    def put_first(self, item: tuple[Acknowledger, Delivery]) -> None:
        """It was taken, and did not come to its taker."""
        self._ready.appendleft(item)
        self._wake((item,))
        if self.on_news is not None:
            self.on_news()

    def end(self, error: RabbitKeeperError | None) -> None:
        """Nothing will come any more; who takes what is left hears of it then, and everybody who asks later.
        Can be called again: the first end counts."""
        if not self._has_ended:
            self._error = error
            self._has_ended = True
            self._wake(list(self._waiting))
            if self.on_news is not None:
                self.on_news()

    def give_back(self, of: Acknowledger | None = None) -> None:
        """What waits here goes back to its queue, unseen: all of it, or what ``of`` answers for."""
        if not self._gives_back:
            return
        kept: list[tuple[Acknowledger, Delivery]] = []
        with suppress(IndexError):
            while True:
                acknowledger, delivery = self._ready.popleft()
                if of in (None, acknowledger):
                    acknowledger.give_back(delivery[0])
                else:
                    kept.append((acknowledger, delivery))
        if kept:
            self._ready.extend(kept)
            self._wake(kept)
            if self.on_news is not None:
                self.on_news()

    def withdraw(self) -> list[Delivery]:
        """Take out all that waits here, and ack it, as far as that can be said yet.

        The last first: what somebody takes meanwhile is older than all that is taken out.
        """
        withdrawn: deque[Delivery] = deque()
        with suppress(IndexError):
            while True:
                acknowledger, delivery = self._ready.pop()
                withdrawn.appendleft(delivery)
                acknowledger.ack(delivery[0])
        return list(withdrawn)

    def take(self, timeout: float | None) -> tuple[Acknowledger, Delivery] | None:
        """The next delivery whose answer still reaches the broker; None at the end.

        What a lost channel had delivered is dropped: the broker delivers it again.

        Args:
            timeout: seconds to wait; None for ever.

        Raises:
            queue.Empty: none came within ``timeout`` seconds.
            RabbitKeeperError: the end, with this error.
        """
        deadline: float | None = None
        item = None
        try:
            while True:
                has_ended = self._has_ended  # read first: what came before the end is taken before it
                try:
                    item = self._ready.popleft()
                except IndexError:
                    if has_ended:
                        if self._error is not None:
                            raise self._error from None
                        return None
                    if timeout is not None and deadline is None:
                        deadline = time.monotonic() + timeout
                    item = None
                    self._wait(deadline)
                    continue
                if item[0].channel.is_open or self.keeps_lost:  # without a call: once a message
                    return item
        except BaseException:
            if item is not None:  # a signal's: nobody gets it
                self.put_first(item)
            raise

    def _wait(self, deadline: float | None) -> None:
        """Until something was put, or until ``deadline`` (seconds, monotonic)."""
        self._waiting.append(None)
        if self._ready or self._has_ended:  # it came before this was seen to wait
            self._wait_no_more()
            return
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            self._words.get(timeout=left)
        except queue.Empty:
            self._wait_no_more()
            raise

    def _wait_no_more(self) -> None:
        with suppress(IndexError):  # it has been taken out: there is a word too many
            self._waiting.pop()

    def _wake(self, causes: Iterable[object]) -> None:
        """One thread that waits for each of ``causes``, as far as there are any."""
        with suppress(IndexError):
            for _ in causes:
                self._waiting.pop()
                self._words.put(None)

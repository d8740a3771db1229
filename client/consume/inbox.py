"""The inbox: what was delivered and nobody has taken yet, between the I/O thread and the user's threads."""

import queue

from rabbitkeeper.client.amqp.decoding import Delivery
from rabbitkeeper.client.consume.acknowledger import Acknowledger
from rabbitkeeper.client.model.errors import RabbitKeeperError

_Item = tuple[Acknowledger, Delivery] | RabbitKeeperError | None


class Inbox:
    """Deliveries, each with who takes its answer; then perhaps the end, with or without an error."""

    def __init__(self) -> None:
        self._items: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._has_ended = False

    def put(self, acknowledger: Acknowledger, deliveries: list[Delivery]) -> None:
        """Deliveries have come."""
        put = self._items.put
        for delivery in deliveries:
            put((acknowledger, delivery))

    def end(self, error: RabbitKeeperError | None) -> None:
        """Nothing will come any more; who takes what is left hears of it then, and everybody who asks later.
        Can be called again: the first end counts."""
        if not self._has_ended:
            self._has_ended = True
            self._items.put(error)

    def give_back(self) -> None:
        """What waits here goes back to its queue, unseen."""
        ends: list[_Item] = []
        while True:
            try:
                item = self._items.get_nowait()
            except queue.Empty:
                break
            if isinstance(item, tuple):
                item[0].give_back(item[1][0])
            else:
                ends.append(item)
        for end in ends:
            self._items.put(end)

    def take(self, timeout: float | None) -> tuple[Acknowledger, Delivery] | None:
        """The next delivery whose answer still reaches the broker; None at the end.

        What a lost channel had delivered is dropped: the broker delivers it again.

        Args:
            timeout: seconds to wait; None for ever.

        Raises:
            queue.Empty: none came within ``timeout`` seconds.
            RabbitKeeperError: the end, with this error.
        """
        while True:
            item = self._items.get(timeout=timeout)
            if item is None or isinstance(item, RabbitKeeperError):
                self._items.put(item)  # for whoever asks again
                if item is None:
                    return None
                raise item
            if item[0].is_alive:
                return item

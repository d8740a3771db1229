"""Queues that are not durable and go with a node of the cluster: declared again some seconds later.

RabbitMQ deletes them once it has noticed that the node is gone, one after the other. Until then it takes a
declaration of one for what is there already: of 1,000 that a client had declared again at once, 64 were
missing in the end (3.10.8). A client need not be connected to that node to lose them.

Exclusive queues are not meant: they are on the node where their connection is.
"""

from collections.abc import Callable, Iterable

from rabbitkeeper.client.amqp.transport import CallLater
from rabbitkeeper.client.model.topology import Binding, Entity, Queue

AFTER = (4.0, 20.0)  # seconds: those of a killed node are gone soon, of a hung one once it is dropped


class TransientQueues:
    """Everything is called on the I/O thread.

    Args:
        topology: what was declared.
        call_later: of the I/O loop.
        declare: declares entities again, for nobody who waits; nothing happens while there is no connection.
    """

    def __init__(
        self,
        topology: Iterable[Entity],
        call_later: CallLater,
        declare: Callable[[Iterable[Entity]], None],
    ) -> None:
        self._topology = topology
        self._call_later = call_later
        self._declare = declare
        self._losses = 0

    def node_lost(self) -> None:
        """A node of the cluster may be gone."""
        self._losses += 1
        if self._entities():
            for seconds in AFTER:
                self._call_later(seconds, lambda loss=self._losses: self._again(loss))  # type: ignore[misc]

    def _again(self, loss: int) -> None:
        if loss == self._losses:
            self._declare(self._entities())

    def _entities(self) -> list[Entity]:
        """Those queues, and then what is bound to them."""
        queues = [
            one for one in self._topology if isinstance(one, Queue) and not (one.durable or one.exclusive)
        ]
        names = {queue.name for queue in queues}
        return [*queues, *(one for one in self._topology if isinstance(one, Binding) and one.queue in names)]

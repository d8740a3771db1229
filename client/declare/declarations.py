"""Which declarer an entity is for: exclusive queues belong to the connection that declares them.

Only that connection may consume from such a queue, or bind it. So exclusive queues and their bindings are
declared on the connection that consumers have, and everything else on the one that publishes.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import Future

from rabbitkeeper.client.amqp.transport import Connection, ConnectionLost
from rabbitkeeper.client.declare.declarer import Declarer
from rabbitkeeper.client.model.errors import RabbitKeeperError
from rabbitkeeper.client.model.requests import DeleteEntity, PassiveDeclare, Purge, Request, Unbind
from rabbitkeeper.client.model.topology import Binding, Entity, Queue


class Declarations:
    """Both declarers of a client. On the I/O thread.

    Args:
        make: makes a declarer, given which entities are its own.
        on_exclusive: called whenever something exclusive is to be declared.

    Attributes:
        shared: declares what any connection may use.
        exclusive: declares what only its connection may use.
    """

    def __init__(
        self, make: Callable[[Callable[[Entity], bool]], Declarer], on_exclusive: Callable[[], None]
    ) -> None:
        self._on_exclusive = on_exclusive
        self._names: set[str] = set()  # of exclusive queues
        self.shared = make(lambda entity: not self._is_exclusive(entity))
        self.exclusive = make(self._is_exclusive)

    def declare(self, entity: Entity | Request, deadline: float, result: Future[int]) -> None:
        """See :meth:`Declarer.declare`."""
        if isinstance(entity, Queue):
            (self._names.add if entity.exclusive else self._names.discard)(entity.name)
        if not self._is_exclusive(entity):
            self.shared.declare(entity, deadline, result)
            return
        self._on_exclusive()
        self.exclusive.declare(entity, deadline, result)

    def ended(self, connection: Connection, lost: ConnectionLost) -> None:
        """See :meth:`Declarer.ended`."""
        self.shared.ended(connection, lost)
        self.exclusive.ended(connection, lost)

    def declare_again(self, queue: str) -> None:
        """See :meth:`Declarer.declare_again`."""
        (self.exclusive if queue in self._names else self.shared).declare_again(queue)

    def declare_exchange_again(self, exchange: str) -> bool:
        """See :meth:`Declarer.declare_exchange_again`."""
        goes_by_itself = self.shared.declare_exchange_again(exchange)
        self.exclusive.declare_exchange_again(exchange)
        return goes_by_itself

    def is_pending(self, queue: str) -> bool:
        """Whether ``queue`` is yet to be declared (again)."""
        return self.shared.is_pending(queue) or self.exclusive.is_pending(queue)

    @property
    def earliest_deadline(self) -> float:
        """When :meth:`expire` has something to do; seconds, monotonic."""
        return min(self.shared.earliest_deadline, self.exclusive.earliest_deadline)

    def expire(self) -> None:
        """End what is past its deadline."""
        self.shared.expire()
        self.exclusive.expire()

    def close(self, error: RabbitKeeperError) -> None:
        """End everything that users wait for with ``error``."""
        self.shared.close(error)
        self.exclusive.close(error)

    def _is_exclusive(self, entity: Entity | Request) -> bool:
        match entity:
            case DeleteEntity(one) | Unbind(one) | PassiveDeclare(one):
                return self._is_exclusive(one) or (isinstance(one, Queue) and one.name in self._names)
            case Purge(name):
                return name in self._names
            case Queue():
                return entity.exclusive
            case Binding():
                return entity.queue in self._names
        return False


def end_all(results: Iterable[Future[int]], error: RabbitKeeperError) -> None:
    """What no declarer has ended."""
    for result in results:
        result.set_exception(error)

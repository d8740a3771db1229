"""Declaring: what is there, what is refused, and with which words."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from rabbitkeeper.client.amqp.transport import ChannelLost
from rabbitkeeper.client.model.requests import DeleteEntity, PassiveDeclare, Purge, Request, Unbind
from rabbitkeeper.client.model.topology import Binding, Entity, Exchange, ExchangeBinding, Queue
from simulation.broker.queues import SimulatedQueue, SimulatedStream

if TYPE_CHECKING:
    from simulation.broker.channel_end import ChannelEnd
    from simulation.broker.cluster import SimulatedCluster

EXCHANGE_TYPES = frozenset({"direct", "fanout", "topic", "headers"})


class Refused(Exception):
    """A declaration that the broker does not take."""

    def __init__(self, code: int, why: str, *, ends_connection: bool = False) -> None:
        super().__init__(why)
        self.lost = ChannelLost(code, why)
        self.ends_connection = ends_connection


def declare(cluster: "SimulatedCluster", channel: "ChannelEnd", entity: Entity, queue: str) -> str | None:
    """Declare ``entity``.

    Args:
        queue: the broker's name of the queue that it is, or binds; empty for one that the broker names.

    Returns:
        The broker's name of a queue.

    Raises:
        Refused: it is not.
    """
    name = queue if isinstance(entity, Binding | Queue) else _name_of(entity)
    lost = cluster.refusals.get(name)
    if lost is not None:
        raise Refused(lost.code, lost.why, ends_connection=lost.code > 500)
    match entity:
        case Exchange():
            _exchange(cluster, entity)
            return None
        case ExchangeBinding():
            _exchange_binding(cluster, entity)
            return None
        case Queue():
            return _queue(cluster, channel, entity, queue)
    _binding(cluster, channel, entity, queue)
    return None


def _check_owner(cluster: "SimulatedCluster", channel: "ChannelEnd", name: str) -> None:
    """Only the connection that declared an exclusive queue may do anything with it."""
    queue = cluster.queues.get(name)
    if queue is not None and queue.owner not in (None, channel.connection):
        raise Refused(
            405, f"RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{name}' in vhost '/'"
        )


def _exchange(cluster: "SimulatedCluster", exchange: Exchange) -> None:
    if exchange.type not in EXCHANGE_TYPES:
        why = f"COMMAND_INVALID - unknown exchange type '{exchange.type}'"
        raise Refused(503, why, ends_connection=True)
    known = cluster.exchanges.declared.setdefault(exchange.name, exchange)
    if known != exchange:
        raise Refused(
            406, f"PRECONDITION_FAILED - inequivalent arg 'type' for exchange '{exchange.name}' in vhost '/'"
        )
    cluster.journal.declared.append(exchange.name)


def _queue(cluster: "SimulatedCluster", channel: "ChannelEnd", declared: Queue, name: str) -> str:
    known = cluster.queues.get(name)
    _check_owner(cluster, channel, name)
    if known is None:
        name = name or cluster.new_queue_name()
        owner = channel.connection if declared.exclusive else None
        kind = SimulatedStream if declared.type == "stream" else SimulatedQueue
        cluster.queues[name] = kind(cluster, declared, name, channel.node, owner)
    elif not known.is_reachable and known.declared.durable:
        raise Refused(
            404,
            f"NOT_FOUND - home node 'rabbit@{known.leader}' of durable queue '{name}' in vhost '/' "
            "is down or inaccessible",
        )
    elif (
        known.declared.declared_arguments != declared.declared_arguments
        or known.declared.durable != declared.durable
    ):
        raise Refused(406, f"PRECONDITION_FAILED - inequivalent arg for queue '{name}' in vhost '/'")
    cluster.journal.declared.append(name)
    return name


def _binding(cluster: "SimulatedCluster", channel: "ChannelEnd", binding: Binding, queue: str) -> None:
    _check_owner(cluster, channel, queue)
    if not cluster.exchanges.has(binding.exchange):
        raise Refused(404, f"NOT_FOUND - no exchange '{binding.exchange}' in vhost '/'")
    if queue not in cluster.queues:
        raise Refused(404, f"NOT_FOUND - no queue '{queue}' in vhost '/'")
    cluster.exchanges.bind(binding, queue)
    cluster.journal.declared.append(f"{binding.exchange} > {queue}")


def _name_of(entity: Exchange | ExchangeBinding) -> str:
    return entity.destination if isinstance(entity, ExchangeBinding) else entity.name


def _exchange_binding(cluster: "SimulatedCluster", binding: ExchangeBinding) -> None:
    for name in (binding.source, binding.destination):
        if not cluster.exchanges.has(name):
            raise Refused(404, f"NOT_FOUND - no exchange '{name}' in vhost '/'")
    cluster.exchanges.between.add((binding.source, binding.destination, binding.routing_key))
    cluster.journal.declared.append(f"{binding.source} >> {binding.destination}")


def answer(
    cluster: "SimulatedCluster", channel: "ChannelEnd", request: Request, resolve: Callable[[str], str]
) -> int:
    """Do what else is asked.

    Returns:
        The messages of a queue, if it is about one.

    Raises:
        Refused: it is not done.
    """
    exchanges = cluster.exchanges
    match request:
        case DeleteEntity(Queue(name)) | PassiveDeclare(Queue(name)) | Purge(name):
            _check_owner(cluster, channel, resolve(name))
        case Unbind(Binding(queue=name)):
            _check_owner(cluster, channel, resolve(name))
    match request:
        case DeleteEntity(Queue(name)):
            queue = cluster.queues.get(resolve(name))
            if queue is None:
                return 0
            cluster.remove_queue(queue)
            return len(queue.ready)
        case DeleteEntity(Exchange(name)):
            if name in exchanges.declared:
                cluster.delete_exchange(name)
        case Unbind(Binding() as one):
            exchanges.bindings.pop((one.exchange, resolve(one.queue), one.routing_key), None)
        case Unbind(ExchangeBinding() as one):
            exchanges.between.discard((one.source, one.destination, one.routing_key))
        case Purge(name):
            ready = _known(cluster, resolve(name)).ready
            count = len(ready)
            ready.clear()
            return count
        case PassiveDeclare(Queue(name)):
            return len(_known(cluster, resolve(name)).ready)
        case PassiveDeclare(Exchange(name)):
            if not exchanges.has(name):
                raise Refused(404, f"NOT_FOUND - no exchange '{name}' in vhost '/'")
    return 0


def _known(cluster: "SimulatedCluster", name: str) -> SimulatedQueue:
    queue = cluster.queues.get(name)
    if queue is None:
        raise Refused(404, f"NOT_FOUND - no queue '{name}' in vhost '/'")
    return queue
